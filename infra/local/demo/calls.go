package demo

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The page shows which calls of the API a sign-in has made, so that a reader sees what an application has to do.

// A madeCall is a call of the API, or a step of the browser, for the page.
type madeCall struct {
	Does string // the method and path, or where the browser went
	Said string // the status and what the answer said
}

// calls are the newest calls of a session, the oldest first. They are never changed once a session has them.
type calls struct{ made []madeCall }

// mostCalls is how many calls are shown.
const mostCalls = 8

// and returns the calls with later ones.
func (c *calls) and(later *calls) *calls {
	if len(later.made) == 0 {
		return c
	}
	all := later.made
	if c != nil {
		all = slices.Concat(c.made, later.made)
	}
	return &calls{all[max(0, len(all)-mostCalls):]}
}

type callsKey struct{}

// noting returns a context whose calls are noted in the second value.
func noting(ctx context.Context) (context.Context, *calls) {
	c := &calls{}
	return context.WithValue(ctx, callsKey{}, c), c
}

// unnoted returns a context whose calls are not noted, because an application would not make them.
func unnoted(ctx context.Context) context.Context {
	return context.WithValue(ctx, callsKey{}, nil)
}

var longID = regexp.MustCompile(`(ch|en|fa|tb)_[A-Za-z0-9_-]{6}[A-Za-z0-9_-]+`)

// note notes a call, if the context notes any. The answer's bearers and codes are not noted.
func note(ctx context.Context, q request, status int, into any, err error) {
	c, ok := ctx.Value(callsKey{}).(*calls)
	if !ok || strings.HasPrefix(q.path, "/local/") {
		return
	}
	said := []string{}
	if status != 0 {
		said = append(said, strconv.Itoa(status))
	}
	var p *problem
	switch a := into.(type) {
	case *started:
		said = append(said, a.Decision, a.Reason)
	case *challengeState:
		said = append(said, a.State)
	}
	if errors.As(err, &p) {
		said = append(said[:1], p.Code)
	} else if err != nil {
		said = []string{"no answer"}
	}
	c.made = append(c.made, madeCall{q.method + " " + shortened(q.path), strings.Join(said, ", ")})
}

func shortened(path string) string {
	return longID.ReplaceAllStringFunc(path, func(id string) string { return id[:6] + "…" })
}
