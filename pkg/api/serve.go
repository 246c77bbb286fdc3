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

// An operation is one call of package mfa, with what this package has to know about its requests. Req is the request and Res
// is the answer.
type operation[Req, Res any] struct {
	do       func(context.Context, mfa.Call, target, Req) (Res, error)
	headers  func(http.Header, *Req) error       // adds to the request what headers say; may be nil
	query    map[string]func(string, *Req) error // adds to the request what each query parameter says; nil if there are no parameters
	read     func(body []byte, into *Req) error  // reads the body; if it is nil, the body is decoded as JSON
	nullable []string                            // the fields that may be null, written with dots; null is the same as leaving the field out
	words    []string                            // the fields that have a default and can't be an empty text, written with dots
	present  func(Res, *answer)                  // sets the status and headers of the answer; if it is nil, the status is 200
	write    func(Res, *answer) error            // writes the body of the answer; if it is nil, the answer is encoded as JSON
	bodiless bool                                // the request has no body
	lines    bool                                // the body has a JSON object on each line, and may have up to maxLines bytes
	optional bool                                // the request may have no body, which means the same as an empty object
	repeats  bool                                // the call changes nothing, so an Idempotency-Key is ignored
}

// maxBody is the greatest length of a body in bytes.
const maxBody = 64 << 10

// serve makes the handler of an operation. The handler checks only the form of a request, in an order that reveals nothing to a
// caller without a valid token: first that there is a bearer token which was made here and is of a kind that the call takes, then
// the path and the query, then the body.
func serve[Req, Res any](op operation[Req, Res]) handler {
	return func(x *exchange, values map[string]string) (answer, error) {
		var call mfa.Call
		var ok bool
		if call.Bearer, ok = bearer(x.r.Header); !ok {
			return answer{}, &mfa.Error{Code: mfa.Unauthenticated}
		}
		org, _ := parsePathID(values["org"]) // a wrong id is refused below
		if err := x.knows(x.ctx, call.Bearer, org, strings.Fields(x.route.Callers)); err != nil {
			return answer{}, err
		}
		call.Reauthenticated = only(x.r.Header, "Countersign-Reauthenticated-At")
		call.Proof = seal.NewSecret(only(x.r.Header, "Countersign-Proof"))
		call.Origin = only(x.r.Header, "Origin")
		at, err := targetOf(values)
		if err != nil {
			return answer{}, err
		}
		said, err := parseQuery(x.r.URL.RawQuery, slices.Collect(maps.Keys(op.query))...)
		if err != nil {
			return answer{}, err
		}
		var q Req
		var body []byte
		if op.bodiless {
			err = x.noBody()
		} else if body, err = x.body(op.optional, op.lines); err == nil && !(op.optional && len(body) == 0) {
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
			if query := x.r.URL.RawQuery; query != "" {
				body = append(append(body, '?'), query...) // it is a part of what is asked, as the body is
			}
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

// open makes the handler of a route that needs no bearer token. It refuses a query and a body.
func open(show handler) handler {
	return func(x *exchange, values map[string]string) (answer, error) {
		if _, err := parseQuery(x.r.URL.RawQuery); err != nil {
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
	if op.write != nil {
		err := op.write(res, &a)
		return a, err
	}
	err := a.write(res)
	return a, err
}

// write encodes said as the body of the answer. An answer with the status 204 has no body.
func (a *answer) write(said any) (err error) {
	if a.status == http.StatusNoContent {
		return nil
	}
	a.contentType = "application/json"
	a.body, err = encode(said)
	return err
}

// bearer reads the token in the Authorization header (RFC 6750 section 2.1). It checks only its form.
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

// only returns the value of a header that is there exactly once. Otherwise it returns an empty text.
func only(h http.Header, name string) string {
	if sent := h.Values(name); len(sent) == 1 {
		return sent[0]
	}
	return ""
}

// noBody refuses a request that has a body.
func (x *exchange) noBody() error {
	if x.r.Body == nil {
		return nil
	}
	var first [1]byte
	if n, _ := io.ReadFull(x.r.Body, first[:]); n > 0 {
		return invalid(wholeBody, "This call takes no body.")
	}
	return nil
}

// body reads the body of the request, which must be declared as JSON, or as lines of JSON. If it is optional and missing, it needn't be
// declared.
func (x *exchange) body(optional, lines bool) (body []byte, err error) {
	kind, most := "application/json", int64(maxBody)
	undeclared, long := &mfa.Error{Code: unsupportedMediaType}, &mfa.Error{Code: tooLarge}
	if lines {
		kind, most = linesType, maxLines
		undeclared.Detail = "This call takes lines of JSON in UTF-8, with the header Content-Type: application/x-ndjson and without a Content-Encoding."
		long.Detail = "The body of this call can have at most 1 MiB (1048576 bytes)."
	}
	declared := declared(x.r.Header, kind)
	if !declared && !optional {
		return nil, undeclared
	}
	if x.r.Body != nil {
		body, err = io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, most))
	}
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, long
	case err != nil:
		return nil, invalid(wholeBody, "The body could not be read to its end.")
	case !declared && len(body) > 0:
		return nil, undeclared
	}
	return body, nil
}

// declared reports whether the headers say that the body is of this content type, in UTF-8 and not compressed.
func declared(h http.Header, as string) bool {
	sent := h.Values("Content-Type")
	if len(sent) != 1 || len(h.Values("Content-Encoding")) > 0 {
		return false
	}
	kind, params, err := mime.ParseMediaType(sent[0])
	if err != nil || kind != as {
		return false
	}
	charset, said := params["charset"]
	return len(params) == 0 || len(params) == 1 && said && strings.EqualFold(charset, "utf-8")
}
