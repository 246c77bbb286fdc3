package api

import (
	"context"
	"net/http"

	"countersign/pkg/mfa"
)

// Admin binds the routes of the step "admin" to s.
func Admin(s *mfa.Service) Handlers {
	return Handlers{step: "admin", bound: map[string]handler{
		"listOrgs": serve(operation[mfa.ListQuery, mfa.Orgs]{
			bodiless: true, query: paging,
			do: func(ctx context.Context, call mfa.Call, _ target, q mfa.ListQuery) (mfa.Orgs, error) {
				return s.ListOrgs(ctx, call, q)
			},
		}),
		"eraseOrg": serve(operation[struct{}, orgErasure]{
			bodiless: true,
			do: func(ctx context.Context, call mfa.Call, at target, _ struct{}) (orgErasure, error) {
				done, err := s.EraseOrg(ctx, call, at.org)
				return orgErasure{Org: at.org, State: "erasing", done: done}, err
			},
			present: func(e orgErasure, a *answer) {
				if a.status = http.StatusAccepted; e.done {
					a.status = http.StatusNoContent
				}
			},
		}),
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

// An orgErasure says of an erasure that it goes on. When it is done, the answer has no body.
type orgErasure struct {
	Org   string `json:"org"`
	State string `json:"state"`
	done  bool
}
