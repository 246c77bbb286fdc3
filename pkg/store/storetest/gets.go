package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign/pkg/store"
)

// getCases check what a Get of several keys returns.
var getCases = []contractCase{
	{"a get of several keys returns the items in the order of the keys, absent ones too", func(r *rig) {
		one := r.mustCommit(put(r.key("a"), "1"), put(r.key("c"), "3"))
		other := store.Key{Partition: r.home + "other", Sort: "a"}
		two := r.mustCommit(put(other, "2"))
		r.mustCommit(until(r.in(time.Second), put(r.key("expired"), "4")))
		lasting := r.mustCommit(until(r.in(time.Hour), put(r.key("lasting"), "5")))
		r.clock.Advance(time.Second)
		keys := []store.Key{r.key("c"), r.key("none"), other, r.key("expired"), r.key("a"), r.key("lasting")}
		wanted := []struct {
			version store.Version
			body    string
		}{{one, "3"}, {}, {two, "2"}, {}, {one, "1"}, {lasting, "5"}}
		for range 2 {
			items := r.gets(keys...)
			for i, want := range wanted {
				if items[i].Version != want.version || string(items[i].Body) != want.body {
					r.Errorf("Get %q: got version %q and body %q, want %q and %q", keys[i], items[i].Version, items[i].Body, want.version, want.body)
				}
				if want.version == "" && (items[i].Body != nil || !items[i].Expires.IsZero()) {
					r.Errorf("Get %q: an absent item has contents: %+v", keys[i], items[i])
				}
			}
			slices.Reverse(keys)
			slices.Reverse(wanted)
		}
		if got, want := r.gets(r.key("a"), r.key("lasting"))[1].Expires, r.in(time.Hour-time.Second); !got.Equal(want) {
			r.Errorf("got an expiry at %v, want %v", got, want)
		}
	}},

	{"a get of several keys sees what was committed before it began", func(r *rig) {
		var version store.Version
		for i := range 20 {
			body := fmt.Sprint(i)
			version = r.mustCommit(over(r.key("a"), version, body), put(r.key("b"+body), body))
			for _, item := range r.gets(r.key("b"+body), r.key("a")) {
				if item.Version != version || string(item.Body) != body {
					r.Fatalf("Get %q: got version %q and body %q, want %q and %q", item.Key.Sort, item.Version, item.Body, version, body)
				}
			}
		}
	}},

	{"a get takes 100 keys, also of the largest items, and doesn't take 101", func(r *rig) {
		var keys []store.Key
		for i := range store.MaxKeys + 1 {
			keys = append(keys, r.key(fmt.Sprintf("%03d", i)))
		}
		for some := range slices.Chunk(keys, store.MaxWrites) {
			var writes []store.Write
			for _, key := range some {
				writes = append(writes, put(key, filled(store.MaxItem)))
			}
			r.mustCommit(writes...)
		}
		for _, item := range r.gets(keys[1:]...) {
			if len(item.Body) != store.MaxItem {
				r.Fatalf("Get %q: got %d bytes, want %d", item.Key.Sort, len(item.Body), store.MaxItem)
			}
		}
		r.wantNoGet("101 keys", keys...)
	}},

	{"a get needs at least one key, and keys that are different and valid", func(r *rig) {
		a, b := r.key("a"), r.key("b")
		r.mustCommit(put(a, ""), put(b, ""))
		r.wantNoGet("no keys")
		r.wantNoGet("one key twice", a, b, a)
		r.wantNoGet("a key without a sort", a, store.Key{Partition: r.home})
		r.wantNoGet("a key that is not UTF-8", r.key("no text \xff"), b)
	}},
}

// gets reads several items with one call.
func (r *rig) gets(keys ...store.Key) []store.Item {
	r.Helper()
	items, err := r.store.Get(r.Context(), keys...)
	if err != nil {
		r.Fatalf("Get of %d keys: %v", len(keys), err)
	}
	if len(items) != len(keys) {
		r.Fatalf("Get of %d keys: got %d items", len(keys), len(items))
	}
	for i, item := range items {
		if item.Key != keys[i] {
			r.Fatalf("Get of %d keys: got key %q in place %d, want %q", len(keys), item.Key, i, keys[i])
		}
	}
	return items
}

// wantNoGet checks that a Get is refused because it breaks the contract.
func (r *rig) wantNoGet(what string, keys ...store.Key) {
	r.Helper()
	if items, err := r.store.Get(r.Context(), keys...); !errors.Is(err, store.ErrInvalid) || items != nil {
		r.Errorf("Get of %s: got %d items and %v, want %v", what, len(items), err, store.ErrInvalid)
	}
}
