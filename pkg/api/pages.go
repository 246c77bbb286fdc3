package api

import (
	"context"
	"net/http"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// Pages binds the step "pages": what anybody may fetch. It shows the public keys of keys. The service is healthy when
// its keys can be had and health, if it isn't nil, finds nothing wrong.
func Pages(keys seal.Keeper, health func(context.Context) error) Handlers {
	return Handlers{step: "pages", bound: map[string]handler{
		"getKeys": func(x *exchange, _ map[string]string) (answer, error) {
			ring, err := keys.Ring(x.ctx)
			if err != nil {
				return answer{}, mfa.AsError(err)
			}
			return answer{status: http.StatusOK, contentType: "application/json", body: ring.JWKS()}, nil
		},
		"getHealth": func(x *exchange, _ map[string]string) (answer, error) {
			if _, err := keys.Ring(x.ctx); err != nil {
				return answer{}, mfa.AsError(err)
			}
			if health != nil {
				if err := health(x.ctx); err != nil {
					return answer{}, mfa.AsError(err)
				}
			}
			return answer{status: http.StatusOK, contentType: "application/json", body: []byte(`{"status":"ok"}`)}, nil
		},
		"explainProblem": explain,
	}}
}
