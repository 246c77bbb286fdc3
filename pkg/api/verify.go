package api

import (
	"context"

	"countersign/pkg/mfa"
)

// insideCredential means all fields inside a credential. Browsers write null for a value that they don't have.
const insideCredential = "credential.*"

// Verify binds the routes of the step "verify" to s.
func Verify(s *mfa.Service) Handlers {
	return Handlers{step: "verify", knows: s.Knows, bound: map[string]handler{
		"verifyChallenge": serve(operation[mfa.VerifyRequest, mfa.VerifyAnswer]{
			nullable: []string{"factor", "trust", insideCredential},
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.VerifyRequest) (mfa.VerifyAnswer, error) {
				q.Challenge = at.id
				return s.Verify(ctx, call, q)
			},
		}),
	}}
}
