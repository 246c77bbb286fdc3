package mfa

import (
	"context"

	"countersign/pkg/apikey"
)

// ResetUser removes a user's 2FA on the word of an administrator: all factors, trusted browsers and recovery codes. Challenges,
// enrolments and proofs are dead when it returns, and 2FA is off. Where 2FA is required, the next sign-in leads to an enrolment.
// The user is told by every channel that they had. Locks stay: see Unlock. It needs the scope admin. An administrator can't reset
// their own account, which is Forbidden.
func (s *Service) ResetUser(ctx context.Context, call Call, org, user string, by Intervention) (User, error) {
	if err := by.check(""); err != nil {
		return User{}, err
	}
	return changeAs(ctx, s, call, apikey.Admin, org, user, func(u *unit, a *account, p *orgPolicy) (User, error) {
		if by.Actor == user {
			return User{}, refuse(Forbidden, "An administrator can't reset their own account. Another administrator can.")
		}
		u.reset(a, p, u.resetEvent(a, p, by.Reason).by(by.administrator()))
		return a.shown(p, u.now), nil
	})
}

func (u *unit) resetEvent(a *account, p *orgPolicy, reason string) pendingEvent {
	return a.event(UserReset, p, map[string]any{"reason": reason})
}

// causeReset is the cause of what a reset ends. The user is told about the reset, and not about each of these.
const causeReset = "reset"

// reset plans that the user has no 2FA any more. The event says who has done that.
func (u *unit) reset(a *account, p *orgPolicy, e pendingEvent) {
	before := len(u.events)
	u.event(e)
	if a.guard.Enabled {
		u.event(a.event(UserDisabled, p, map[string]any{"cause": causeReset}))
	}
	u.removeAll(a, p, causeReset)
	for i := range u.events[before:] {
		u.events[before+i].Actor = e.Actor
	}
	u.putRosterEntry(a)
	u.putGuard(a, p)
}
