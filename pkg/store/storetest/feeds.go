package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"countersign/pkg/store"
)

// feedCases check that the events of commits are handed on.
var feedCases = []contractCase{
	{"events are handed on with the key and version of their put", func(r *rig) {
		a, b := r.key("a"), r.key("b")
		first := r.mustCommit(telling("one", put(a, "1")), put(r.key("silent"), "1"), telling("two", put(b, "1")))
		second := r.mustCommit(telling("three \xff \x00", over(a, first, "2")))
		r.wantRecords(r.deliver(10), told(a, first, "one"), told(b, first, "two"),
			told(a, second, "three \xff \x00"))
	}},

	{"a put without events hands nothing on", func(r *rig) {
		version := r.mustCommit(telling("one", put(r.key("a"), "1")))
		version = r.mustCommit(over(r.key("a"), version, "2"))
		r.mustCommit(remove(r.key("a"), version), put(r.key("b"), ""))
		for _, record := range r.deliver(10) {
			if string(record.Events) != "one" {
				r.Errorf("got %+v, which was put without events", record)
			}
		}
	}},

	{"events of a commit that conflicted never come", func(r *rig) {
		r.mustCommit(put(r.key("a"), "1"))
		r.wantCommit(store.ErrConflict, "absence", telling("never", put(r.key("a"), "2")))
		r.wantCommit(store.ErrConflict, "absence, among several", telling("never", put(r.key("b"), "2")), put(r.key("a"), "2"))
		r.wantRecords(r.deliver(10))
	}},

	{"events come in order for each key, whatever the size of the batches", func(r *rig) {
		for _, limit := range []int{1, 3, 100} {
			var want []store.Record
			versions := map[int]store.Version{}
			for turn := range 4 {
				for i := range 5 {
					key := r.key(fmt.Sprintf("limit %d item %d", limit, i))
					events := fmt.Sprintf("turn %d", turn)
					versions[i] = r.mustCommit(telling(events, over(key, versions[i], "")))
					want = append(want, told(key, versions[i], events))
				}
			}
			r.wantRecords(r.deliver(limit), want...)
		}
	}},

	{"records that were taken don't come again, and records that were refused do", func(r *rig) {
		key, version := r.key("a"), store.Version("")
		var want []store.Record
		for i := range 6 {
			version = r.mustCommit(telling(fmt.Sprint(i), over(key, version, "")))
			want = append(want, told(key, version, fmt.Sprint(i)))
		}
		refusal := errors.New("not now")
		var taken, refused []store.Record
		for range 2 {
			err := r.feed.Deliver(r.Context(), 1, func(_ context.Context, records []store.Record) error {
				mine := r.mine(records)
				if len(mine) > 0 && len(refused) > 0 && !same(mine[0], refused[0]) && len(taken) == 3 {
					r.Errorf("got %+v after a refusal of %+v", mine[0], refused[0])
				}
				if len(mine) > 0 && len(taken) == 3 {
					refused = mine
					return refusal
				}
				taken = append(taken, mine...)
				return nil
			})
			if !errors.Is(err, refusal) {
				r.Fatalf("Deliver: got %v, want the receiver's error", err)
			}
		}
		r.wantRecords(taken, want[:3]...)
		r.wantRecords(r.deliver(10), want[3:]...)
		r.wantRecords(r.deliver(10))
	}},

	{"a refused batch comes again whole", func(r *rig) {
		var want []store.Record
		for i := range 5 {
			key := r.key(fmt.Sprint(i))
			want = append(want, told(key, r.mustCommit(telling("e", put(key, ""))), "e"))
		}
		refusal := errors.New("not now")
		err := r.feed.Deliver(r.Context(), 100, func(_ context.Context, records []store.Record) error {
			if len(r.mine(records)) > 0 {
				return refusal
			}
			return nil
		})
		if !errors.Is(err, refusal) {
			r.Fatalf("Deliver: got %v, want the receiver's error", err)
		}
		r.wantRecords(r.deliver(2), want...)
	}},

	{"events outlive their item", func(r *rig) {
		short, gone := r.key("short"), r.key("gone")
		version := r.mustCommit(until(r.in(time.Second), telling("one", put(short, ""))), telling("two", put(gone, "")))
		r.mustCommit(remove(gone, version), put(r.key("other"), ""))
		r.clock.Advance(24 * time.Hour)
		r.wantRecords(r.deliver(10), told(short, version, "one"), told(gone, version, "two"))
	}},

	{"what waits to be handed on can be looked at, if the backend allows that", func(r *rig) {
		holder, ok := r.store.(store.Holder)
		if !ok {
			return
		}
		look := func(key store.Key, want ...store.Record) {
			held, err := holder.Held(r.Context(), key)
			if err != nil || len(held) < len(want) || !slices.EqualFunc(held[len(held)-len(want):], want, same) {
				r.Errorf("Held %q: got %+v, %v, want %+v at the end", key.Sort, held, err, want)
			}
		}
		a, b := r.key("a"), r.key("b")
		first := r.mustCommit(telling("one", put(a, "1")), put(b, "1"))
		look(a, told(a, first, "one"))
		look(a, told(a, r.mustCommit(telling("two", over(a, first, "2"))), "two"))
		for _, silent := range []store.Key{b, r.key("absent")} {
			if held, err := holder.Held(r.Context(), silent); err != nil || len(held) > 0 {
				r.Errorf("Held %q: got %+v, %v, want none", silent.Sort, held, err)
			}
		}
		if _, err := holder.Held(r.Context(), store.Key{}); !errors.Is(err, store.ErrInvalid) {
			r.Errorf("Held of a bad key: got %v, want %v", err, store.ErrInvalid)
		}
	}},

	{"a receiver of events may commit, and the events of that commit come too", func(r *rig) {
		version := r.mustCommit(telling("one", put(r.key("a"), "")))
		next := store.NewVersion()
		var got []store.Record
		receive := func(ctx context.Context, records []store.Record) error {
			got = append(got, r.mine(records)...)
			return r.store.Commit(ctx, next, telling("two", put(r.key("b"), "")))
		}
		for range 2 {
			if err := r.feed.Deliver(r.Context(), 1, receive); err != nil {
				r.Fatalf("Deliver: %v", err)
			}
		}
		got = append(got, r.deliver(10)...)
		r.wantRecords(got, told(r.key("a"), version, "one"), told(r.key("b"), next, "two"))
	}},

	{"deliveries don't overlap", func(r *rig) {
		var want []store.Record
		for i := range 20 {
			key := r.key(fmt.Sprint(i))
			want = append(want, told(key, r.mustCommit(telling("e", put(key, ""))), "e"))
		}
		var inside atomic.Int32
		var got []store.Record // without a lock, so that the race detector finds deliveries that overlap
		errs := together(8, func(int) error {
			return r.feed.Deliver(r.Context(), 1, func(_ context.Context, records []store.Record) error {
				if inside.Add(1) != 1 {
					r.Error("two deliveries at once")
				}
				got = append(got, r.mine(records)...)
				for range 100 {
					runtime.Gosched()
				}
				inside.Add(-1)
				return nil
			})
		})
		if err := errors.Join(errs...); err != nil {
			r.Fatalf("Deliver: %v", err)
		}
		r.wantRecords(got, want...)
	}},
}

// told returns the record of a put with events.
func told(key store.Key, version store.Version, events string) store.Record {
	return store.Record{Key: key, Version: version, Events: []byte(events)}
}

func same(a, b store.Record) bool {
	return a.Key == b.Key && a.Version == b.Version && bytes.Equal(a.Events, b.Events)
}

// wantRecords checks that got has each of the records in want at least once and no others, and that those of one key are in the
// order of want.
func (r *rig) wantRecords(got []store.Record, want ...store.Record) {
	r.Helper()
	byKey := func(records []store.Record) map[store.Key][]store.Record {
		m := map[store.Key][]store.Record{}
		for _, record := range records {
			if !slices.ContainsFunc(m[record.Key], func(other store.Record) bool { return same(record, other) }) {
				m[record.Key] = append(m[record.Key], record)
			}
		}
		return m
	}
	gotByKey, wantByKey := byKey(got), byKey(want)
	for key, records := range wantByKey {
		if !slices.EqualFunc(gotByKey[key], records, same) {
			r.Errorf("records of %q:\n got %+v\nwant %+v", key.Sort, gotByKey[key], records)
		}
		delete(gotByKey, key)
	}
	for key, records := range gotByKey {
		r.Errorf("records of %q: got %+v, want none", key.Sort, records)
	}
}
