package machine

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/pkg/apikey"
)

// A BrowserAccess says which pages of other origins may call the API from a browser (CORS). It has the settings that the
// CorsConfiguration of an HTTP API has. The zero value allows no origin.
type BrowserAccess struct {
	Origins []string // scheme, host and port, as a browser writes them in the header Origin
	Methods []string
	Headers []string      // the headers that a request may have
	Exposed []string      // the headers of an answer that a page may read
	MaxAge  time.Duration // for how long a browser may keep the answer to a preflight
}

// AccessFrom returns the access that template.yaml gives to the pages of these origins.
func AccessFrom(origins []string) BrowserAccess {
	return BrowserAccess{
		Origins: origins,
		Methods: []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"},
		Headers: []string{"authorization", "content-type", "idempotency-key", "if-match", "countersign-proof", "x-request-id"},
		Exposed: []string{"x-request-id", "retry-after", "etag"},
		MaxAge:  2 * time.Hour,
	}
}

// Before wraps the API in a handler that does what API Gateway does: it answers preflights by itself, and adds to all other
// answers the headers that tell the browser whether the page may read them. No answer names an origin that isn't in the list,
// and no answer allows cookies.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
func (a BrowserAccess) Before(api http.Handler) http.Handler {
	if len(a.Origins) == 0 {
		return api
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := r.Header.Values("Origin")
		allowed := len(sent) == 1 && slices.Contains(a.Origins, sent[0])
		if allowed {
			w.Header().Set("Access-Control-Allow-Origin", sent[0])
		}
		if r.Method == http.MethodOptions && len(sent) > 0 && r.Header.Get("Access-Control-Request-Method") != "" {
			if allowed {
				w.Header().Set("Access-Control-Allow-Methods", strings.Join(a.Methods, ","))
				w.Header().Set("Access-Control-Allow-Headers", strings.Join(a.Headers, ","))
				w.Header().Set("Access-Control-Max-Age", strconv.Itoa(int(a.MaxAge/time.Second)))
			}
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if allowed {
			w.Header().Set("Access-Control-Expose-Headers", strings.Join(a.Exposed, ","))
		}
		api.ServeHTTP(w, r)
	})
}

// readOrigins reads a list of origins that are separated by commas. An empty text means an empty list.
func readOrigins(list string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	origins := strings.Split(list, ",")
	for _, origin := range origins {
		if err := apikey.CheckOrigin(origin); err != nil {
			return nil, err
		}
	}
	return origins, nil
}
