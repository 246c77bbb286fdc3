package storetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"countersign/pkg/store"
)

// limitCases check what is refused, and what is still accepted.
var limitCases = []contractCase{
	{"25 writes fit in a commit and 26 don't", func(r *rig) {
		var writes []store.Write
		for i := range store.MaxWrites + 1 {
			writes = append(writes, put(r.key(fmt.Sprintf("%02d", i)), "1"))
		}
		r.wantCommit(store.ErrInvalid, "26 writes", writes...)
		r.wantSorts(store.Query{Partition: r.home})
		version := r.mustCommit(writes[1:]...)

		for i := range writes {
			writes[i] = remove(writes[i].Key, version)
		}
		writes[0] = put(r.key("last"), "")
		r.wantCommit(store.ErrInvalid, "26 writes, most of them deletes", writes...)
		r.mustCommit(writes[:store.MaxWrites]...)
		r.wantSorts(store.Query{Partition: r.home}, writes[store.MaxWrites].Key.Sort, "last")
	}},

	{"25 of the largest items fit in a commit", func(r *rig) {
		var writes []store.Write
		for i := range store.MaxWrites {
			writes = append(writes, telling(filled(100), put(r.key(fmt.Sprintf("%02d", i)), filled(store.MaxItem-100))))
		}
		version := r.mustCommit(writes...)
		for _, write := range writes {
			r.want(write.Key, version, string(write.Body))
		}
	}},

	{"an item can have 64 KB of body and events, and no more", func(r *rig) {
		a, b := r.key("a"), r.key("b")
		r.wantCommit(store.ErrInvalid, "a body of 64 KB and a byte", put(a, filled(store.MaxItem+1)))
		r.wantCommit(store.ErrInvalid, "with events 64 KB and a byte", telling(filled(store.MaxItem/2), put(a, filled(store.MaxItem/2+1))))
		r.want(a, "", "")
		version := r.mustCommit(put(a, filled(store.MaxItem)))
		r.want(a, version, filled(store.MaxItem))
		version = r.mustCommit(telling(filled(store.MaxItem/2), put(b, filled(store.MaxItem/2))))
		r.want(b, version, filled(store.MaxItem/2))
	}},

	{"a key's parts are 1 to 512 bytes of UTF-8", func(r *rig) {
		long := strings.Repeat("é", store.MaxPartition) // it has twice as many bytes
		longest := store.Key{Partition: r.home + long[:(store.MaxPartition-len(r.home))&^1], Sort: long[:store.MaxSort]}
		longest.Partition += strings.Repeat("x", store.MaxPartition-len(longest.Partition))
		version := r.mustCommit(put(longest, "1"))
		r.want(longest, version, "1")
		r.wantSorts(store.Query{Partition: longest.Partition, Prefix: longest.Sort}, longest.Sort)
		r.wantSorts(store.Query{Partition: longest.Partition, After: longest.Sort})
		count := store.Key{Partition: longest.Partition, Sort: longest.Sort[2:] + "nn"}
		r.wantCount(count, 1, 1, r.in(time.Hour), 1, nil)

		for _, key := range []store.Key{
			{},
			{Partition: r.home},
			{Sort: "a"},
			{Partition: longest.Partition + "x", Sort: "a"},
			{Partition: r.home, Sort: longest.Sort + "x"},
			{Partition: r.home, Sort: "no text \xff"},
			{Partition: r.home + "\xc3", Sort: "a"},
		} {
			r.wantCommit(store.ErrInvalid, "put with a bad key", put(key, ""))
			r.wantCommit(store.ErrInvalid, "delete with a bad key", put(r.key("a"), ""), remove(key, store.NewVersion()))
			if _, err := store.GetOne(r.Context(), r.store, key); !errors.Is(err, store.ErrInvalid) {
				r.Errorf("Get of a bad key: got %v, want %v", err, store.ErrInvalid)
			}
			if _, err := r.store.Count(r.Context(), key, 1, 1, r.in(time.Hour)); !errors.Is(err, store.ErrInvalid) {
				r.Errorf("Count of a bad key: got %v, want %v", err, store.ErrInvalid)
			}
		}
		r.want(r.key("a"), "", "")
	}},

	{"a commit needs a token, a put, and each key once", func(r *rig) {
		a, b := r.key("a"), r.key("b")
		r.again("", store.ErrInvalid, put(a, ""))
		r.wantCommit(store.ErrInvalid, "no writes")
		r.wantCommit(store.ErrInvalid, "two puts of one key", put(a, "1"), put(b, "1"), put(a, "2"))
		r.want(a, "", "")
		version := r.mustCommit(put(a, "1"))
		r.wantCommit(store.ErrInvalid, "no put", remove(a, version))
		r.wantCommit(store.ErrInvalid, "a put and a delete of one key", over(a, version, "2"), remove(a, version))
		r.wantCommit(store.ErrInvalid, "delete without a version", put(b, ""), remove(a, ""))
		r.wantCommit(store.ErrInvalid, "delete with a body", put(b, ""), store.Write{Key: a, Expect: version, Delete: true, Body: []byte{}})
		r.wantCommit(store.ErrInvalid, "delete with events", put(b, ""), telling("e", remove(a, version)))
		r.wantCommit(store.ErrInvalid, "delete with an expiry", put(b, ""), until(r.in(time.Hour), remove(a, version)))
		r.want(a, version, "1")
		r.want(b, "", "")
	}},

	{"what is invalid is refused before what conflicts", func(r *rig) {
		r.mustCommit(put(r.key("a"), "1"))
		r.wantCommit(store.ErrInvalid, "a conflict and a bad key", put(r.key("a"), "2"), put(r.key(""), ""))
	}},

	{"a query needs a partition and a limit up to 1000", func(r *rig) {
		long := strings.Repeat("x", store.MaxSort+1)
		for _, q := range []store.Query{
			{},
			{Partition: long},
			{Partition: r.home, Limit: -1},
			{Partition: r.home, Limit: store.MaxLimit + 1},
			{Partition: r.home, Prefix: long},
			{Partition: r.home, After: long},
		} {
			if _, err := r.store.Query(r.Context(), q); !errors.Is(err, store.ErrInvalid) {
				r.Errorf("Query with limit %d and lengths %d, %d, %d: got %v, want %v", q.Limit, len(q.Partition), len(q.Prefix), len(q.After), err, store.ErrInvalid)
			}
		}
		r.wantSorts(store.Query{Partition: r.home, Prefix: long[1:], After: long[1:], Limit: store.MaxLimit})
		r.wantSorts(store.Query{Partition: r.home, Prefix: long[1:], After: long[1:], Limit: store.MaxLimit, Reverse: true})
	}},

	{"a count needs a number and a cap that are not negative, and an expiry", func(r *rig) {
		key, end := r.key("n"), r.in(time.Hour)
		r.wantCount(key, -1, 5, end, 0, store.ErrInvalid)
		r.wantCount(key, 1, -1, end, 0, store.ErrInvalid)
		r.wantCount(key, 1, 5, time.Time{}, 0, store.ErrInvalid)
		r.wantCount(key, 0, 5, end, 0, nil)
	}},
}
