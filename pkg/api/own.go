package api

import (
	"context"
	"io"
	"net/http"

	"countersign/pkg/mfa"
)

// An OwnCall is a call that a program has beside the API, such as those of a server on one person's machine. It is answered
// under the API's ground rules: the same problems, the same JSON, the same limits. It needs no bearer.
type OwnCall struct {
	route  Route
	handle handler
}

// OwnRules say what a request of an own call may have.
type OwnRules struct {
	Query    []string // names, each once and with a value
	Body     bool     // a JSON object; left out, it is as an empty one
	Nullable []string // fields that may be null, which leaves them out
	Words    []string // fields that can't be an empty text
}

// A Stream is the answer of an own call that is JSON of any length: it is sent while it is made, and not held. Where making
// it fails, the connection is cut, so that nobody takes the beginning for all of it.
type Stream func(context.Context, io.Writer) error

// Own makes a call of what answers it. said is what the query said. A nil answer is 204, and a Stream is sent as such.
func Own[Req any](method, path string, rules OwnRules, do func(ctx context.Context, said map[string]string, q Req) (any, error)) OwnCall {
	return OwnCall{Route{Method: method, Pattern: path, Open: true}, func(x *exchange, _ map[string]string) (answer, error) {
		said, err := ParseQuery(x.r.URL.RawQuery, rules.Query...)
		if err != nil {
			return answer{}, err
		}
		var q Req
		if !rules.Body {
			err = x.noBody()
		} else if body, e := x.body(true); e != nil {
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

// NewOwn makes the door to own calls. Before anything else admit says whether a request is answered at all, and if not why.
func NewOwn(o Options, admit func(*http.Request) *mfa.Error, calls ...OwnCall) http.Handler {
	d := newDoor(o)
	d.admit = admit
	for i := range calls {
		d.add(&calls[i].route, calls[i].handle)
	}
	return d
}
