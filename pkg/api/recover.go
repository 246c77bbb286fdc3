package api

import (
	"context"
	"net/http"

	"countersign/pkg/mfa"
)

// Recover binds the routes of the step "recover" to s.
func Recover(s *mfa.Service) Handlers {
	return Handlers{step: "recover", knows: s.Knows, bound: map[string]handler{
		"recoverChallenge": serve(operation[mfa.RecoverRequest, mfa.RecoverAnswer]{
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.RecoverRequest) (mfa.RecoverAnswer, error) {
				q.Challenge = at.id
				return s.Recover(ctx, call, q)
			},
		}),
		"requestReset": serve(operation[mfa.ResetAsk, mfa.AskedReset]{
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.ResetAsk) (mfa.AskedReset, error) {
				q.Challenge = at.id
				return s.RequestReset(ctx, call, q)
			},
			present: func(_ mfa.AskedReset, a *answer) { a.status = http.StatusAccepted },
		}),
	}}
}
