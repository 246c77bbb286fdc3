package api

import (
	"context"
	"net/http"

	"countersign/pkg/mfa"
)

// Account binds the step "account" to s.
func Account(s *mfa.Service) Handlers {
	return Handlers{step: "account", bound: map[string]handler{
		"getUser": serve(operation[struct{}, mfa.User]{
			bodiless: true,
			do: func(ctx context.Context, call mfa.Call, at target, _ struct{}) (mfa.User, error) {
				return s.GetUser(ctx, call, at.org, at.user)
			},
		}),
		"putUser": serve(operation[mfa.Person, mfa.User]{
			nullable: []string{"email", "phone", "name", "locale"},
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.Person) (mfa.User, error) {
				if q.ID != "" && q.ID != at.user {
					return mfa.User{}, invalid("id", "The path names another user.")
				}
				q.ID = at.user
				return s.PutUser(ctx, call, at.org, q)
			},
		}),
		"eraseUser": serve(operation[struct{}, struct{}]{
			bodiless: true,
			do: func(ctx context.Context, call mfa.Call, at target, _ struct{}) (struct{}, error) {
				return struct{}{}, s.EraseUser(ctx, call, at.org, at.user)
			},
			present: func(_ struct{}, a *answer) { a.status = http.StatusNoContent },
		}),
	}}
}
