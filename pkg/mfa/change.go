package mfa

import (
	"context"

	"countersign/pkg/apikey"
)

// change runs a step on the account of a user who exists, for a client that may manage it.
func change[T any](ctx context.Context, s *Service, call Call, org, user string, decide func(*unit, *account, *orgPolicy) (T, error)) (T, error) {
	return changeAs(ctx, s, call, apikey.Manage, org, user, decide)
}

// changeAs is change for a client that needs another scope.
func changeAs[T any](ctx context.Context, s *Service, call Call, scope apikey.Scope, org, user string, decide func(*unit, *account, *orgPolicy) (T, error)) (T, error) {
	var none T
	if err := checkUser(org, user); err != nil {
		return none, err
	}
	var a *account
	var p *orgPolicy
	r := routeOf(org, user)
	return run(ctx, s, call, step[T]{
		scope: scope, org: org,
		reads: []read{s.readAccount(r, &a), readPolicy(r, org, &p)},
		decide: func(u *unit) (T, error) {
			if !a.exists() {
				return none, refuse(NotFound, "There is no such user.")
			}
			return decide(u, a, p)
		},
	})
}
