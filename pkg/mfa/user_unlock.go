package mfa

import (
	"context"

	"countersign/pkg/activity"
)

// Unlock ends every lock of a user, whatever end it had, and starts all counts of wrong answers anew. The user is told about
// it. If nothing is locked it changes nothing, so it can be repeated. It needs the scope admin.
func (s *Service) Unlock(ctx context.Context, call Call, org, user string, by Intervention) (User, error) {
	if err := by.check("", &call); err != nil {
		return User{}, err
	}
	return intervene(ctx, s, call, org, user, func(u *unit, a *account, p *orgPolicy) (User, error) {
		_, actor, err := u.administrator(org, "actor", by.Actor)
		if err != nil {
			return User{}, err
		}
		u.unlock(a, p, by.Reason, actor)
		return a.shown(p, u.now), nil
	})
}

// unlock plans to end every lock of a user, if there is one.
func (u *unit) unlock(a *account, p *orgPolicy, reason string, actor activity.Actor) {
	if a.guard.unlock(u.now) {
		u.event(a.event(UserUnlocked, p, map[string]any{"reason": reason}).by(actor))
		u.putGuard(a, p)
	}
}
