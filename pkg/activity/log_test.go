package activity

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/bolt"
	"countersign/pkg/store/fault"
	"countersign/pkg/store/storetest"
)

// A world is a log with a store that counts what is read. Its users are items of that store.
type world struct {
	Log
	clock  *storetest.Clock
	read   *storetest.Meter
	faults *fault.Store // between the log and its store
}

const (
	org = "acme"

	sent    = "challenge.sent"
	failed  = "challenge.failed"
	changed = "policy.changed"
)

func onModel(t *testing.T, users ...string) *world {
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	return over(t, storetest.NewModel(clock.Now), clock, users...)
}

func onFile(t *testing.T, users ...string) *world {
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	db, err := bolt.Open(filepath.Join(t.TempDir(), "store"), bolt.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return over(t, db, clock, users...)
}

func over(t *testing.T, db store.Store, clock *storetest.Clock, users ...string) *world {
	t.Helper()
	w := &world{clock: clock, read: &storetest.Meter{Store: db}}
	w.faults = fault.New(w.read)
	w.Log = Log{Store: w.faults, Now: clock.Now, Commit: committing(w.faults, clock.Now), Users: readUsers}
	for _, user := range users {
		w.makeUser(t, user, 0)
	}
	return w
}

// committing commits what is planned, and does so again if the commit lost a race.
func committing(to store.Store, now func() time.Time) func(context.Context, func(time.Time) ([]store.Write, error)) error {
	return func(ctx context.Context, plan func(time.Time) ([]store.Write, error)) error {
		for try := 1; ; try++ {
			writes, err := plan(now())
			if err != nil {
				return err
			}
			if err := to.Commit(ctx, store.NewVersion(), writes...); !errors.Is(err, store.ErrConflict) || try == 12 {
				return err
			}
		}
	}
}

// acme returns the route of the org.
var acme = func() Route {
	sum := sha256.Sum256([]byte(org))
	return Route(sum[:16])
}()

// userRoute returns the route of a user of the org. The empty user means nobody.
func userRoute(user string) Route {
	if user == "" {
		return acme
	}
	sum := sha256.Sum256([]byte(org + "/" + user))
	return acme + Route(sum[:16])
}

func keyItem(user Route) store.Key {
	return store.Key{Partition: "user#" + fmt.Sprintf("%x", string(user)), Sort: "key"}
}

// makeUser puts the item of a user, which has that many bytes more.
func (w *world) makeUser(t *testing.T, user string, padding int) {
	t.Helper()
	body := slices.Concat(NewKey(), []byte(user), make([]byte, 1+padding))
	put := store.Write{Key: keyItem(userRoute(user)), Body: body}
	if err := w.read.Commit(t.Context(), store.NewVersion(), put); err != nil {
		t.Fatal(err)
	}
}

// readUsers reads the users of these routes.
func readUsers(ctx context.Context, from store.Store, routes []Route) (map[Route]User, error) {
	found := map[Route]User{}
	for _, route := range routes {
		item, err := store.GetOne(ctx, from, keyItem(route))
		if err != nil {
			return nil, err
		}
		if !item.Absent() {
			id, _, _ := bytes.Cut(item.Body[32:], []byte{0})
			found[route] = User{string(id), item.Body[:32]}
		}
	}
	return found, nil
}

// noise returns a text of that many bytes, which deflate can hardly shorten. It is always the same.
func noise(n int) string {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	text := make([]byte, n)
	for i := range text {
		text[i] = byte('!' + rng.IntN('~'-'!'+1))
	}
	return string(text)
}

// biggest returns the padding of an event that makes its page almost as big as an item can be.
func biggest(t *testing.T) int {
	t.Helper()
	w := onModel(t, "u-0")
	for n := 90_000; n > 0; n -= 256 {
		filings := w.filings(t, []toFile{{id: "ev_0", kind: sent, user: "u-0", at: w.clock.Now(), padding: n}})
		if err := w.File(t.Context(), filings); err == nil {
			if size := len(w.pagesAt(t, w.clock.Now(), 0)[0].Body); size < store.MaxItem-1024 {
				t.Fatalf("a page has %d bytes, want nearly %d", size, store.MaxItem)
			}
			return n
		} else if !errors.Is(err, store.ErrInvalid) {
			t.Fatal(err)
		}
	}
	t.Fatal("no page is small enough")
	return 0
}

// A toFile is an event that is to be filed.
type toFile struct {
	id, kind, user string
	at             time.Time
	padding        int
}

// file files a batch of events.
func (w *world) file(t *testing.T, batch ...toFile) {
	t.Helper()
	if err := w.File(t.Context(), w.filings(t, batch)); err != nil {
		t.Fatal(err)
	}
}

func (w *world) filings(t *testing.T, batch []toFile) (filings []Filing) {
	t.Helper()
	about := map[Route]bool{}
	for _, e := range batch {
		if e.user != "" {
			about[userRoute(e.user)] = true
		}
	}
	var routes []Route
	for r := range about {
		routes = append(routes, r)
	}
	found, err := readUsers(t.Context(), w.read.Store, routes)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range batch {
		var key EntryKey
		if user, there := found[userRoute(e.user)]; there {
			key = user.Key.Entry(e.at)
		}
		filings = append(filings, Filing{
			Event: Event{
				ID: e.id, Type: e.kind, Time: e.at, Org: org, User: e.user, Actor: Actor{Kind: "client", ID: "app"}, PolicyVersion: 2,
				Data: map[string]any{"kind": "email", "padding": noise(e.padding)},
			},
			Route: userRoute(e.user), Key: key,
		})
	}
	return filings
}

// page reads one page of a listing, and fails the test if that reads more than it may. It returns where the next page begins.
func (w *world) page(t *testing.T, q Query) (events []Event, next *Place) {
	t.Helper()
	w.read.Reset()
	if q.Route == "" {
		q.Route = acme
	}
	if q.Limit == 0 {
		q.Limit = 50
	}
	q.Org = org
	events, next, err := w.List(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.read.Bytes.Load(); got > 1<<20 {
		t.Errorf("one page read %d bytes, want at most 1 MiB", got)
	}
	if got := w.read.Items.Load(); got > 1000 {
		t.Errorf("one page read %d items, want at most 1000", got)
	}
	if got := w.read.Queries.Load(); got > 25 {
		t.Errorf("one page took %d queries, want at most 25", got)
	}
	if len(events) > q.Limit {
		t.Errorf("got %d items, want at most %d", len(events), q.Limit)
	}
	return events, next
}

// pages reads a whole listing page by page, and calls look with each page.
func (w *world) pages(t *testing.T, q Query, look func(page int, events []Event, more bool)) {
	t.Helper()
	for n := 1; ; n++ {
		events, next := w.page(t, q)
		look(n, events, next != nil)
		if next == nil {
			return
		}
		q.After = *next
	}
}
