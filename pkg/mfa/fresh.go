package mfa

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"countersign/pkg/seal"
)

const (
	freshness = 10 * time.Minute // how long a password check counts, and a step-up as a proof
	clockSkew = time.Minute      // how far a client's clock may be ahead
)

// accountAction is the action of a step-up that is a proof for changing the account. A step-up without an action is one too.
const accountAction = "account"

// fresh refuses to change an account unless the client has just checked the user's password and, while the user's 2FA is on,
// the user has just stepped up with a factor that is strong enough. Neither of them is bound to the change: the client's
// word is enough.
func (u *unit) fresh(call Call, a *account, p *orgPolicy) error {
	return u.freshFor(call, a, p, false)
}

// freshToBegin is fresh for beginning an enrolment. A recovery code is proof enough for that, and for nothing else, so that
// a user who has lost the only app can go on (NIST SP 800-63B-4 section 4.2.2.2).
func (u *unit) freshToBegin(call Call, a *account, p *orgPolicy) error {
	return u.freshFor(call, a, p, true)
}

func (u *unit) freshFor(call Call, a *account, p *orgPolicy, beginning bool) error {
	if err := u.reauthenticated(call); err != nil {
		return err
	}
	if a.guard.ProveAddress != "" {
		return refuse(StepUpNeeded, "The user's 2FA was reset because the user has asked for it. Start a step-up first: in it the user proves the email address that was known then, and enrols a factor.")
	}
	strongest, guarded := a.guardedBy(&p.Policy)
	if !guarded {
		return nil
	}
	proof, err := u.proof(call.Proof, a.guard)
	switch {
	case err != nil:
		return err
	case proof != nil && proof.Recovered && beginning:
		return nil
	case proof != nil && !proof.Recovered && proof.Kind.proves(strongest):
		return nil
	case a.onlyForbidden(&p.Policy):
		return refuse(StepUpNeeded, "The policy forbids every factor that the user has. Start a step-up first: in it the user proves the known email address and enrols another factor.")
	case proof == nil:
		return refuse(StepUpNeeded, "The user's 2FA is on. Let the user answer a step-up, and give the token of that answer in the header Countersign-Proof within 10 minutes.")
	case proof.Recovered:
		return refuse(StepUpNeeded, "A step-up that was answered with a recovery code allows the user to begin an enrolment, and nothing else. Let the user answer a step-up with a factor.")
	}
	return refuse(StepUpNeeded, "The user has a stronger factor than the one that answered this step-up. Let the user answer a step-up with the stronger one.")
}

// reauthenticated refuses a call unless the client has checked the user's password within the last 10 minutes. A browser with a portal
// token can't say so: what counts is what the client said when it began the session.
func (u *unit) reauthenticated(call Call) error {
	said := call.Reauthenticated
	how := "Check the user's password again, and give the time of that check in the header Countersign-Reauthenticated-At (RFC 3339, at most 10 minutes ago)."
	if s := u.caller.session; s != nil {
		said, how = "", "The password was checked too long ago for this. Go back to the application, sign in again, and come back with another portal session."
		if s.Reauthenticated != nil {
			said = s.Reauthenticated.Format(time.RFC3339Nano)
		}
	}
	at, err := time.Parse(time.RFC3339, said)
	if err != nil || u.now.Sub(at) > freshness || at.Sub(u.now) > clockSkew {
		return refuse(ReauthenticationNeeded, how)
	}
	return nil
}

// guardedBy returns the kind that a proof is measured by. That is the strongest one that the user can answer with or, if the
// policy forbids every factor of the user, the strongest of those. It returns false if a password check is enough.
func (a *account) guardedBy(p *Policy) (strongest Kind, guarded bool) {
	if a.onlyForbidden(p) {
		return a.guard.kinds()[0], true
	}
	if a.on(p) {
		return a.factors(p)[0].Kind, true
	}
	return "", false
}

// onlyForbidden reports whether the user has factors and the policy forbids all of them. 2FA then counts as off at a sign-in
// that is not required to ask, but a password alone changes nothing of the account.
func (a *account) onlyForbidden(p *Policy) bool {
	return a.guard != nil && len(a.guard.Factors) > 0 && len(a.factors(p)) == 0
}

// proof reads a token as the proof of a step-up that this user has answered for this client within the last 10 minutes. It
// returns nil for any other token, such as one that was given for a pass. Its caller decides what the proof is good for. What
// counts is when the user answered, because the token may have been signed again since. A proof is bound to the user's epoch,
// so a new epoch ends it.
func (u *unit) proof(token seal.Secret, g *guard) (*tokenClaims, error) {
	raw, err := u.ring.Verify(token.Reveal())
	switch {
	case errors.Is(err, seal.ErrUnknownKey) && !u.reloaded:
		return nil, err
	case err != nil:
		return nil, nil
	}
	var c tokenClaims
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, nil
	}
	if c.ByPass {
		return nil, nil
	}
	answered := c.MFATime
	if c.Recovered {
		answered = c.RecoveredAt
	}
	if answered == nil {
		return nil, nil
	}
	age := u.now.Sub(time.Unix(*answered, 0))
	if c.Issuer != u.s.Issuer || c.Audience != u.caller.grant().Client || c.Org != g.Org || c.Subject != g.User ||
		!c.Verified || c.Decision != Challenge || c.Purpose != StepUp ||
		c.Action != nil && *c.Action != accountAction ||
		c.Epoch != epochClaim(g.Epoch) || age > freshness || age < -clockSkew {
		return nil, nil
	}
	return &c, nil
}

// epochClaim names an epoch in a token, without revealing it.
func epochClaim(epoch string) string {
	if epoch == "" {
		return ""
	}
	sum := sha256.Sum256(seal.Join("epoch of a token", epoch))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
