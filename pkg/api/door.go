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

// Options configure a handler of this package. The zero value can be used.
type Options struct {
	Timeout time.Duration    // of one call; zero means 10 seconds
	Now     func() time.Time // measures how long a call took; if it is nil, that isn't logged
	Log     *slog.Logger     // gets one line for each call, and the causes of failures; if it is nil, nothing is logged

	Admit func(*http.Request) *mfa.Error // refuses requests before anything else is looked at; if it is nil, none is refused
}

// Handlers are the routes of one step, with a handler for each of them.
type Handlers struct {
	step  string
	knows gate               // nil if all routes are open
	bound map[string]handler // by operation
}

// A gate refuses a bearer token that was not made here, or that a call doesn't take, before anything else of the request is
// judged. It is mfa.Service.Knows.
type gate func(ctx context.Context, bearer, org string, callers []string) error

// A handler answers one request. values has the segments of the path, by the names that the route's pattern gives them.
type handler func(x *exchange, values map[string]string) (answer, error)

// New makes the HTTP handler for the routes of some steps. It panics if a step is given twice, or if the handlers of a step
// are not exactly those of its routes.
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
		d.routes[len(d.routes)-1].knows = h.knows
	}
}

func (d *door) add(route *Route, handle handler) {
	d.routes = append(d.routes, boundRoute{Route: route, segments: segmentsOf(route.Pattern), handle: handle})
}

// An exchange is one request while it is being answered.
type exchange struct {
	w     http.ResponseWriter
	r     *http.Request
	ctx   context.Context // has the deadline of the call
	id    string          // the id of the request
	route *Route          // nil if no route fits the request
	knows gate            // nil if the route is open
}

// An answer is an HTTP response. Only its body can have secrets in it.
type answer struct {
	status        int
	code          mfa.ErrorCode // the code of a problem; empty if the answer isn't a problem
	contentType   string
	body          []byte
	stream        Stream // writes the body, if it isn't nil
	etag          string
	retryAfter    string
	authenticate  string
	allow         string
	contentPolicy string
	maxAge        time.Duration // how long caches may store the answer; zero means that they must not
}

// ServeHTTP answers one request and logs it.
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

// answer finds the handler of a request and runs it. It turns errors and panics into problems.
func (d *door) answer(x *exchange) (a answer) {
	defer func() {
		if broke := recover(); broke != nil {
			d.Log.ErrorContext(x.ctx, "a call panicked", "request_id", x.id, "panic", fmt.Sprint(broke), "stack", string(debug.Stack()))
			a = problemAnswer(&mfa.Error{Code: mfa.Unavailable}, x.id)
		}
	}()
	if d.Admit != nil {
		if refused := d.Admit(x.r); refused != nil {
			return problemAnswer(refused, x.id)
		}
	}
	found, values, allowed := match(d.routes, x.r.Method, x.r.URL.Path)
	switch {
	case found != nil:
		x.route, x.knows = found.Route, found.knows
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

// send writes an answer to the connection. The answer to a HEAD has no body.
func (a *answer) send(x *exchange) {
	h := x.w.Header()
	h.Set("X-Request-Id", x.id)
	h.Set("Cache-Control", "no-store")
	if a.maxAge > 0 {
		h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(a.maxAge/time.Second)))
		h.Set("Vary", "Origin") // the CORS headers that are added to the answer depend on it
	}
	h.Set("X-Content-Type-Options", "nosniff")
	if a.contentPolicy != "" {
		h.Set("Referrer-Policy", "no-referrer") // the address of a page may have a handle in it
	}
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
		x.w.Write(a.body) // an error means that the caller has gone
	}
}

// record logs the call: at the level info if it was answered with a problem, and at the level debug otherwise. A deployment's API
// writes a line for every call itself. record logs the pattern of the route, because a path, an id or a query can say something
// about a user.
func (d *door) record(x *exchange, a *answer, began time.Time) {
	method, pattern := "other", "none"
	if x.route != nil {
		method, pattern = x.r.Method, x.route.Pattern
	}
	line := []any{"method", method, "route", pattern, "status", a.status, "request_id", x.id}
	level := slog.LevelDebug
	if a.code != "" {
		level, line = slog.LevelInfo, append(line, "code", a.code)
	}
	if d.Now != nil {
		line = append(line, "duration", d.Now().Sub(began))
	}
	d.Log.Log(x.ctx, level, "call", line...)
}

// requestID returns the id that the caller gave to the request. If there is none, or it isn't valid, it makes a new one.
func requestID(h http.Header) string {
	sent := h.Values("X-Request-Id")
	if len(sent) == 1 && 0 < len(sent[0]) && len(sent[0]) <= 128 && !strings.ContainsFunc(sent[0], func(c rune) bool {
		return !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-')
	}) {
		return sent[0]
	}
	return rand.Text()
}
