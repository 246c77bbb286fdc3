package api

import (
	"context"
	"net/http"

	"countersign/pkg/mfa"
)

// Enrol binds the routes of the step "enrol" to s.
func Enrol(s *mfa.Service) Handlers {
	return Handlers{step: "enrol", knows: s.Knows, bound: map[string]handler{
		"beginEnrolment": serve(operation[mfa.EnrolRequest, mfa.EnrolAnswer]{
			nullable: []string{
				"org", "user", "user.email", "user.phone", "user.name", "user.locale", "label", "phone", "on_behalf", "variant",
			},
			words: []string{"variant"},
			do: func(ctx context.Context, call mfa.Call, _ target, q mfa.EnrolRequest) (mfa.EnrolAnswer, error) {
				return s.BeginEnrolment(ctx, call, q)
			},
			present: func(_ mfa.EnrolAnswer, a *answer) { a.status = http.StatusCreated },
		}),
		"getEnrolment": serve(operation[struct{}, mfa.BegunSignIn]{
			bodiless: true,
			do: func(ctx context.Context, call mfa.Call, _ target, _ struct{}) (mfa.BegunSignIn, error) {
				return s.LookAtEnrolment(ctx, call)
			},
		}),
		"proveAddress": serve(operation[mfa.ProveRequest, mfa.ProveAnswer]{
			do: func(ctx context.Context, call mfa.Call, _ target, q mfa.ProveRequest) (mfa.ProveAnswer, error) {
				return s.ProveAddress(ctx, call, q)
			},
		}),
		"sendEnrolmentCode": serve(operation[struct{}, mfa.SendAnswer]{
			optional: true,
			do: func(ctx context.Context, call mfa.Call, at target, _ struct{}) (mfa.SendAnswer, error) {
				return s.SendEnrolment(ctx, call, at.id)
			},
		}),
		"finishEnrolment": serve(operation[mfa.FinishRequest, mfa.FinishAnswer]{
			nullable: []string{insideCredential},
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.FinishRequest) (mfa.FinishAnswer, error) {
				q.Enrolment = at.id
				return s.FinishEnrolment(ctx, call, q)
			},
			present: func(_ mfa.FinishAnswer, a *answer) { a.status = http.StatusCreated },
		}),
	}}
}
