package mfa

import "context"

// SetEnabled turns a user's 2FA on or off. Factors and recovery codes stay. The user must have just shown who they are (see
// Call). Turning it off ends trust in all of the user's browsers, and is RequiredByPolicy for a user who is required to use
// 2FA.
func (s *Service) SetEnabled(ctx context.Context, call Call, org, user string, on bool) (User, error) {
	return change(ctx, s, call, org, user, func(u *unit, a *account, p *orgPolicy) (User, error) {
		if err := u.fresh(call, a, p); err != nil {
			return User{}, err
		}
		g := a.guard
		if !on && g.required(&p.Policy) {
			return User{}, refuse(RequiredByPolicy, "The user is required to use 2FA, so it can't be turned off.")
		}
		if g.Enabled == on {
			return a.shown(p, u.now), nil
		}
		g.Enabled = on
		if on {
			u.event(a.event(UserEnabled, p, nil))
		} else {
			u.event(a.event(UserDisabled, p, nil))
			u.endTrust(a, p, "disabled")
		}
		u.putRosterEntry(a)
		u.putGuard(a, p)
		return a.shown(p, u.now), nil
	})
}
