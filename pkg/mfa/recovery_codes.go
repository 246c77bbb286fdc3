package mfa

import (
	"context"
	"slices"
	"time"

	"countersign/pkg/seal"
)

// A RecoveryCodes is a new set of recovery codes, which is shown once.
type RecoveryCodes struct {
	RecoveryCodes []seal.Secret `json:"recovery_codes,omitempty"`
	Created       time.Time     `json:"created"`
}

// WithoutShownOnce returns the answer as it is repeated once what is shown only once may not be repeated any more.
func (a RecoveryCodes) WithoutShownOnce() any {
	a.RecoveryCodes = nil
	return a
}

// NewRecoveryCodes makes a new set of recovery codes. The set before it is dead when the call returns. The user must have
// just shown who they are (see Call). It returns MethodForbidden if the policy has no recovery codes, or the user has no
// factor that they could stand in for.
func (s *Service) NewRecoveryCodes(ctx context.Context, call Call, org, user string) (RecoveryCodes, error) {
	return change(ctx, s, call, org, user, func(u *unit, a *account, p *orgPolicy) (RecoveryCodes, error) {
		if made := a.guard.Recovery; made != nil && slices.Contains(u.versions, made.MadeBy) {
			return RecoveryCodes{RecoveryCodes: u.codes, Created: made.Made}, nil // an earlier try of this call has made it
		}
		if err := u.fresh(call, a, p); err != nil {
			return RecoveryCodes{}, err
		}
		if p.Recovery.Count == 0 || len(a.factors(&p.Policy)) == 0 {
			return RecoveryCodes{}, refuse(MethodForbidden, "The policy has no recovery codes, or the user has no factor that they could stand in for.")
		}
		u.newRecovery(a.guard, p)
		u.event(a.event(RecoveryMade, p, map[string]any{"codes_left": len(u.codes)}))
		u.putGuard(a, p)
		return RecoveryCodes{RecoveryCodes: u.codes, Created: u.now}, nil
	})
}
