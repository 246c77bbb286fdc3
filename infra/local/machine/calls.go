package machine

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"countersign/pkg/apikey"
)

// Calls are an http.Handler: those under /local/, which need no key, and before all other paths the API.
type Calls struct {
	// API answers what isn't under /local/.
	API http.Handler
	// Drain hands on what was committed before it was called.
	Drain func(context.Context) error
	// Outbox calls each with every message that would have been sent to an address, or to anybody if it is empty, oldest
	// first, and ends with the error that each answers. A message is a Message as JSON, good until each returns.
	// ClearOutbox forgets them all.
	Outbox      func(to string, each func(message json.RawMessage) error) error
	ClearOutbox func() error
	// Events calls each with everything that the bus got, oldest first, in the same way.
	Events func(each func(event json.RawMessage) error) error
	// Now is the service's time, and Advance moves it by whole seconds. It answers ErrTooFar to fewer than 0, and where all
	// together would be more than MostAhead.
	Now     func() time.Time
	Advance func(seconds int64) error
	// Sweep runs the sweep until nothing is left for it and answers how many ends it announced.
	Sweep func(context.Context) (announced int, err error)
	// SetFault takes the place of the fault that waited for the same target.
	SetFault func(Fault)
	// Keys makes API keys, for browsers on pages of Origins.
	Keys    *apikey.Registry
	Origins []string
	// Log says what goes wrong inside.
	Log *slog.Logger
}

// MostAhead is the most that a clock may be moved in all, in seconds: 68 years, which is what a function takes.
const MostAhead = math.MaxInt32

// ErrTooFar answers a move of the clock that isn't made.
var ErrTooFar = errors.New("the clock can't be moved that far")

// A Message is one that would have been sent, codes in clear.
type Message struct {
	At      time.Time `json:"at"`
	Channel string    `json:"channel"` // email or sms
	To      string    `json:"to"`
	Subject *string   `json:"subject"` // null: the channel has none
	Text    string    `json:"text"`
	HTML    *string   `json:"html"` // null: the channel has none
	Code    *string   `json:"code"` // null: it carries none
}

// ServeHTTP implements http.Handler. The activity is that of all that was committed before the call.
func (c *Calls) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/local/") {
		door{
			"/local/outbox": {"GET": c.getOutbox, "DELETE": c.clearOutbox},
			"/local/events": {"GET": c.getEvents},
			"/local/clock":  {"GET": c.getClock, "POST": c.moveClock},
			"/local/sweep":  {"POST": c.runSweep},
			"/local/faults": {"POST": c.setFault},
			"/local/keys":   {"POST": c.createKey},
		}.ServeHTTP(w, r)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/activity") {
		c.settle(r)
	}
	c.API.ServeHTTP(w, r)
}

// drainTries is how often a call that shows what came of commits tries to hand those on.
const drainTries = 3

// settle hands on what was committed before the call, trying again where the bus was told to fail. A caller who goes away
// doesn't end it: what is cut short would be handed on twice.
func (c *Calls) settle(r *http.Request) (err error) {
	ctx := context.WithoutCancel(r.Context())
	for range drainTries {
		if err = c.Drain(ctx); err == nil {
			return nil
		}
	}
	c.Log.WarnContext(ctx, "events could not be handed on before a local call", "error", err)
	return err
}

func (c *Calls) getOutbox(r *http.Request, _ []byte) (any, error) {
	c.settle(r) // a bus that can't be had keeps nobody from the messages that are there
	to := r.URL.Query().Get("to")
	return list{"messages", func(each func(json.RawMessage) error) error { return c.Outbox(to, each) }}, nil
}

// clearOutbox deletes nothing when it can't hand on what was committed: what came of that later would look like new.
func (c *Calls) clearOutbox(r *http.Request, _ []byte) (any, error) {
	if err := c.settle(r); err != nil {
		return nil, err
	}
	return nil, c.ClearOutbox()
}

func (c *Calls) getEvents(r *http.Request, _ []byte) (any, error) {
	if err := c.settle(r); err != nil {
		return nil, err
	}
	return list{"events", c.Events}, nil
}

func (c *Calls) getClock(*http.Request, []byte) (any, error) {
	return map[string]time.Time{"now": c.Now()}, nil
}

func (c *Calls) moveClock(r *http.Request, body []byte) (any, error) {
	var seconds int64
	given, err := decode(body, map[string]any{"advance_s": &seconds})
	if err != nil {
		return nil, err
	}
	if !given["advance_s"] {
		return nil, invalid("advance_s", "The number of seconds to move the clock by is needed.")
	}
	switch err := c.Advance(seconds); {
	case errors.Is(err, ErrTooFar):
		return nil, invalid("advance_s", "0 or more, and in all at most 68 years: the clock only moves forward.")
	case err != nil:
		return nil, err
	}
	return c.getClock(r, nil)
}

func (c *Calls) runSweep(r *http.Request, body []byte) (any, error) {
	if len(body) > 0 {
		if _, err := decode(body, nil); err != nil {
			return nil, err
		}
	}
	announced, err := c.Sweep(r.Context())
	if err != nil {
		return nil, err
	}
	return map[string]int{"announced": announced}, nil
}

func (c *Calls) setFault(_ *http.Request, body []byte) (any, error) {
	var told Fault
	given, err := decode(body, map[string]any{"target": &told.Target, "mode": &told.Mode, "count": &told.Count})
	if err != nil {
		return nil, err
	}
	clearing := given["count"] && told.Count == 0
	switch {
	case !slices.Contains([]string{TargetEmail, TargetSMS, TargetStore, TargetKeys, TargetEvents}, told.Target):
		return nil, invalid("target", "One of email, sms, store, keys, events.")
	case !slices.Contains([]string{ModeFail, ModeSlow, ModeLostReply}, told.Mode) && (given["mode"] || !clearing):
		return nil, invalid("mode", "One of fail, slow, lost_reply.")
	case !given["count"] || told.Count < 0 || told.Count > mostFaults:
		return nil, invalid("count", "How many calls it is for, up to a million; 0 takes back what waits.")
	}
	c.SetFault(told)
	return told, nil
}

func (c *Calls) createKey(r *http.Request, body []byte) (any, error) {
	key := apikey.Grant{Client: Client, Scopes: apikey.Scopes(), Origins: c.Origins}
	var org, name *string
	if _, err := decode(body, map[string]any{"scopes": &key.Scopes, "org": &org, "client": &key.Client, "name": &name}); err != nil {
		return nil, err
	}
	if org != nil {
		if *org == "" {
			return nil, invalid("org", "An org's id, or null for every org.")
		}
		key.Org = *org
	}
	if name != nil {
		if *name == "" {
			return nil, invalid("name", "A name, or null for none.")
		}
		key.Name = *name
	}
	made, err := c.Keys.Create(r.Context(), key)
	if err != nil {
		return nil, err
	}
	return map[string]string{"key": made.Reveal()}, nil
}
