package api

import (
	"context"
	"net/http"

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
		"issuePass": serve(operation[mfa.PassRequest, mfa.Pass]{
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.PassRequest) (mfa.Pass, error) {
				return s.IssuePass(ctx, call, at.org, at.user, q)
			},
			present: func(_ mfa.Pass, a *answer) { a.status = http.StatusCreated },
		}),
		"revokePass": gone(func(ctx context.Context, call mfa.Call, at target) error {
			return s.RevokePass(ctx, call, at.org, at.user)
		}),
	}}
}
