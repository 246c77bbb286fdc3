package api

import (
	"context"
	"io"
	"net/http"
)

// An OwnCall is a call that a program has beside the API, such as those of the local server. It has the same problems, JSON
// and limits as the calls of the API. It needs no bearer token.
type OwnCall struct {
	route  Route
	handle handler
}

// OwnRules say what the request of an OwnCall may contain.
type OwnRules struct {
	Query    []string // the names of query parameters; each can be given once, with a value
	Body     bool     // whether there can be a body, which is a JSON object; a body that is left out means an empty object
	Nullable []string // the fields that may be null, which means the same as leaving them out
	Words    []string // the fields that can't be an empty text
}

// A Stream writes the answer of an OwnCall, which is JSON of any length. The answer is sent while it is made, so it is never in
// memory as a whole. If the Stream fails, the connection is cut, so that nobody mistakes the first part for the whole answer.
type Stream func(context.Context, io.Writer) error

// Own makes an OwnCall that is answered by do. said has the parameters of the query, and q is the body. If do returns nil, the
// answer has the status 204 and no body. If it returns a Stream, the Stream writes the body.
func Own[Req any](method, path string, rules OwnRules, do func(ctx context.Context, said map[string]string, q Req) (any, error)) OwnCall {
	return OwnCall{Route{Method: method, Pattern: path, Open: true}, func(x *exchange, _ map[string]string) (answer, error) {
		said, err := parseQuery(x.r.URL.RawQuery, rules.Query...)
		if err != nil {
			return answer{}, err
		}
		var q Req
		if !rules.Body {
			err = x.noBody()
		} else if body, e := x.body(true, false); e != nil {
			err = e
		} else if len(body) > 0 {
			err = decode(body, &q, rules.Nullable, rules.Words)
		}
		if err != nil {
			return answer{}, err
		}
		res, err := do(x.ctx, said, q)
		if err != nil {
			return answer{}, err
		}
		switch res := res.(type) {
		case nil:
			return answer{status: http.StatusNoContent}, nil
		case Stream:
			return answer{status: http.StatusOK, contentType: "application/json", stream: res}, nil
		}
		a := answer{status: http.StatusOK}
		return a, a.write(res)
	}}
}

// NewOwn makes the HTTP handler for calls that a program has beside the API.
func NewOwn(o Options, calls ...OwnCall) http.Handler {
	d := newDoor(o)
	for i := range calls {
		d.add(&calls[i].route, calls[i].handle)
	}
	return d
}
