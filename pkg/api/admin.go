package api

import (
	"context"
	"net/http"

	"countersign/pkg/mfa"
)

// Admin binds the routes of the step "admin" to s.
func Admin(s *mfa.Service) Handlers {
	return Handlers{step: "admin", knows: s.Knows, bound: map[string]handler{
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
		"getAdoption": serve(operation[mfa.AdoptionQuery, mfa.Adoption]{
			bodiless: true,
			query: map[string]func(string, *mfa.AdoptionQuery) error{
				"from": func(value string, q *mfa.AdoptionQuery) error { return readDay("from", value, 0, &q.From) },
				"to":   func(value string, q *mfa.AdoptionQuery) error { return readDay("to", value, 1, &q.To) },
			},
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.AdoptionQuery) (mfa.Adoption, error) {
				q.Org = at.org
				return s.Adoption(ctx, call, q)
			},
		}),
		"unlockUser": serve(operation[mfa.Intervention, mfa.User]{
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.Intervention) (mfa.User, error) {
				return s.Unlock(ctx, call, at.org, at.user, q)
			},
		}),
		"resetUser": serve(operation[mfa.Intervention, mfa.ResetAnswer]{
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.Intervention) (mfa.ResetAnswer, error) {
				return s.ResetUser(ctx, call, at.org, at.user, q)
			},
			present: func(res mfa.ResetAnswer, a *answer) {
				if res.Request != nil {
					a.status = http.StatusAccepted
				}
			},
		}),
		"listResets": serve(operation[mfa.ResetsQuery, mfa.ResetRequests]{
			bodiless: true, query: resetsQuery,
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.ResetsQuery) (mfa.ResetRequests, error) {
				return s.ListResets(ctx, call, at.org, q)
			},
		}),
		"getReset": serve(operation[struct{}, mfa.ResetRequest]{
			bodiless: true,
			do: func(ctx context.Context, call mfa.Call, at target, _ struct{}) (mfa.ResetRequest, error) {
				return s.GetReset(ctx, call, at.id)
			},
		}),
		"approveReset": serve(operation[resetDecision, mfa.ResetRequest]{
			do: func(ctx context.Context, call mfa.Call, at target, q resetDecision) (mfa.ResetRequest, error) {
				return s.ApproveReset(ctx, call, at.id, q.Actor)
			},
		}),
		"beginPortalSession": serve(operation[mfa.PortalRequest, mfa.BegunPortal]{
			nullable: []string{"user", "administrator", "reauthenticated_at", "return_url", "locale"},
			words:    []string{"user"},
			do: func(ctx context.Context, call mfa.Call, _ target, q mfa.PortalRequest) (mfa.BegunPortal, error) {
				return s.BeginPortalSession(ctx, call, q)
			},
			present: func(_ mfa.BegunPortal, a *answer) { a.status = http.StatusCreated },
		}),
		"getPortalSession": serve(operation[struct{}, mfa.PortalSession]{
			bodiless: true,
			do: func(ctx context.Context, call mfa.Call, _ target, _ struct{}) (mfa.PortalSession, error) {
				return s.LookAtPortalSession(ctx, call)
			},
		}),
		"redeemHandle": redeems(s),
		"cancelReset": serve(operation[resetDecision, mfa.ResetRequest]{
			do: func(ctx context.Context, call mfa.Call, at target, q resetDecision) (mfa.ResetRequest, error) {
				return s.CancelReset(ctx, call, at.id, q.Actor)
			},
		}),
		"issuePass": serve(operation[mfa.PassRequest, mfa.Pass]{
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.PassRequest) (mfa.Pass, error) {
				return s.IssuePass(ctx, call, at.org, at.user, q)
			},
			present: func(_ mfa.Pass, a *answer) { a.status = http.StatusCreated },
		}),
		"importUsers": importOf(s),
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

// A resetDecision approves or cancels a request for a reset.
type resetDecision struct {
	Actor string `json:"actor"`
}

// resetsQuery has the query parameters of the list of requests for a reset.
var resetsQuery = map[string]func(string, *mfa.ResetsQuery) error{
	"state":  func(value string, q *mfa.ResetsQuery) error { q.State = value; return nil },
	"limit":  func(value string, q *mfa.ResetsQuery) error { return paging["limit"](value, &q.ListQuery) },
	"cursor": func(value string, q *mfa.ResetsQuery) error { return paging["cursor"](value, &q.ListQuery) },
}
