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
	"sync"
	"time"

	"countersign/pkg/api"
	"countersign/pkg/apikey"
	"countersign/pkg/seal"
)

// Calls is an http.Handler for the calls under /local/, which need no key. It passes all other requests on to the API.
type Calls struct {
	// API answers the requests that aren't under /local/.
	API http.Handler
	// Drain publishes the events of everything that was committed before it was called.
	Drain func(context.Context) error
	// Outbox calls each with every message to an address, or with every message if the address is empty. The oldest comes
	// first. If each fails, Outbox ends with that error. A message is a Message as JSON, and is valid until each returns.
	// ClearOutbox deletes all messages.
	Outbox      func(to string, each func(message json.RawMessage) error) error
	ClearOutbox func() error
	// Events calls each in the same way with every event that the bus got.
	Events func(each func(event json.RawMessage) error) error
	// Now returns the service's time, and Advance moves it forward by some seconds. Advance fails with ErrTooFar if seconds is
	// negative, or if the clock would be ahead by more than MostAhead.
	Now     func() time.Time
	Advance func(seconds int64) error
	// Sweep runs the sweep until it has nothing left to do. It returns how many expired browsers it has announced.
	Sweep func(context.Context) (announced int, err error)
	// SetFault sets the fault of a target. It replaces an earlier fault of the same target.
	SetFault func(Fault)
	// Keys makes API keys. Their return URLs can have the Origins.
	Keys    *apikey.Registry
	Origins []string
	// Log gets the causes of failures.
	Log *slog.Logger

	once sync.Once
	own  http.Handler // the calls under /local/
}

// MostAhead is by how many seconds a clock can be ahead at most. It is 68 years, because a function accepts no larger number.
const MostAhead = math.MaxInt32

// ErrTooFar means that the clock was not moved, because it can't be moved by so many seconds.
var ErrTooFar = errors.New("the clock can't be moved that far")

// A Message is a message that would have been sent. Its code is in the clear.
type Message struct {
	At      time.Time `json:"at"`
	Channel string    `json:"channel"` // email or sms
	To      string    `json:"to"`
	Subject *string   `json:"subject"` // null if the channel has no subjects
	Text    string    `json:"text"`
	HTML    *string   `json:"html"` // null if the channel has no HTML
	Code    *string   `json:"code"` // null if the message has no code
}

// ServeHTTP implements http.Handler. Before it answers with an activity, it publishes all events that were committed, so that
// the activity has them.
func (c *Calls) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/local/") {
		c.once.Do(c.open)
		spelled := *r.URL
		spelled.Path = r.URL.EscapedPath() // so that a path with escapes isn't one of these calls
		asked := *r
		asked.URL = &spelled
		c.own.ServeHTTP(w, &asked)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/activity") {
		c.settle(r.Context())
	}
	c.API.ServeHTTP(w, r)
}

// longestCall is how long a call may take. A sweep takes long after the clock was moved by decades.
const longestCall = time.Hour

func (c *Calls) open() {
	optional := []string{"org", "client", "name"}
	c.own = api.NewOwn(api.Options{Timeout: longestCall, Log: c.Log, Admit: fromHere},
		api.Own("DELETE", "/local/outbox", api.OwnRules{}, c.clearOutbox),
		api.Own("GET", "/local/outbox", api.OwnRules{Query: []string{"to"}}, c.getOutbox),
		api.Own("GET", "/local/events", api.OwnRules{}, c.getEvents),
		api.Own("GET", "/local/clock", api.OwnRules{}, c.getClock),
		api.Own("POST", "/local/clock", api.OwnRules{Body: true}, c.moveClock),
		api.Own("POST", "/local/sweep", api.OwnRules{Body: true}, c.runSweep),
		api.Own("POST", "/local/faults", api.OwnRules{Body: true}, c.setFault),
		api.Own("POST", "/local/keys", api.OwnRules{Body: true, Nullable: optional, Words: optional}, c.createKey),
	)
}

// drainTries is how often a call tries to publish the committed events before it shows what came of them.
const drainTries = 3

// settle publishes the events that were committed before the call. It tries several times, because the bus may have a fault. It
// goes on if the caller goes away, because events that are interrupted would be published twice.
func (c *Calls) settle(ctx context.Context) (err error) {
	ctx = context.WithoutCancel(ctx)
	for range drainTries {
		if err = c.Drain(ctx); err == nil {
			return nil
		}
	}
	c.Log.WarnContext(ctx, "events could not be published before a local call", "error", err)
	return err
}

// none is the body of a call that has none.
type none struct{}

func (c *Calls) getOutbox(ctx context.Context, said map[string]string, _ none) (any, error) {
	c.settle(ctx) // if it fails, the call shows the messages that there are
	return list("messages", func(each func(json.RawMessage) error) error { return c.Outbox(said["to"], each) }), nil
}

// clearOutbox deletes nothing if it can't publish the committed events. The messages that they cause later would look like new
// ones.
func (c *Calls) clearOutbox(ctx context.Context, _ map[string]string, _ none) (any, error) {
	if err := c.settle(ctx); err != nil {
		return nil, err
	}
	return nil, c.ClearOutbox()
}

func (c *Calls) getEvents(ctx context.Context, _ map[string]string, _ none) (any, error) {
	if err := c.settle(ctx); err != nil {
		return nil, err
	}
	return list("events", c.Events), nil
}

func (c *Calls) getClock(context.Context, map[string]string, none) (any, error) {
	return map[string]time.Time{"now": c.Now()}, nil
}

// A move of the clock.
type move struct {
	Seconds *int64 `json:"advance_s"`
}

func (c *Calls) moveClock(ctx context.Context, said map[string]string, m move) (any, error) {
	if m.Seconds == nil {
		return nil, invalid("advance_s", "This field is required. It is the number of seconds by which the clock is moved forward.")
	}
	switch err := c.Advance(*m.Seconds); {
	case errors.Is(err, ErrTooFar):
		return nil, invalid("advance_s", "The clock can only be moved forward, by 0 seconds or more, and by at most 68 years in total.")
	case err != nil:
		return nil, err
	}
	return c.getClock(ctx, said, none{})
}

func (c *Calls) runSweep(ctx context.Context, _ map[string]string, _ none) (any, error) {
	announced, err := c.Sweep(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]int{"announced": announced}, nil
}

// A faultToSet is the body of the call that sets a Fault. Without a mode, and with the count 0, it removes the fault of the
// target.
type faultToSet struct {
	Target string  `json:"target"`
	Mode   *string `json:"mode"`
	Count  *int64  `json:"count"`
}

func (c *Calls) setFault(_ context.Context, _ map[string]string, f faultToSet) (any, error) {
	told := Fault{Target: f.Target}
	clears := f.Count != nil && *f.Count == 0 && f.Mode == nil
	if f.Mode != nil {
		told.Mode = *f.Mode
	}
	switch {
	case !slices.Contains([]string{TargetEmail, TargetSMS, TargetStore, TargetKeys, TargetEvents}, told.Target):
		return nil, invalid("target", "The target must be one of email, sms, store, keys and events.")
	case !slices.Contains([]string{ModeFail, ModeSlow, ModeLostReply}, told.Mode) && !clears:
		return nil, invalid("mode", "The mode must be one of fail, slow and lost_reply.")
	case f.Count == nil || *f.Count < 0 || *f.Count > mostFaults:
		return nil, invalid("count", "The count is required, and must be from 0 to 1000000. It is the number of calls that have the fault; 0 removes the fault.")
	}
	told.Count = *f.Count
	c.SetFault(told)
	return told, nil
}

// A keyToMake is the body of the call that makes an API key. A field that is absent or null has the same value as for the key in the
// data folder.
type keyToMake struct {
	Scopes *[]apikey.Scope `json:"scopes"`
	Org    string          `json:"org"`
	Client *string         `json:"client"`
	Name   string          `json:"name"`
}

func (c *Calls) createKey(ctx context.Context, _ map[string]string, k keyToMake) (any, error) {
	grant := apikey.Grant{Client: Client, Name: k.Name, Scopes: apikey.Scopes(), Org: k.Org, Origins: c.Origins}
	if k.Client != nil {
		grant.Client = *k.Client
	}
	if k.Scopes != nil {
		grant.Scopes = *k.Scopes
	}
	key, err := c.Keys.Create(ctx, grant)
	if err != nil {
		return nil, err
	}
	return map[string]seal.Secret{"key": key}, nil
}
