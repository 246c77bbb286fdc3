package mfa

import (
	"context"

	"countersign/pkg/apikey"
)

// GetUser returns a user's account. It returns NotFound for a user who was never seen, or was erased.
// An administrator in the portal sees it too, because each change that they make of it answers with it.
func (s *Service) GetUser(ctx context.Context, call Call, org, user string) (User, error) {
	if err := checkUser(org, user); err != nil {
		return User{}, err
	}
	var a *account
	var p *orgPolicy
	r := routeOf(org, user)
	return run(ctx, s, call, step[User]{
		scope: apikey.Manage, portal: byUser | byAdministrator | reading, org: org, about: r,
		reads: []read{s.readAccount(r, &a), readPolicy(r, org, &p)},
		decide: func(u *unit) (User, error) {
			if !a.exists() {
				return User{}, refuse(NotFound, "There is no such user.")
			}
			return a.shown(p, u.now), nil
		},
	})
}
