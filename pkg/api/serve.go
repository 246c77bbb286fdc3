package api

import (
	"context"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// An operation is one call of the domain, as the door makes it. Req is what its body says; Res is its answer.
type operation[Req, Res any] struct {
	do       func(context.Context, mfa.Call, target, Req) (Res, error)
	headers  func(http.Header, *Req) error       // what the headers add to the body; nil: nothing
	query    map[string]func(string, *Req) error // what each name of the query adds to the body; nil: it takes no query
	read     func(body []byte, into *Req) error  // nil: as JSON, into a zero Req
	nullable []string                            // fields, dotted, that null leaves out
	words    []string                            // fields, dotted, that are left to a default by leaving them out, never by an empty text
	present  func(Res, *answer)                  // nil: 200 and the body
	bodiless bool                                // the request has no body
	optional bool                                // it may have none, which is as an empty object
	repeats  bool                                // it has no effect, so an Idempotency-Key means nothing
}

// maxBody is how long a body may be, in bytes.
const maxBody = 64 << 10

// serve is the one door to the domain. It checks form only, in an order that tells a stranger nothing: first that there
// is a bearer, then where the request points, by its path and its query, then its body.
func serve[Req, Res any](op operation[Req, Res]) handler {
	return func(x *exchange, values map[string]string) (answer, error) {
		var call mfa.Call
		var ok bool
		if call.Bearer, ok = bearer(x.r.Header); !ok {
			return answer{}, &mfa.Error{Code: mfa.Unauthenticated}
		}
		call.Reauthenticated = only(x.r.Header, "Countersign-Reauthenticated-At")
		call.Proof = seal.NewSecret(only(x.r.Header, "Countersign-Proof"))
		at, err := targetOf(values)
		if err != nil {
			return answer{}, err
		}
		said, err := ParseQuery(x.r.URL.RawQuery, slices.Collect(maps.Keys(op.query))...)
		if err != nil {
			return answer{}, err
		}
		var q Req
		var body []byte
		if op.bodiless {
			err = x.noBody()
		} else if body, err = x.body(op.optional); err == nil && !(op.optional && len(body) == 0) {
			err = op.parse(body, &q)
		}
		if err != nil {
			return answer{}, err
		}
		if op.headers != nil {
			if err := op.headers(x.r.Header, &q); err != nil {
				return answer{}, err
			}
		}
		for _, name := range slices.Sorted(maps.Keys(said)) {
			if err := op.query[name](said[name], &q); err != nil {
				return answer{}, err
			}
		}
		if x.r.Method == http.MethodPost && !op.repeats {
			if call.Replay, err = x.replay(body, func(res any) (answer, error) { return op.answer(res.(Res)) }); err != nil {
				return answer{}, err
			}
		}
		res, err := op.do(x.ctx, call, at, q)
		if err != nil {
			return answer{}, err
		}
		return op.answer(res)
	}
}

// open serves a route that needs no bearer. It takes neither a query nor a body, and refuses both like all other calls do.
func open(show handler) handler {
	return func(x *exchange, values map[string]string) (answer, error) {
		if _, err := ParseQuery(x.r.URL.RawQuery); err != nil {
			return answer{}, err
		}
		if err := x.noBody(); err != nil {
			return answer{}, err
		}
		return show(x, values)
	}
}

func (op *operation[Req, Res]) parse(body []byte, into *Req) error {
	if op.read != nil {
		return op.read(body, into)
	}
	return decode(body, into, op.nullable, op.words)
}

func (op *operation[Req, Res]) answer(res Res) (answer, error) {
	a := answer{status: http.StatusOK}
	if op.present != nil {
		op.present(res, &a)
	}
	err := a.write(res)
	return a, err
}

// write puts what is said into the body, unless the status means that there is none.
func (a *answer) write(said any) (err error) {
	if a.status == http.StatusNoContent {
		return nil
	}
	a.contentType = "application/json"
	a.body, err = encode(said)
	return err
}

// bearer reads the Authorization header (RFC 6750 section 2.1). What the token is worth is for the domain to say.
func bearer(h http.Header) (token string, ok bool) {
	sent := h.Values("Authorization")
	if len(sent) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(sent[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > 512 {
		return "", false
	}
	text := strings.TrimRight(token, "=")
	return token, text != "" && !strings.ContainsFunc(text, func(c rune) bool {
		return !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.ContainsRune("-._~+/", c))
	})
}

// only is the value of a header that stands once, or nothing.
func only(h http.Header, name string) string {
	if sent := h.Values(name); len(sent) == 1 {
		return sent[0]
	}
	return ""
}

// noBody makes sure that the request has none.
func (x *exchange) noBody() error {
	if x.r.Body == nil {
		return nil
	}
	var first [1]byte
	if n, _ := io.ReadFull(x.r.Body, first[:]); n > 0 {
		return invalid("", "This call takes no body.")
	}
	return nil
}

// body reads the request's body. One that may be missing needs to be declared only if it is there.
func (x *exchange) body(optional bool) (body []byte, err error) {
	declared := declaredJSON(x.r.Header)
	if !declared && !optional {
		return nil, &mfa.Error{Code: unsupportedMediaType}
	}
	if x.r.Body != nil {
		body, err = io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxBody))
	}
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, &mfa.Error{Code: tooLarge}
	case err != nil:
		return nil, invalid("", "The body could not be read to its end.")
	case !declared && len(body) > 0:
		return nil, &mfa.Error{Code: unsupportedMediaType}
	}
	return body, nil
}

// declaredJSON reports whether the headers say that the body is plain JSON in UTF-8.
func declaredJSON(h http.Header) bool {
	sent := h.Values("Content-Type")
	if len(sent) != 1 || len(h.Values("Content-Encoding")) > 0 {
		return false
	}
	kind, params, err := mime.ParseMediaType(sent[0])
	if err != nil || kind != "application/json" {
		return false
	}
	charset, said := params["charset"]
	return len(params) == 0 || len(params) == 1 && said && strings.EqualFold(charset, "utf-8")
}
