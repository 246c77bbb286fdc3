package api

import (
	"context"
	"net/http"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// Pages binds the routes of the step "pages", which anyone can call without a bearer token. keys returns the public keys of
// the deployment as a JWK set (RFC 7517). The health check succeeds if keys succeeds.
func Pages(keys func(context.Context) ([]byte, error)) Handlers {
	return Handlers{step: "pages", bound: map[string]handler{
		"getKeys": open(func(x *exchange, _ map[string]string) (answer, error) {
			published, err := keys(x.ctx)
			if err != nil {
				return answer{}, mfa.AsError(err)
			}
			return answer{status: http.StatusOK, contentType: "application/json", body: published, maxAge: seal.JWKSAge}, nil
		}),
		"getHealth": open(func(x *exchange, _ map[string]string) (answer, error) {
			if _, err := keys(x.ctx); err != nil {
				return answer{}, mfa.AsError(err)
			}
			return answer{status: http.StatusOK, contentType: "application/json", body: []byte(`{"status":"ok"}`)}, nil
		}),
		"explainProblem": open(explain),
	}}
}
