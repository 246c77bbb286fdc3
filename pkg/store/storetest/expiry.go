package storetest

import (
	"time"

	"countersign/pkg/store"
)

// expiryCases check that an expired item is absent, also if the backend still has it.
var expiryCases = []contractCase{
	{"an item is there until the clock reaches its second", func(r *rig) {
		for _, c := range []struct {
			name    string
			expires time.Duration // after a whole second
			gone    time.Duration
		}{
			{"whole", 10 * time.Second, 10 * time.Second},
			{"one nanosecond over", 10*time.Second + 1, 11 * time.Second},
			{"half", 10*time.Second + 500*time.Millisecond, 11 * time.Second},
			{"one nanosecond short", 10*time.Second - 1, 10 * time.Second},
		} {
			start, key := r.clock.Now(), r.key(c.name)
			r.mustCommit(until(start.Add(c.expires).In(time.FixedZone("elsewhere", 3600)), put(key, "1")))
			item := r.get(key)
			if want := start.Add(c.gone); !item.Expires.Equal(want) || item.Expires.Location() != time.UTC {
				r.Fatalf("%s: got Expires %v, want %v", c.name, item.Expires, want.UTC())
			}
			if found := r.all(store.Query{Partition: r.home, Prefix: c.name}); len(found) != 1 || !found[0].Expires.Equal(item.Expires) || found[0].Expires.Location() != time.UTC {
				r.Fatalf("%s: Query got %+v, want the item with Expires %v", c.name, found, item.Expires)
			}
			r.clock.Advance(c.gone - 1)
			r.want(key, item.Version, "1")
			r.wantSorts(store.Query{Partition: r.home, Prefix: c.name}, c.name)
			r.wantCommit(store.ErrConflict, c.name+": absence, a nanosecond before", put(key, "2"))
			r.clock.Advance(1)
			r.want(key, "", "")
			r.wantSorts(store.Query{Partition: r.home, Prefix: c.name})
			r.wantCommit(store.ErrConflict, c.name+": the expired version", over(key, item.Version, "2"))
			r.mustCommit(put(key, "2"))
		}
	}},

	{"an item without an expiry stays", func(r *rig) {
		version := r.mustCommit(put(r.key("a"), "1"))
		r.clock.Advance(24 * 365 * time.Hour)
		r.want(r.key("a"), version, "1")
		if got := r.get(r.key("a")).Expires; !got.IsZero() {
			r.Fatalf("got Expires %v, want none", got)
		}
	}},

	{"an item that had expired when it was written is absent", func(r *rig) {
		r.mustCommit(until(r.in(-time.Minute), put(r.key("a"), "1")), until(r.in(0), put(r.key("b"), "1")))
		r.want(r.key("a"), "", "")
		r.want(r.key("b"), "", "")
		r.wantSorts(store.Query{Partition: r.home})
	}},

	{"an item that is overwritten gets the new expiry, or none", func(r *rig) {
		a, b := r.key("a"), r.key("b")
		version := r.mustCommit(until(r.in(time.Second), put(a, "1")), until(r.in(time.Second), put(b, "1")))
		later := r.mustCommit(over(a, version, "2"), until(r.in(3*time.Second), over(b, version, "2")))
		r.clock.Advance(2 * time.Second)
		r.want(a, later, "2")
		r.want(b, later, "2")
		r.clock.Advance(time.Second)
		r.want(a, later, "2")
		r.want(b, "", "")
		r.mustCommit(until(r.in(time.Second), over(a, later, "3")))
		r.clock.Advance(time.Second)
		r.want(a, "", "")
	}},

	{"an expired item is absent to conditions", func(r *rig) {
		var version store.Version
		expire := func(sort string) store.Key {
			version = r.mustCommit(until(r.in(time.Second), put(r.key(sort), "1")))
			r.clock.Advance(time.Second)
			return r.key(sort)
		}
		key := expire("put")
		r.wantCommit(store.ErrConflict, "put over its version", over(key, version, "2"))
		anew := r.mustCommit(put(key, "2"))
		r.want(key, anew, "2")

		key = expire("delete")
		r.wantCommit(store.ErrConflict, "delete of its version", remove(key, version), put(r.key("other"), ""))
		r.want(r.key("other"), "", "")

		key = expire("among several")
		r.wantCommit(store.ErrConflict, "put over its version, among several", put(r.key("other"), ""), over(key, version, "2"))
		r.want(r.key("other"), "", "")
		anew = r.mustCommit(put(r.key("other"), ""), put(key, "2"))
		r.want(key, anew, "2")
	}},

	{"an item that expired and was made again doesn't have its old version", func(r *rig) {
		key := r.key("a")
		old := r.mustCommit(until(r.in(time.Second), put(key, "same")))
		r.clock.Advance(time.Second)
		anew := r.mustCommit(until(r.in(time.Second), put(key, "same")))
		if anew == old {
			r.Fatal("two commits had one token")
		}
		r.wantCommit(store.ErrConflict, "put over the old version", over(key, old, "2"))
		r.wantCommit(store.ErrConflict, "delete of the old version", remove(key, old), put(r.key("b"), ""))
		r.want(key, anew, "same")
	}},

	{"a commit that is made again over an item that has expired since doesn't bring back what was spent", func(r *rig) {
		ticket, grant := r.key("ticket"), r.key("grant")
		version := r.mustCommit(put(ticket, ""))
		token := store.NewVersion()
		writes := []store.Write{over(ticket, version, "spent"), until(r.in(time.Second), put(grant, ""))}
		r.again(token, nil, writes...)
		r.clock.Advance(time.Second)
		r.again(token, nil, writes...)
		r.want(ticket, token, "spent")
		r.want(grant, "", "")
		since := r.mustCommit(over(ticket, token, "3"))
		r.again(token, store.ErrConflict, writes...)
		r.want(ticket, since, "3")
		r.want(grant, "", "")
	}},
}
