package api

import (
	"context"
	"net/http"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// Pages binds the routes of the step "pages", which anyone can call without a bearer token. keys returns the public keys of
// the deployment as a JWK set (RFC 7517). The health check succeeds if keys succeeds. related are the origins on whose pages
// the passkeys of the deployment's RP ID can be used although they are on other domains; there may be none.
func Pages(keys func(context.Context) ([]byte, error), related ...string) Handlers {
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
		"getRelatedOrigins": open(func(*exchange, map[string]string) (answer, error) {
			if len(related) == 0 {
				return answer{}, &mfa.Error{Code: mfa.NotFound, Detail: "This deployment has no related origins."}
			}
			body, err := encode(relatedOrigins{related})
			return answer{status: http.StatusOK, contentType: "application/json", body: body}, err
		}),
		"explainProblem": open(explain),
	}}
}

// relatedOrigins is the document by which browsers find out on which other domains a passkey can be used (Web Authentication
// Level 3, section 5.11).
type relatedOrigins struct {
	Origins []string `json:"origins"`
}
