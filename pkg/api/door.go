package api

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/pkg/mfa"
)

// Options are what a door can be told. The zero value is good.
type Options struct {
	Timeout time.Duration    // of one call; zero: 10 seconds
	Now     func() time.Time // for how long a call took; nil: that isn't logged
	Log     *slog.Logger     // one line a call, and what broke; nil: nothing is logged
}

// Handlers are the routes of one step, each bound to what answers it.
type Handlers struct {
	step  string
	bound map[string]handler // by operation
}

// A handler answers one request. values are what stands in the places of its route's names.
type handler func(x *exchange, values map[string]string) (answer, error)

// New makes the door to the routes of some steps. It panics when a step is bound twice, or isn't bound whole.
func New(o Options, steps ...Handlers) http.Handler {
	d := newDoor(o)
	for i, h := range steps {
		if slices.ContainsFunc(steps[:i], func(earlier Handlers) bool { return earlier.step == h.step }) {
			panic("api: the step " + h.step + " is bound twice")
		}
		d.bind(h)
	}
	return d
}

type door struct {
	Options
	admit  func(*http.Request) *mfa.Error // nil: every request is looked at
	routes []boundRoute
}

func newDoor(o Options) *door {
	d := &door{Options: o}
	d.Timeout = cmp.Or(d.Timeout, 10*time.Second)
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	return d
}

func (d *door) bind(h Handlers) {
	at := slices.IndexFunc(Steps, func(s Step) bool { return s.Name == h.step })
	if at < 0 || len(h.bound) != len(Steps[at].Routes) {
		panic("api: the step " + h.step + " isn't bound to what its routes are")
	}
	for i := range Steps[at].Routes {
		route := &Steps[at].Routes[i]
		handle := h.bound[route.Operation]
		if handle == nil {
			panic("api: nothing is bound to " + route.Operation)
		}
		d.add(route, handle)
	}
}

func (d *door) add(route *Route, handle handler) {
	d.routes = append(d.routes, boundRoute{Route: route, segments: segmentsOf(route.Pattern), handle: handle})
}

// An exchange is one request on its way through the door.
type exchange struct {
	w     http.ResponseWriter
	r     *http.Request
	ctx   context.Context // with the call's deadline
	id    string          // of the request
	route *Route          // nil: there is none
}

// An answer is what leaves. Only the body has secrets in it.
type answer struct {
	status        int
	code          mfa.ErrorCode // of a problem; empty: it is none
	contentType   string
	body          []byte
	stream        Stream // instead of a body; nil: there is none
	etag          string
	retryAfter    string
	authenticate  string
	allow         string
	contentPolicy string
	maxAge        time.Duration // for which anybody may keep the answer; zero: nobody may
}

// ServeHTTP answers one request.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var began time.Time
	if d.Now != nil {
		began = d.Now()
	}
	ctx, cancel := context.WithTimeout(r.Context(), d.Timeout)
	defer cancel()
	x := &exchange{w: w, r: r, ctx: ctx, id: requestID(r.Header)}
	a := d.answer(x)
	a.send(x)
	d.record(x, &a, began)
}

// answer finds the handler and turns whatever comes of it into an answer.
func (d *door) answer(x *exchange) (a answer) {
	defer func() {
		if broke := recover(); broke != nil {
			d.Log.ErrorContext(x.ctx, "a call panicked", "request_id", x.id, "panic", fmt.Sprint(broke), "stack", string(debug.Stack()))
			a = problemAnswer(&mfa.Error{Code: mfa.Unavailable}, x.id)
		}
	}()
	if d.admit != nil {
		if refused := d.admit(x.r); refused != nil {
			return problemAnswer(refused, x.id)
		}
	}
	found, values, allowed := match(d.routes, x.r.Method, x.r.URL.Path)
	switch {
	case found != nil:
		x.route = found.Route
	case allowed != nil:
		a = problemAnswer(&mfa.Error{Code: methodNotAllowed}, x.id)
		a.allow = strings.Join(allowed, ", ")
		return a
	default:
		return problemAnswer(&mfa.Error{Code: mfa.NotFound, Detail: "There is no such path."}, x.id)
	}
	a, err := found.handle(x, values)
	if err == nil {
		return a
	}
	var again *mfa.Remembered
	if errors.As(err, &again) {
		if a, err = recall(again.Answer); err == nil {
			return a
		}
	}
	refused := mfa.AsError(err)
	a = problemAnswer(refused, x.id)
	if a.code == mfa.Unavailable {
		d.Log.ErrorContext(x.ctx, "a call could not be answered", "request_id", x.id, "error", refused)
	}
	return a
}

// send writes an answer out. One to a HEAD is that to the GET without its body.
func (a *answer) send(x *exchange) {
	h := x.w.Header()
	h.Set("X-Request-Id", x.id)
	h.Set("Cache-Control", "no-store")
	if a.maxAge > 0 {
		h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(a.maxAge/time.Second)))
		h.Set("Vary", "Origin") // which pages may read it is told beside it
	}
	h.Set("X-Content-Type-Options", "nosniff")
	for name, value := range map[string]string{
		"Content-Type": a.contentType, "ETag": a.etag, "Retry-After": a.retryAfter,
		"WWW-Authenticate": a.authenticate, "Allow": a.allow, "Content-Security-Policy": a.contentPolicy,
	} {
		if value != "" {
			h.Set(name, value)
		}
	}
	x.w.WriteHeader(a.status)
	switch {
	case x.r.Method == http.MethodHead:
	case a.stream != nil:
		out := bufio.NewWriterSize(x.w, 64<<10)
		if err := a.stream(x.ctx, out); err != nil || out.Flush() != nil {
			panic(http.ErrAbortHandler)
		}
	default:
		x.w.Write(a.body) // whoever went away can't be told
	}
}

// record logs the call, in words of the route table only: paths, ids and queries are the caller's own.
func (d *door) record(x *exchange, a *answer, began time.Time) {
	method, pattern := "other", "none"
	if x.route != nil {
		method, pattern = x.r.Method, x.route.Pattern
	}
	line := []any{"method", method, "route", pattern, "status", a.status, "request_id", x.id}
	if a.code != "" {
		line = append(line, "code", a.code)
	}
	if d.Now != nil {
		line = append(line, "duration", d.Now().Sub(began))
	}
	d.Log.InfoContext(x.ctx, "call", line...)
}

// requestID is the caller's, if it is sane, or a new one.
func requestID(h http.Header) string {
	sent := h.Values("X-Request-Id")
	if len(sent) == 1 && 0 < len(sent[0]) && len(sent[0]) <= 128 && !strings.ContainsFunc(sent[0], func(c rune) bool {
		return !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-')
	}) {
		return sent[0]
	}
	return rand.Text()
}
