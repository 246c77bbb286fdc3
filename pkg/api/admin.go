package api

import (
	"context"

	"countersign/pkg/mfa"
)

// Admin binds the routes of the step "admin" to s.
func Admin(s *mfa.Service) Handlers {
	return Handlers{step: "admin", bound: map[string]handler{
		"unlockUser": serve(operation[mfa.Intervention, mfa.User]{
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.Intervention) (mfa.User, error) {
				return s.Unlock(ctx, call, at.org, at.user, q)
			},
		}),
		"resetUser": serve(operation[mfa.Intervention, mfa.User]{
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.Intervention) (mfa.User, error) {
				return s.ResetUser(ctx, call, at.org, at.user, q)
			},
		}),
	}}
}
