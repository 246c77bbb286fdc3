package bolt_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/storetest"
)

// Readers run at the same time as commits that move an amount from one item to another. They never see half of a move.
func TestReadsBesideCommitsSeeWholeCommits(t *testing.T) {
	db := openNew(t, storetest.NewClock(start))
	version := store.NewVersion()
	if err := db.Commit(t.Context(), version, put(key("a"), "0"), put(key("b"), "0")); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	var done atomic.Bool
	for range 4 {
		readers.Go(func() {
			for last := ""; !done.Load(); {
				page, err := db.Query(t.Context(), store.Query{Partition: "p"})
				if err != nil || len(page.Items) != 2 || page.Items[0].Version != page.Items[1].Version {
					t.Errorf("got %+v, %v, want two items of one version", page.Items, err)
					return
				}
				if body := string(page.Items[0].Body); len(body) < len(last) {
					t.Errorf("got %q after %q", body, last)
					return
				} else {
					last = body
				}
			}
		})
	}
	for turn := range 100 {
		next, body := store.NewVersion(), []byte(fmt.Sprintf("%09d", turn))
		if err := db.Commit(t.Context(), next, store.Write{Key: key("a"), Expect: version, Body: body}, store.Write{Key: key("b"), Expect: version, Body: body}); err != nil {
			t.Fatal(err)
		}
		version = next
	}
	done.Store(true)
	readers.Wait()
}

func TestAPageIsBoundedByItsBytesAndByWhatHasExpired(t *testing.T) {
	clock := storetest.NewClock(start)
	db := openNew(t, clock)
	for i := range 80 {
		var writes []store.Write
		for j := range store.MaxWrites {
			writes = append(writes, store.Write{Key: store.Key{Partition: "expired", Sort: fmt.Sprintf("%02d%02d", i, j)}, Expires: start.Add(time.Second)})
		}
		writes[0] = store.Write{Key: store.Key{Partition: "large", Sort: fmt.Sprintf("%02d", i)}, Body: make([]byte, store.MaxItem)}
		if err := db.Commit(t.Context(), store.NewVersion(), writes...); err != nil {
			t.Fatal(err)
		}
	}
	clock.Advance(time.Second)
	for partition, most := range map[string]int{"large": 17, "expired": 0} {
		for _, reverse := range []bool{false, true} {
			page, err := db.Query(t.Context(), store.Query{Partition: partition, Reverse: reverse})
			if err != nil || len(page.Items) > most || !page.More {
				t.Errorf("%s: got %d items, More %t, %v, want at most %d, true, nil", partition, len(page.Items), page.More, err, most)
			}
		}
	}
}

// A query may name bytes that no key can have, and that come before or after all keys.
func TestAQueryBoundedByTheHighestBytesIsInOrder(t *testing.T) {
	db, high := openNew(t, storetest.NewClock(start)), "\U0010ffff"
	for _, partition := range []string{"p", "p" + high, high} {
		for _, sort := range []string{high, high + high, "a" + high, "a" + high + "\x00", "b"} {
			if err := db.Commit(t.Context(), store.NewVersion(), put(store.Key{Partition: partition, Sort: sort}, "")); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		q    store.Query
		want []string
	}{
		{store.Query{}, []string{"a" + high, "a" + high + "\x00", "b", high, high + high}},
		{store.Query{Prefix: high, Reverse: true}, []string{high + high, high}},
		{store.Query{Prefix: "a" + high}, []string{"a" + high, "a" + high + "\x00"}},
		{store.Query{Prefix: "\xf4"}, []string{high, high + high}},
		{store.Query{Prefix: "\xff"}, nil},
		{store.Query{Prefix: "\xff\xff", Reverse: true}, nil},
		{store.Query{After: "b\xff"}, []string{high, high + high}},
		{store.Query{After: "\xff"}, nil},
		{store.Query{After: "\xff", Reverse: true}, []string{high + high, high, "b", "a" + high + "\x00", "a" + high}},
	} {
		for _, partition := range []string{"p", "p" + high, high} {
			c.q.Partition = partition
			page, err := db.Query(t.Context(), c.q)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, item := range page.Items {
				got = append(got, item.Key.Sort)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%+v: got %q, want %q", c.q, got, c.want)
			}
		}
	}
}
