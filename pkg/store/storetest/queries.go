package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/pkg/store"
)

// queryCases check what a Query finds, in which order, and over several pages.
var queryCases = []contractCase{
	{"a query goes both ways through prefixes, starts and pages", func(r *rig) {
		var sorts []string
		for _, group := range []string{"a", "b", "b#", "ba", "c"} {
			sorts = append(sorts, group)
			for i := range 4 {
				sorts = append(sorts, fmt.Sprintf("%s#%d", group, i))
			}
		}
		slices.Sort(sorts)
		expired := func(sort string) bool { return strings.HasSuffix(sort, "1") || strings.HasSuffix(sort, "2") }
		for _, sort := range sorts {
			write := put(r.key(sort), sort)
			if expired(sort) {
				write = until(r.in(time.Second), write)
			}
			r.mustCommit(write)
		}
		r.clock.Advance(time.Second)

		for _, prefix := range []string{"", "a", "b", "b#", "b##", "ba", "c#", "c#3", "d", "zz"} {
			for _, after := range append([]string{"", "0", "b!", "b#0!", "c#9", "z"}, sorts...) {
				for _, reverse := range []bool{false, true} {
					var want []string
					for _, sort := range sorts {
						beyond := after == "" || (!reverse && sort > after) || (reverse && sort < after)
						if strings.HasPrefix(sort, prefix) && beyond && !expired(sort) {
							want = append(want, sort)
						}
					}
					if reverse {
						slices.Reverse(want)
					}
					// Small pages are tried only from some starts, because over a network each page is a round trip.
					limits := []int{0}
					if after == "" || after == "b#1" || after == "b!" {
						limits = []int{0, 1, 2, 7, store.MaxLimit}
					}
					for _, limit := range limits {
						r.wantSorts(store.Query{Partition: r.home, Prefix: prefix, After: after, Limit: limit, Reverse: reverse}, want...)
					}
				}
			}
		}
	}},

	{"a query returns the same items as a get", func(r *rig) {
		version := r.mustCommit(until(r.in(time.Minute), put(r.key("a"), "1")), put(r.key("b"), ""))
		for _, item := range r.all(store.Query{Partition: r.home}) {
			got := r.get(item.Key)
			if item.Version != version || got.Version != version || string(got.Body) != string(item.Body) || !got.Expires.Equal(item.Expires) {
				r.Errorf("Query got %+v, Get got %+v, want both at version %q", item, got, version)
			}
		}
	}},

	{"a full page says whether there may be more", func(r *rig) {
		r.mustCommit(put(r.key("a"), ""), put(r.key("b"), ""), put(r.key("c"), ""))
		for _, c := range []struct {
			limit int
			more  bool
		}{{1, true}, {2, true}, {4, false}} {
			page, err := r.store.Query(r.Context(), store.Query{Partition: r.home, Limit: c.limit})
			if err != nil {
				r.Fatal(err)
			}
			if page.More != c.more || (c.more && page.Last != page.Items[len(page.Items)-1].Key.Sort) {
				r.Errorf("limit %d: got %d items, More %t, Last %q, want More %t", c.limit, len(page.Items), page.More, page.Last, c.more)
			}
		}
	}},

	{"a query of nothing finds nothing", func(r *rig) {
		r.wantSorts(store.Query{Partition: r.home})
		r.wantSorts(store.Query{Partition: r.home, Reverse: true, Prefix: "a", After: "b", Limit: 3})
	}},

	{"a query returns all of a partition of large items", func(r *rig) {
		var want []string
		for i := range 40 {
			sort := fmt.Sprintf("%02d", i)
			r.mustCommit(put(r.key(sort), filled(store.MaxItem)))
			want = append(want, sort)
		}
		r.wantSorts(store.Query{Partition: r.home}, want...)
		slices.Reverse(want)
		r.wantSorts(store.Query{Partition: r.home, Reverse: true}, want...)
	}},

	{"keys that look alike are not confused", func(r *rig) {
		parts := []string{"a", "aa", "a#", "a#b", "#", "##", "a\x00", "a\x00a", "\x00", "\x00\x00", "\x01", "b", "é", "e\u0301", "日本", "😀", "\uffff", "\x7f",
			strings.Repeat("a", 200), strings.Repeat("a", 201)}
		versions := map[store.Key]store.Version{}
		for _, partition := range parts {
			for chunk := range slices.Chunk(parts, store.MaxWrites) {
				var writes []store.Write
				for _, sort := range chunk {
					key := store.Key{Partition: r.home + partition, Sort: sort}
					writes = append(writes, put(key, partition+"|"+sort))
				}
				version := r.mustCommit(writes...)
				for _, write := range writes {
					versions[write.Key] = version
				}
			}
		}
		ordered := slices.Sorted(slices.Values(parts))
		for _, partition := range parts {
			q := store.Query{Partition: r.home + partition}
			r.wantSorts(q, ordered...)
			q.Limit = 3
			r.wantSorts(q, ordered...)
			for _, prefix := range []string{"a", "a\x00", "\x00", "#", "é", "\uffff", "😀"} {
				want := slices.DeleteFunc(slices.Clone(ordered), func(s string) bool { return !strings.HasPrefix(s, prefix) })
				r.wantSorts(store.Query{Partition: q.Partition, Prefix: prefix}, want...)
				slices.Reverse(want)
				r.wantSorts(store.Query{Partition: q.Partition, Prefix: prefix, Reverse: true}, want...)
			}
			for _, sort := range parts {
				key := store.Key{Partition: q.Partition, Sort: sort}
				r.want(key, versions[key], partition+"|"+sort)
			}
		}
		r.wantSorts(store.Query{Partition: r.home})
	}},
}
