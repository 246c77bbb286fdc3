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

	once sync.Once
	own  http.Handler // the calls under /local/
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
		c.once.Do(c.open)
		spelled := *r.URL
		spelled.Path = r.URL.EscapedPath() // these paths have one spelling
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

// longestCall is how long a call may take: a sweep after the clock was moved by decades takes its time.
const longestCall = time.Hour

func (c *Calls) open() {
	optional := []string{"org", "name"}
	c.own = api.NewOwn(api.Options{Timeout: longestCall, Log: c.Log}, fromHere,
		api.Own("DELETE", "/local/outbox", api.OwnRules{}, c.clearOutbox),
		api.Own("GET", "/local/outbox", api.OwnRules{Query: []string{"to"}}, c.getOutbox),
		api.Own("GET", "/local/events", api.OwnRules{}, c.getEvents),
		api.Own("GET", "/local/clock", api.OwnRules{}, c.getClock),
		api.Own("POST", "/local/clock", api.OwnRules{Body: true}, c.moveClock),
		api.Own("POST", "/local/sweep", api.OwnRules{Body: true}, c.runSweep),
		api.Own("POST", "/local/faults", api.OwnRules{Body: true}, c.setFault),
		api.Own("POST", "/local/keys", api.OwnRules{Body: true, Nullable: optional, Words: append(optional, "client")}, c.createKey),
	)
}

// drainTries is how often a call that shows what came of commits tries to hand those on.
const drainTries = 3

// settle hands on what was committed before the call, trying again where the bus was told to fail. A caller who goes away
// doesn't end it: what is cut short would be handed on twice.
func (c *Calls) settle(ctx context.Context) (err error) {
	ctx = context.WithoutCancel(ctx)
	for range drainTries {
		if err = c.Drain(ctx); err == nil {
			return nil
		}
	}
	c.Log.WarnContext(ctx, "events could not be handed on before a local call", "error", err)
	return err
}

// none is what a call says that says nothing.
type none struct{}

func (c *Calls) getOutbox(ctx context.Context, said map[string]string, _ none) (any, error) {
	c.settle(ctx) // a bus that can't be had keeps nobody from the messages that are there
	return list("messages", func(each func(json.RawMessage) error) error { return c.Outbox(said["to"], each) }), nil
}

// clearOutbox deletes nothing when it can't hand on what was committed: what came of that later would look like new.
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
		return nil, invalid("advance_s", "This field is required: the number of seconds by which the clock moves.")
	}
	switch err := c.Advance(*m.Seconds); {
	case errors.Is(err, ErrTooFar):
		return nil, invalid("advance_s", "The clock moves forward only: by 0 seconds or more, and by at most 68 years in all.")
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

// A faultToSet is a Fault as a call says it. Without a mode it takes back what waits.
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
		return nil, invalid("target", "The target must be one of email, sms, store, keys, events.")
	case !slices.Contains([]string{ModeFail, ModeSlow, ModeLostReply}, told.Mode) && !clears:
		return nil, invalid("mode", "The mode must be one of fail, slow, lost_reply.")
	case f.Count == nil || *f.Count < 0 || *f.Count > mostFaults:
		return nil, invalid("count", "The count is the number of calls that the fault is for, from 0 to 1000000; 0 takes back what waits.")
	}
	told.Count = *f.Count
	c.SetFault(told)
	return told, nil
}

// A keyToMake is an API key as a call asks for it. What is left out is that of the key in the file.
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
