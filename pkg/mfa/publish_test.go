package mfa_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/fault"
)

// wantTypes publishes all events, and fails the test unless those about ana have exactly these types.
func wantTypes(t *testing.T, w *mfatest.World, want ...string) {
	t.Helper()
	w.Drain(t)
	if got := w.Events.Types(user); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestI6ASignInIsToldStepByStep(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	wrongs(t, w, ch.ID, 1)
	if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), true); err != nil {
		t.Fatal(err)
	}
	if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	wantTypes(t, w, "user.created", "challenge.started", "challenge.sent", "challenge.failed", "challenge.verified", "browser.trusted", "user.erased")
	wantTypes(t, w, "user.created", "challenge.started", "challenge.sent", "challenge.failed", "challenge.verified", "browser.trusted", "user.erased")
	seen := map[string]bool{}
	for _, e := range w.Events.All() {
		if e.ID[:3] != "ev_" || seen[e.ID] || e.Time.IsZero() || e.Org != org || e.Actor.Kind == "" || e.Data == nil || e.PolicyVersion == 0 {
			t.Errorf("got %+v", e)
		}
		seen[e.ID] = true
	}
}

func TestE3NoEventOrLogLineHoldsASecretOrAnAddress(t *testing.T) {
	const phone, other, name = "+33612345678", "ana.lima@other.example", "Ana Lima"
	var log bytes.Buffer
	w := kls(t, nil)
	w.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	secrets := []string{mail, phone, other, "ana.lima", name, w.Client.Bearer}
	keep := func(s *seal.Secret) {
		if s != nil {
			secrets = append(secrets, s.Reveal())
		}
	}
	q := ana()
	q.User.Name, q.User.Phone = mfa.Some(name), mfa.Some(phone)
	step := func() mfa.StartAnswer {
		answer, err := w.StartChallenge(t.Context(), w.Client, q)
		if err != nil {
			t.Fatal(err)
		}
		keep(answer.Token)
		keep(answer.TrustToken)
		return answer
	}
	ch := step().Challenge
	keep(ch.Token)
	wrongs(t, w, ch.ID, 1)
	answer, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), true)
	if err != nil {
		t.Fatal(err)
	}
	keep(&answer.Token)
	keep(answer.TrustToken)
	q.TrustToken = *answer.TrustToken
	q.TrustToken = *step().TrustToken
	step()
	q.TrustToken = *answer.TrustToken
	step() // the use of the superseded token is taken for a theft
	w.Outbox.Fail(errors.New("the provider is away"), true)
	step()
	q.User.Email, q.User.Phone, q.User.Name = mfa.Some(other), mfa.Some("not a phone of "+name), mfa.Some("bad\n"+name)
	step()
	w.Outbox.Fail(nil, false)
	put(t, w, mfa.Person{ID: user, Email: mfa.Some(mail)})
	lock(t, w)
	w.Outbox.Fail(errors.New("the provider is away"), false)
	w.Drain(t)
	for _, address := range []string{mail, other} {
		for _, m := range w.Outbox.To(address) {
			secrets = append(secrets, `"`+m.Code.Reveal()+`"`, " "+m.Code.Reveal(), "="+m.Code.Reveal())
		}
	}
	body, err := json.Marshal(w.Events.All())
	if err != nil {
		t.Fatal(err)
	}
	types := w.Events.Types(user)
	for _, want := range []string{mfa.BrowserTheft, mfa.ChallengeLocked, mfa.DeliveryFailure, mfa.UserUpdated, mfa.BrowserTrusted} {
		if !slices.Contains(types, want) {
			t.Errorf("no %s came: the test is not about all events", want)
		}
	}
	if !strings.Contains(log.String(), "handed over") {
		t.Errorf("got log %q, want the failed deliveries in it", log.String())
	}
	for _, secret := range secrets {
		if len(secret) > 2 && (strings.Contains(string(body), secret) || strings.Contains(log.String(), secret)) {
			t.Errorf("%q is in an event or the log", secret)
		}
	}
}

// records takes all records from the feed without publishing them.
func records(t *testing.T, w *mfatest.World) (all []store.Record) {
	t.Helper()
	err := w.Feed.Deliver(t.Context(), 100, func(_ context.Context, batch []store.Record) error {
		all = append(all, batch...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAnEventKeepsItsIdWhenItIsHandedOnAgain(t *testing.T) {
	w := kls(t, nil)
	started(t, w, ana())
	batch := records(t, w)
	for range 3 {
		if err := w.Publish(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	ids := map[string]int{}
	for _, e := range w.Events.All() {
		ids[e.ID]++
	}
	for id, n := range ids {
		if n != 3 {
			t.Errorf("%s came %d times, want 3", id, n)
		}
	}
	if err := w.Publish(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

type brokenBus struct{ err error }

func (b brokenBus) PutEvents(context.Context, []activity.Event) error { return b.err }

func TestEventsWaitWhileTheBusIsAway(t *testing.T) {
	w := kls(t, nil)
	started(t, w, ana())
	w.Bus = brokenBus{errProvider}
	for range 2 {
		if err := w.Feed.Deliver(t.Context(), 100, w.Publish); !errors.Is(err, errProvider) {
			t.Fatalf("got %v, want the bus's error", err)
		}
	}
	w.Bus = w.Events
	wantTypes(t, w, "user.created", "challenge.started", "challenge.sent")
}

func TestANoticeIsNotSentToWhoWasErased(t *testing.T) {
	w := kls(t, nil)
	lock(t, w)
	if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	put(t, w, ana().User) // the user is created again
	w.Drain(t)
	if got := notices(w, mail); len(got) != 0 {
		t.Errorf("got %q, want nothing", subjects(got))
	}
	if got := len(events(t, w, mfa.ChallengeLocked)); got != 1 {
		t.Errorf("got %d locks told, want 1", got)
	}
}

func TestANoticeWaitsForTheStore(t *testing.T) {
	w := kls(t, nil)
	lock(t, w)
	w.Faults.Inject(fault.Query, 1, fault.Fail(nil))
	if err := w.Feed.Deliver(t.Context(), 100, w.Publish); !errors.Is(err, fault.Err) {
		t.Fatalf("got %v, want the store's error", err)
	}
	w.Drain(t)
	if got := len(w.Outbox.To(mail)); got != 3 {
		t.Errorf("got %d messages, want two codes and the notice", got)
	}
}

func TestTheLogNeverHoldsWhatTheStoreSaid(t *testing.T) {
	w := kls(t, nil)
	w.Clock.Advance(time.Second)
	w.Faults.Inject(fault.Get, 1, fault.Fail(errors.New("table countersign-prod")))
	_, err := w.StartChallenge(t.Context(), w.Client, ana())
	if e := wantCode(t, err, mfa.Unavailable); strings.Contains(e.Detail, "countersign-prod") || e.Param != "" {
		t.Errorf("got detail %q: it is for the caller", e.Detail)
	}
}
