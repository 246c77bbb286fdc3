package mfa

import (
	"context"
	"time"

	"countersign/pkg/apikey"
)

// An Enforcement changes what an administrator demands of one user, besides what the policy demands of everyone.
type Enforcement struct {
	Enforced   *bool               // whether the user is required to use 2FA; nil if that stays as it is
	GraceUntil Optional[time.Time] // until when the user may skip setting a factor up; null stands for what the policy says
}

// Enforce changes what is demanded of one user. If the user has to enrol a factor because of that, and the policy signs users
// out at once, all sessions of the user are ended. It needs the scope admin.
func (s *Service) Enforce(ctx context.Context, call Call, org, user string, q Enforcement) (User, error) {
	if q.Enforced == nil && !q.GraceUntil.Set {
		return User{}, invalid("enforced", "Give enforced, grace_until or both.")
	}
	if err := checkUser(org, user); err != nil {
		return User{}, err
	}
	var a *account
	var p *orgPolicy
	var passing fence
	r := routeOf(org, user)
	return run(ctx, s, call, step[User]{
		scope: apikey.Admin, portal: byAdministrator, org: org,
		reads: []read{s.readAccount(r, &a), readPolicy(r, org, &p), readFence(r, &passing)},
		decide: func(u *unit) (User, error) {
			if !a.exists() {
				return User{}, refuse(NotFound, "There is no such user.")
			}
			before, g := a.guard.facts(), a.guard
			if q.Enforced != nil && g.Enforced != *q.Enforced {
				g.Enforced = *q.Enforced
				u.event(a.event(UserEnforced, p, map[string]any{"enforced": g.Enforced}))
			}
			if until := q.GraceUntil.Value; q.GraceUntil.Set && !sameMoment(g.GraceUntil, until) {
				g.GraceUntil = nil
				data := map[string]any{"grace_until": nil}
				if until != nil {
					at := until.UTC().Truncate(time.Microsecond)
					g.GraceUntil, data["grace_until"] = &at, at
				}
				u.event(a.event(UserGraceChanged, p, data))
			}
			if len(u.events) == 0 {
				return a.shown(p, u.now), nil
			}
			after, d := g.facts(), p.demand()
			if p.Effect == SignOutNow && d.mustEnrol(&after, u.now) && !d.mustEnrol(&before, u.now) {
				u.endSessions(a, p, signedOutByPolicy)
				u.event(a.event(UserSignedOut, p, map[string]any{"before": g.SessionsEnded.At}))
			}
			u.putRosterEntry(a)
			u.putGuard(a, p)
			return a.shown(p, u.now), u.pass(&passing, p)
		},
	})
}

func sameMoment(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(b.UTC().Truncate(time.Microsecond))
}
