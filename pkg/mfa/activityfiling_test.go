package mfa_test

import (
	"context"
	"encoding/json"
	"maps"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store"
	"countersign/pkg/store/bolt"
	"countersign/pkg/store/storetest"
)

// readingStore counts what is read from the store inside.
type readingStore struct {
	store.Store
	bytes, items, queries atomic.Int64
}

func (s *readingStore) count(items ...store.Item) {
	for _, item := range items {
		s.bytes.Add(int64(len(item.Key.Partition) + len(item.Key.Sort) + len(item.Version) + len(item.Body)))
		s.items.Add(1)
	}
}

func (s *readingStore) Get(ctx context.Context, key store.Key) (store.Item, error) {
	item, err := s.Store.Get(ctx, key)
	s.count(item)
	return item, err
}

func (s *readingStore) Query(ctx context.Context, q store.Query) (store.Page, error) {
	page, err := s.Store.Query(ctx, q)
	s.queries.Add(1)
	s.count(page.Items...)
	return page, err
}

// A filing is a world whose activity is filed without the calls that it tells of: records of real commits are handed on
// again and again, with other events in them.
type filing struct {
	*mfatest.World
	read      *readingStore
	templates map[string]map[string]any // the events of one commit, by the user they are about; empty: nobody
}

// newFiling makes a world with these users over a store. Its activity has only what the test files: the records that the
// templates are made from are not handed on.
func newFiling(t *testing.T, db store.Store, feed store.Feed, clock *storetest.Clock, users ...string) *filing {
	t.Helper()
	f := &filing{read: &readingStore{Store: db}, templates: map[string]map[string]any{}}
	f.World = mfatest.Over(t, f.read, feed, clock)
	f.SetPolicy(t, org, "kls", nil)
	for _, id := range users {
		started(t, f.World, mfa.StartRequest{Org: org, User: mfa.Person{ID: id, Email: mfa.Some(id + "@acme.example")}})
	}
	if err := feed.Deliver(t.Context(), 100, func(_ context.Context, records []store.Record) error {
		for _, r := range records {
			var m map[string]any
			if err := json.Unmarshal([]byte(r.Events), &m); err != nil {
				return err
			}
			id, _ := m["u"].(string)
			f.templates[id] = m
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, id := range append(users, "") {
		if f.templates[id] == nil {
			t.Fatalf("no commit about %q to take as a template", id)
		}
	}
	return f
}

// A toFile is an event to be filed.
type toFile struct {
	id, kind, user string
	at             time.Time
	padding        int
}

// record is a record with events of one user and moment.
func (f *filing) record(events ...toFile) store.Record {
	first := events[0]
	m := maps.Clone(f.templates[first.user])
	var lines []any
	for _, e := range events {
		line := map[string]any{"i": e.id, "y": e.kind, "d": map[string]any{"kind": "email", "padding": strings.Repeat("p", e.padding)}}
		lines = append(lines, line)
	}
	m["e"], m["t"] = lines, first.at
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return store.Record{Key: store.Key{Partition: "p", Sort: first.id}, Version: "v", Events: string(text)}
}

// file hands on a batch of records.
func (f *filing) file(t *testing.T, batch ...store.Record) {
	t.Helper()
	if err := f.Publish(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
}

// page reads one page of a listing, and fails the test if that read more than it may.
func (f *filing) page(t *testing.T, q mfa.ActivityQuery) (events []mfa.Event, cursor string) {
	t.Helper()
	f.read.bytes.Store(0)
	f.read.items.Store(0)
	f.read.queries.Store(0)
	page, err := f.OrgActivity(t.Context(), f.Client, q)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.read.bytes.Load(); got > 1<<20 {
		t.Errorf("one page read %d bytes, want at most 1 MiB", got)
	}
	if got := f.read.items.Load(); got > 1000 {
		t.Errorf("one page read %d items, want at most 1000", got)
	}
	if got := f.read.queries.Load(); got > 25 {
		t.Errorf("one page took %d queries, want at most 25", got)
	}
	limit := q.Limit
	if limit == 0 {
		limit = 50
	}
	if len(page.Items) > limit {
		t.Errorf("got %d items, want at most %d", len(page.Items), limit)
	}
	for _, item := range page.Items {
		var e mfa.Event
		if err := json.Unmarshal(item, &e); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	if page.Cursor != nil {
		cursor = *page.Cursor
	}
	return events, cursor
}

func onModel(t *testing.T, users ...string) *filing {
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	db := storetest.NewModel(clock.Now)
	return newFiling(t, db, db, clock, users...)
}

func onFile(t *testing.T, users ...string) *filing {
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	db, err := bolt.Open(filepath.Join(t.TempDir(), "store"), bolt.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return newFiling(t, db, db, clock, users...)
}
