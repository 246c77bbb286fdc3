package api

import (
	"net/http"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// A handleRequest gives a handle.
type handleRequest struct {
	Handle seal.Secret `json:"handle"`
}

// redeems answers the call that gives a bearer in exchange for a handle. The handle is all that the caller needs.
func redeems(s *mfa.Service) handler {
	return func(x *exchange, _ map[string]string) (answer, error) {
		if _, err := parseQuery(x.r.URL.RawQuery); err != nil {
			return answer{}, err
		}
		body, err := x.body(false, false)
		if err != nil {
			return answer{}, err
		}
		var q handleRequest
		if err := decode(body, &q, nil, nil); err != nil {
			return answer{}, err
		}
		if q.Handle.IsZero() {
			return answer{}, invalid("handle", "The handle is required.")
		}
		say := func(res any) (a answer, err error) {
			a.status = http.StatusOK
			err = a.write(res)
			return a, err
		}
		var call mfa.Call
		if call.Replay, err = x.replay(body, say); err != nil {
			return answer{}, err
		}
		redeemed, err := s.RedeemHandle(x.ctx, call, q.Handle)
		if err != nil {
			return answer{}, err
		}
		return say(redeemed)
	}
}
