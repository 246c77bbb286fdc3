package mfa

import (
	"context"
	"slices"
	"time"

	"countersign/pkg/seal"
)

// A PassRequest asks for a pass for a user.
type PassRequest struct {
	Intervention
	ExpiresS *int `json:"expires_s"` // how long the pass can be used, in seconds; if nil, as long as the policy allows
}

// A Pass is a pass that was issued, which is shown once.
type Pass struct {
	Pass    *seal.Secret `json:"pass,omitempty"`
	Expires time.Time    `json:"expires"`
}

// WithoutShownOnce returns the answer as it is repeated once what is shown only once may not be repeated any more.
func (a Pass) WithoutShownOnce() any {
	a.Pass = nil
	return a
}

// IssuePass gives a user a pass, with which they can sign in once without a factor (see Recover). An earlier pass is dead when it
// returns. The user is told by every channel. It returns MethodForbidden if the policy has no passes, and Forbidden for a user who
// was deprovisioned. It needs the scope admin.
func (s *Service) IssuePass(ctx context.Context, call Call, org, user string, q PassRequest) (Pass, error) {
	if err := q.check("", &call); err != nil {
		return Pass{}, err
	}
	code := newRecoveryCode() // the same in all tries, so that the caller gets the one that was committed
	return intervene(ctx, s, call, org, user, func(u *unit, a *account, p *orgPolicy) (Pass, error) {
		if made := a.guard.Pass; made != nil && slices.Contains(u.versions, made.MadeBy) {
			return Pass{Pass: &code, Expires: made.Ends}, nil // an earlier try of this call has made it
		}
		who, actor, err := u.administrator(org, "actor", q.Actor)
		switch {
		case err != nil:
			return Pass{}, err
		case a.guard.Deprovisioned:
			return Pass{}, refuse(Forbidden, "This user was deprovisioned. PUT the user again first.")
		case who == person{org, user}:
			return Pass{}, refuse(Forbidden, "An administrator can't issue a pass for their own account. Another administrator can.")
		case p.Pass.MaxS == 0:
			return Pass{}, refuse(MethodForbidden, "The organisation's policy has no passes.")
		}
		lasts := p.Pass.MaxS
		if q.ExpiresS != nil {
			lasts = *q.ExpiresS
		}
		if lasts < 1 || lasts > p.Pass.MaxS {
			return Pass{}, invalid("expires_s", "The value must be from 1 to %d, as the policy says.", p.Pass.MaxS)
		}
		ends := u.now.Add(time.Duration(lasts) * time.Second)
		u.newPass(a.guard, p, code, ends)
		u.event(a.event(PassIssued, p, map[string]any{"reason": q.Reason, "expires": ends}).by(actor))
		u.putGuard(a, p)
		return Pass{Pass: &code, Expires: ends}, nil
	})
}

// RevokePass takes a user's pass back. It is dead when the call returns. It is not an error if the user has none. It needs the
// scope admin.
func (s *Service) RevokePass(ctx context.Context, call Call, org, user string) error {
	_, err := intervene(ctx, s, call, org, user, func(u *unit, a *account, p *orgPolicy) (none struct{}, err error) {
		if a.guard.Pass == nil {
			return none, nil
		}
		if a.guard.pass(p, u.now) != nil {
			u.event(a.event(PassRevoked, p, nil))
		}
		a.guard.Pass = nil
		u.putGuard(a, p)
		return none, nil
	})
	return err
}
