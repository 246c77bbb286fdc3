package mfa

import (
	"context"

	"countersign/pkg/apikey"
)

// change runs a step on the account of a user who exists, for a client that may manage it, or for the user in the portal.
func change[T any](ctx context.Context, s *Service, call Call, org, user string, decide func(*unit, *account, *orgPolicy) (T, error)) (T, error) {
	return changeBy(ctx, s, call, apikey.Manage, byUser, org, user, decide)
}

// intervene is change for a client that may administer the org, or for an administrator in the portal.
func intervene[T any](ctx context.Context, s *Service, call Call, org, user string, decide func(*unit, *account, *orgPolicy) (T, error)) (T, error) {
	return changeBy(ctx, s, call, apikey.Admin, byAdministrator, org, user, decide)
}

// changeBy is change for an API key with another scope, or for other portal sessions.
func changeBy[T any](ctx context.Context, s *Service, call Call, scope apikey.Scope, portal portalUse, org, user string, decide func(*unit, *account, *orgPolicy) (T, error)) (T, error) {
	var none T
	if err := checkUser(org, user); err != nil {
		return none, err
	}
	var a *account
	var p *orgPolicy
	r := routeOf(org, user)
	return run(ctx, s, call, step[T]{
		scope: scope, portal: portal, org: org, about: r,
		reads: []read{s.readAccount(r, &a), readPolicy(r, org, &p)},
		decide: func(u *unit) (T, error) {
			if !a.exists() {
				return none, refuse(NotFound, "There is no such user.")
			}
			return decide(u, a, p)
		},
	})
}
