package mfa

import (
	"strings"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

func TestAKnownTokenOfAnotherFormIsWorthNothing(t *testing.T) {
	g := &guard{Org: "acme", User: "u-17", Epoch: "e"}
	u := &unit{ring: seal.NewRing(morning), reloaded: true}
	const prefix = "ckt_"
	if token, err := g.knownToken(u.ring); err != nil || !strings.HasPrefix(token.Reveal(), prefix) {
		t.Fatal(err)
	}
	whole := prefix + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for name, text := range map[string]string{
		"nothing": "", "the prefix alone": prefix, "of a key that is not ours": whole,
		"line ends instead of letters": whole[:len(whole)-8] + "\n\n\n\n\n\n\n\n",
		"nothing but line ends":        prefix + strings.Repeat("\n", len(whole)-len(prefix)),
		"other letters":                whole[:len(whole)-1] + "*",
		"padding":                      whole[:len(whole)-2] + "==",
	} {
		if known, err := u.knowsBrowser(g, seal.NewSecret(text)); known || err != nil {
			t.Errorf("%s: got %t, %v", name, known, err)
		}
	}
}

func TestEventsOfOneCommitKeepTheirOwnPolicyVersionAndActor(t *testing.T) {
	at := morning.Add(time.Hour)
	first := pendingEvent{Event: activity.Event{ID: "ev_1", Type: ChallengeFailed, Time: at, Org: "acme", User: "u-17", Actor: userActor("u-17"), PolicyVersion: 3}}
	second := first
	second.ID, second.PolicyVersion, second.Actor = "ev_2", 4, serviceActor
	rides, err := (&unit{events: []pendingEvent{first, second}}).batchOfEvents()
	if err != nil {
		t.Fatal(err)
	}
	m, err := decodeEventBatch(store.Record{Events: rides})
	if err != nil {
		t.Fatal(err)
	}
	read := m.pendingEvents()
	if len(read) != 2 {
		t.Fatalf("got %+v", read)
	}
	for i, want := range []pendingEvent{first, second} {
		if got := read[i]; got.ID != want.ID || got.PolicyVersion != want.PolicyVersion || got.Actor != want.Actor {
			t.Errorf("got %s of version %d by %v, want %s, %d, %v", got.ID, got.PolicyVersion, got.Actor, want.ID, want.PolicyVersion, want.Actor)
		}
	}
}

func TestDamagedEventsAreNotHandedOn(t *testing.T) {
	of := func(change func(*eventBatch)) store.Record {
		b := eventBatch{Org: "acme", User: "u-17", Time: morning, Entries: []batchEntry{{}}}
		var err error
		if b.Said, err = activity.Encode(b.filedUnder(), []activity.Event{{ID: "ev_1", Type: ChallengeFailed}}); err != nil {
			t.Fatal(err)
		}
		change(&b)
		body, err := record.Encode(&b)
		if err != nil {
			t.Fatal(err)
		}
		return store.Record{Events: body}
	}
	if b, err := decodeEventBatch(of(func(*eventBatch) {})); err != nil || len(b.pendingEvents()) != 1 {
		t.Fatalf("got %+v, %v, want one event", b, err)
	}
	for name, r := range map[string]store.Record{
		"nothing":                   {},
		"text":                      {Events: []byte("no events")},
		"an entry without event":    of(func(b *eventBatch) { b.Entries = append(b.Entries, batchEntry{}) }),
		"an event without entry":    of(func(b *eventBatch) { b.Entries = nil }),
		"what is said is cut off":   of(func(b *eventBatch) { b.Said = b.Said[:len(b.Said)-1] }),
		"what is said is not there": of(func(b *eventBatch) { b.Said = nil }),
	} {
		if b, err := decodeEventBatch(r); err == nil {
			t.Errorf("%s: got %+v, want an error", name, b)
		}
	}
}

func TestNothingIsPlannedInAFormatThatThisBuildDoesNotHave(t *testing.T) {
	u := &unit{s: &Service{Now: time.Now}}
	u.begin(seal.NewRing(morning).WithRecordFormat(record.Latest + 1))
	u.event(pendingEvent{Event: activity.Event{Type: PolicyChanged, Org: "acme"}})
	if _, err := u.batchOfEvents(); err == nil {
		t.Error("events were encoded")
	}
	if u.put(store.Item{Key: PublishedKeysAt}, &publishedKeys{}, time.Time{}); u.err == nil {
		t.Error("a record was encoded")
	}
}

func TestWhatIsCountedOfCodesByEmailStaysSmall(t *testing.T) {
	g := &guard{}
	now := morning
	for range 500 {
		now = now.Add(g.maySend(channelEmail, mailbox{}.limits(nil), now)).Add(time.Minute)
		g.countSend(channelEmail, now)
		if len(g.EmailsSent) > sendsInDay {
			t.Fatalf("%d sends are kept, want those of a day", len(g.EmailsSent))
		}
	}
}

// BigGuard returns the body of a guard that is made bigger by as many bytes, for tests that aren't in this package.
func BigGuard(item store.Item, by int) ([]byte, error) {
	var g guard
	if err := record.Decode(item, &g); err != nil {
		return nil, err
	}
	g.Profile.Name += strings.Repeat("n", by)
	return record.Encode(&g)
}
