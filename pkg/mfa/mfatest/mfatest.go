// Package mfatest is a whole Countersign for tests: the real domain over a real embedded store, with a clock that the test
// moves, an outbox and a bus that record, and faults that the test orders. New makes one. It replaces nothing that a test
// can run for real.
package mfatest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/passkey"
	"countersign/pkg/phone"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/bolt"
	"countersign/pkg/store/fault"
	"countersign/pkg/store/storetest"
)

// A World is a service with all that it needs. Client has an API key with every scope.
type World struct {
	*mfa.Service
	Clock  *storetest.Clock
	Faults *fault.Store // between the service and its store
	Feed   store.Feed
	Keys   *Keys
	Outbox *Outbox
	Events *Events
	Client mfa.Call

	APIKeys *apikey.Registry // its store is Faults too
}

// Origin is the origin that the client has registered. Its host is the deployment's RP ID.
const Origin = "https://app.example"

// New makes a world over a bolt file of its own, which is closed when the test ends.
func New(tb testing.TB) *World {
	tb.Helper()
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	db, err := bolt.Open(filepath.Join(tb.TempDir(), "countersign.db"), bolt.Options{Now: clock.Now})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	return Over(tb, db, db, clock)
}

// Over makes a world over a store that the test chose.
func Over(tb testing.TB, db store.Store, feed store.Feed, clock *storetest.Clock) *World {
	tb.Helper()
	w := &World{
		Clock: clock, Faults: fault.New(db), Feed: feed, Keys: &Keys{ring: seal.NewRing(clock.Now())},
		Outbox: &Outbox{now: clock.Now}, Events: &Events{},
	}
	w.Service = &mfa.Service{
		Store: w.Faults, Keys: w.Keys, Filter: &apikey.FilterKeeper{Store: w.Faults}, Mail: w.Outbox, Text: w.Outbox, Bus: w.Events,
		Numbers: phone.Numbers{}, Now: clock.Now, Issuer: "https://countersign.example",
	}
	w.RelyingParty = mfa.RelyingParty{ID: "app.example", Name: "Countersign"}
	var err error
	if w.Passkeys, err = passkey.New(w.RelyingParty); err != nil {
		tb.Fatal(err)
	}
	w.APIKeys = &apikey.Registry{Store: w.Faults, Now: clock.Now}
	w.Client = w.NewClient(tb, apikey.Grant{Client: "app", Scopes: apikey.Scopes(), Origins: []string{Origin}})
	return w
}

// NewClient makes an API key, and returns a call with it.
func (w *World) NewClient(tb testing.TB, k apikey.Grant) mfa.Call {
	tb.Helper()
	key, err := w.APIKeys.Create(tb.Context(), k)
	if err != nil {
		tb.Fatal(err)
	}
	return mfa.Call{Bearer: key.Reveal()}
}

// Forged returns a bearer that was made under the deployment's filter key but never given out, so that nothing is stored
// about it.
func (w *World) Forged(tb testing.TB, prefix string, carried []byte) string {
	tb.Helper()
	f, err := w.Filter.Filter(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return f.NewBearer(prefix, carried).Reveal()
}

// SetPolicy puts the policy of a profile in force for org, after change has changed it. change may be nil.
func (w *World) SetPolicy(tb testing.TB, org, profile string, change func(*mfa.Policy)) mfa.OrgPolicy {
	tb.Helper()
	now, err := w.GetPolicy(tb.Context(), w.Client, org)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := mfa.ProfilePolicy(profile)
	if err != nil {
		tb.Fatal(err)
	}
	if change != nil {
		change(&p)
	}
	put, err := w.PutPolicy(tb.Context(), w.Client, org, mfa.PolicyChange{Policy: p, Version: &now.Version, Acknowledge: true})
	if err != nil {
		tb.Fatal(err)
	}
	return put
}

// Drain publishes everything that was committed.
func (w *World) Drain(tb testing.TB) {
	tb.Helper()
	if err := w.Feed.Deliver(tb.Context(), 100, w.Service.Publish); err != nil {
		tb.Fatal(err)
	}
}

// Keys is a keeper of the key ring that a test can make fail.
type Keys struct {
	mu   sync.Mutex
	ring *seal.Ring
	err  error
}

// Fail makes every later request for the ring fail with err. With nil, requests succeed again.
func (k *Keys) Fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

// SetEpoch makes the ring name another epoch of the deployment.
func (k *Keys) SetEpoch(epoch int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ring = k.ring.WithEpoch(epoch)
}

// Ring returns the ring, and the error of Fail if there is one.
func (k *Keys) Ring(context.Context) (*seal.Ring, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ring, k.err
}

// Reload does the same as Ring.
func (k *Keys) Reload(ctx context.Context) (*seal.Ring, error) { return k.Ring(ctx) }

// An Outbox records what would have been sent, by email and by SMS.
type Outbox struct {
	now      func() time.Time
	mu       sync.Mutex
	messages []message.Message
	texts    []message.Text
	err      error
	lost     bool
}

// Fail makes every later send fail with err. With nil, sends succeed again. If lost is set, the message was taken before the
// send failed. An err that wraps mfa.ErrNotTaken says that the message was surely not taken; any other err says that it may
// have been.
func (o *Outbox) Fail(err error, lost bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err, o.lost = err, lost
}

// SendMail records m.
func (o *Outbox) SendMail(_ context.Context, m message.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil || o.lost {
		o.messages = append(o.messages, m)
	}
	return o.err
}

// SendText records m.
func (o *Outbox) SendText(_ context.Context, m message.Text) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil || o.lost {
		o.texts = append(o.texts, m)
	}
	return o.err
}

// Texts returns the text messages to a number or, if number is empty, all of them, the oldest first.
func (o *Outbox) Texts(number string) []message.Text {
	o.mu.Lock()
	defer o.mu.Unlock()
	var to []message.Text
	for _, m := range o.texts {
		if number == "" || m.To == number {
			to = append(to, m)
		}
	}
	return to
}

// To returns the emails to an address, the oldest first.
func (o *Outbox) To(address string) []message.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	var to []message.Message
	for _, m := range o.messages {
		if m.To == address {
			to = append(to, m)
		}
	}
	return to
}

// Code returns the code that was last sent to an address, or to a number.
func (o *Outbox) Code(tb testing.TB, address string) (code seal.Secret) {
	tb.Helper()
	for _, m := range o.To(address) {
		if !m.Code.IsZero() {
			code = m.Code
		}
	}
	for _, m := range o.Texts(address) {
		if !m.Code.IsZero() {
			code = m.Code
		}
	}
	if code.IsZero() {
		tb.Fatalf("no code was sent to %s", address)
	}
	return code
}

// Events is a bus that records the events that it gets.
type Events struct {
	mu     sync.Mutex
	events []activity.Event
}

// PutEvents records events.
func (e *Events) PutEvents(_ context.Context, events []activity.Event) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = append(e.events, events...)
	return nil
}

// Types returns the types of all events so far that are about user, the oldest first.
func (e *Events) Types(user string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var types []string
	for _, event := range e.events {
		if event.User == user {
			types = append(types, event.Type)
		}
	}
	return types
}

// All returns all events so far, the oldest first.
func (e *Events) All() []activity.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]activity.Event(nil), e.events...)
}

// Wrong returns a well-formed code that is not code.
func Wrong(code seal.Secret) seal.Secret {
	text := []byte(code.Reveal())
	text[0] = '0' + (text[0]-'0'+1)%10
	return seal.NewSecret(string(text))
}

// NoRecoveryCode returns a well-formed recovery code that was never given to anyone.
func NoRecoveryCode() seal.Secret { return seal.NewSecret("AAAA-BBBB-CCCC-DDDD-EEEE-FFFF") }

// EveryRound reports whether COUNTERSIGN_ROUNDS is full. Then tests that repeat themselves do so as often as they were
// written for, which takes hours.
func EveryRound() bool { return os.Getenv("COUNTERSIGN_ROUNDS") == "full" }
