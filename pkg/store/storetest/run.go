// Package storetest has what tests of stores need. Run is the contract of package store as a test, which every backend must pass.
// Clock is a clock that moves only when a test moves it. Model is the contract in its simplest form, in memory.
//
// Run checks the contract and nothing else. So a backend may be slow, may return pages of any size and may hand on a record twice,
// but it must not decide otherwise than the contract says. Run uses partitions of its own with random names, so it can run on a
// table that others use at the same time.
//
// It doesn't sleep, and it uses a backend only by its interface.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/pkg/store"
)

// Run checks that the stores which open returns keep the contract of package store. It calls open once for each of its subtests. All
// of these stores may share one table. open must make sure, with t.Cleanup, that the store is closed when its test ends. The store
// and its feed must take the time from now.
func Run(t *testing.T, open func(t testing.TB, now func() time.Time) (store.Store, store.Feed)) {
	for _, cases := range [][]contractCase{commitCases, againCases, getCases, expiryCases, queryCases, countCases, limitCases, feedCases} {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				// It is today, because a table may have a TTL, which would delete what expired long ago.
				clock := NewClock(time.Now().Truncate(time.Second))
				s, feed := open(t, clock.Now)
				c.check(&rig{T: t, store: s, feed: feed, clock: clock, home: "storetest-" + string(store.NewVersion())})
			})
		}
	}
}

// A contractCase is one sentence of the contract, with a check of it.
type contractCase struct {
	name  string
	check func(*rig)
}

// A rig has the store and the clock of one subtest, and the part of the table that only this test uses.
type rig struct {
	*testing.T
	store store.Store
	feed  store.Feed
	clock *Clock
	home  string // the partition of this test; the names of its other partitions begin with it
}

// key returns the key with this sort in the partition of the test.
func (r *rig) key(sort string) store.Key { return store.Key{Partition: r.home, Sort: sort} }

// in returns the time that comes d after now.
func (r *rig) in(d time.Duration) time.Time { return r.clock.Now().Add(d) }

// commit makes a Commit with a new token, and returns the token.
func (r *rig) commit(writes ...store.Write) (store.Version, error) {
	token := store.NewVersion()
	return token, r.store.Commit(r.Context(), token, writes...)
}

// mustCommit is commit for a Commit that must succeed.
func (r *rig) mustCommit(writes ...store.Write) store.Version {
	r.Helper()
	token, err := r.commit(writes...)
	if err != nil {
		r.Fatalf("Commit: got %v, want nil", err)
	}
	return token
}

// wantCommit makes a Commit with a new token, which must return the error want.
func (r *rig) wantCommit(want error, what string, writes ...store.Write) {
	r.Helper()
	if _, err := r.commit(writes...); !errors.Is(err, want) {
		r.Fatalf("Commit, %s: got %v, want %v", what, err, want)
	}
}

// get reads one item.
func (r *rig) get(key store.Key) store.Item {
	r.Helper()
	item, err := store.GetOne(r.Context(), r.store, key)
	if err != nil {
		r.Fatalf("Get: %v", err)
	}
	if item.Key != key {
		r.Fatalf("Get: got key %q, want %q", item.Key, key)
	}
	return item
}

// want checks the item under key. A zero version means that the item must be absent.
func (r *rig) want(key store.Key, version store.Version, body string) {
	r.Helper()
	item := r.get(key)
	if item.Version != version || string(item.Body) != body {
		r.Fatalf("Get %q: got version %q and body %.40q, want %q and %.40q", key.Sort, item.Version, item.Body, version, body)
	}
	if item.Absent() != (version == "") {
		r.Fatalf("Get %q: got absent %t", key.Sort, item.Absent())
	}
	if item.Absent() && (item.Body != nil || !item.Expires.IsZero()) {
		r.Fatalf("Get %q: an absent item has contents: %+v", key.Sort, item)
	}
}

// all returns the items of all pages of q.
func (r *rig) all(q store.Query) []store.Item {
	r.Helper()
	limit := q.Limit
	if limit == 0 {
		limit = store.MaxLimit
	}
	var items []store.Item
	for {
		page, err := r.store.Query(r.Context(), q)
		if err != nil {
			r.Fatalf("Query %+v: %v", q, err)
		}
		if len(page.Items) > limit {
			r.Fatalf("Query %+v: got %d items, want at most %d", q, len(page.Items), limit)
		}
		items = append(items, page.Items...)
		if !page.More {
			return items
		}
		forward := page.Last > q.After
		if q.Reverse {
			forward = page.Last != "" && (q.After == "" || page.Last < q.After)
		}
		if !forward {
			r.Fatalf("Query %+v: More, but going on after %q leads nowhere", q, page.Last)
		}
		q.After = page.Last
	}
}

// sorts returns the sorts of the items in all pages of q.
func (r *rig) sorts(q store.Query) []string {
	r.Helper()
	sorts := []string{}
	for _, item := range r.all(q) {
		if item.Key.Partition != q.Partition {
			r.Fatalf("Query %+v: got an item of partition %q", q, item.Key.Partition)
		}
		if item.Absent() {
			r.Fatalf("Query %+v: got an absent item %q", q, item.Key.Sort)
		}
		sorts = append(sorts, item.Key.Sort)
	}
	return sorts
}

// wantSorts checks the sorts of the items in all pages of q.
func (r *rig) wantSorts(q store.Query, want ...string) {
	r.Helper()
	if got := r.sorts(q); !slices.Equal(got, want) {
		r.Fatalf("Query of prefix %q after %q, limit %d, reverse %t:\n got %q\nwant %q", q.Prefix, q.After, q.Limit, q.Reverse, got, want)
	}
}

// mine returns those of the records that are of this test. The feed of a table also brings the records of others.
func (r *rig) mine(records []store.Record) []store.Record {
	return slices.DeleteFunc(slices.Clone(records), func(record store.Record) bool {
		return !strings.HasPrefix(record.Key.Partition, r.home)
	})
}

// deliver lets the feed hand on all records that wait, and returns those of this test.
func (r *rig) deliver(limit int) []store.Record {
	r.Helper()
	var got []store.Record
	err := r.feed.Deliver(r.Context(), limit, func(_ context.Context, records []store.Record) error {
		if len(records) == 0 || len(records) > limit {
			r.Errorf("Deliver: got %d records at a time, want 1 to %d", len(records), limit)
		}
		got = append(got, r.mine(records)...)
		return nil
	})
	if err != nil {
		r.Fatalf("Deliver: %v", err)
	}
	return got
}

// together calls fn in n goroutines that start at the same time, and returns their results.
func together[T any](n int, fn func(i int) T) []T {
	var done sync.WaitGroup
	start, got := make(chan struct{}), make([]T, n)
	for i := range n {
		done.Go(func() {
			<-start
			got[i] = fn(i)
		})
	}
	close(start)
	done.Wait()
	return got
}

// put returns a Put which expects that the item is absent.
func put(key store.Key, body string) store.Write {
	return store.Write{Key: key, Body: []byte(body)}
}

// over returns a Put that expects a version.
func over(key store.Key, version store.Version, body string) store.Write {
	return store.Write{Key: key, Expect: version, Body: []byte(body)}
}

// remove returns a Delete that expects a version.
func remove(key store.Key, version store.Version) store.Write {
	return store.Write{Key: key, Expect: version, Delete: true}
}

// until returns the write with an expiry.
func until(expires time.Time, write store.Write) store.Write {
	write.Expires = expires
	return write
}

// telling returns the write with events.
func telling(events string, write store.Write) store.Write {
	write.Events = []byte(events)
	return write
}

// filled returns a body of n bytes.
func filled(n int) string { return string(bytes.Repeat([]byte{'x'}, n)) }
