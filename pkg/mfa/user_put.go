package mfa

import (
	"context"

	"countersign/pkg/apikey"
)

// PutUser makes a user, or brings one up to date with the client's directory. A field that is absent stays as it is, and
// null clears it. A new email or phone ends trust, challenges, enrolments and proofs. A bad value is InvalidRequest.
func (s *Service) PutUser(ctx context.Context, call Call, org string, said Person) (User, error) {
	if err := checkUser(org, said.ID); err != nil {
		return User{}, err
	}
	if bad := new(profile).update(said); len(bad) > 0 {
		return User{}, invalid(bad[0], "This is not a valid %s.", bad[0])
	}
	var a *account
	var p *orgPolicy
	r := routeOf(org, said.ID)
	return run(ctx, s, call, step[User]{
		scope: apikey.Manage, org: org,
		reads: []read{s.readAccount(r, &a), readPolicy(r, org, &p)},
		decide: func(u *unit) (User, error) {
			applied := u.applyProfile(a, p, org, said)
			if a.guard.Deprovisioned {
				a.guard.Deprovisioned, applied.changed = false, true
			}
			if applied.relist {
				u.putRosterEntry(a)
			}
			if applied.changed {
				u.putGuard(a, p)
			}
			return a.shown(p, u.now), nil
		},
	})
}
