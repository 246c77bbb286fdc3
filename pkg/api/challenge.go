package api

import (
	"context"
	"net/http"

	"countersign/pkg/mfa"
)

// nullableAtStart lists the fields of a sign-in that may be null. Null means the same as leaving the field out.
var nullableAtStart = []string{
	"user.email", "user.phone", "user.name", "user.locale",
	"first_factor", "first_factor.kind", "first_factor.at", "first_factor.idp", "first_factor.amr", "first_factor.acr",
	"purpose", "action", "nonce", "method", "trust_token", "known_token", "context", "context.ip", "context.user_agent", "context.risk", "return_url",
}

// wordsAtStart lists the fields of a sign-in in which an empty text is refused. It would be taken for a field that was left out.
var wordsAtStart = []string{"purpose", "action", "first_factor.kind", "context.risk"}

// Challenge binds the routes of the step "challenge" to s.
func Challenge(s *mfa.Service) Handlers {
	return Handlers{step: "challenge", knows: s.Knows, bound: map[string]handler{
		"decide": serve(operation[mfa.StartRequest, mfa.Decision]{
			nullable: nullableAtStart, words: wordsAtStart,
			repeats: true,
			do: func(ctx context.Context, call mfa.Call, _ target, q mfa.StartRequest) (mfa.Decision, error) {
				return s.Decide(ctx, call, q)
			},
		}),
		"startChallenge": serve(operation[mfa.StartRequest, mfa.StartAnswer]{
			nullable: nullableAtStart, words: wordsAtStart,
			do: func(ctx context.Context, call mfa.Call, _ target, q mfa.StartRequest) (mfa.StartAnswer, error) {
				return s.StartChallenge(ctx, call, q)
			},
			present: func(res mfa.StartAnswer, a *answer) {
				if res.Decision.Decision != mfa.Allow {
					a.status = http.StatusCreated
				}
			},
		}),
		"sendCode": serve(operation[mfa.SendRequest, mfa.SendAnswer]{
			nullable: []string{"factor"},
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.SendRequest) (mfa.SendAnswer, error) {
				q.Challenge = at.id
				return s.SendCode(ctx, call, q)
			},
		}),
		"getChallenge": serve(operation[struct{}, mfa.ChallengeState]{
			bodiless: true,
			do: func(ctx context.Context, call mfa.Call, at target, _ struct{}) (mfa.ChallengeState, error) {
				return s.LookAtChallenge(ctx, call, at.id)
			},
		}),
	}}
}
