package store_test

import (
	"testing"

	"countersign/pkg/store"
)

func TestCopiesStandInPartitionsOfTheirOwn(t *testing.T) {
	key := store.Key{Partition: "org#acme", Sort: "policy"}
	seen := map[string]bool{}
	for _, at := range store.CopyKeys(key) {
		if at.Sort != key.Sort || seen[at.Partition] {
			t.Errorf("got %+v, want the same sort key in another partition", at)
		}
		seen[at.Partition] = true
	}
	if len(seen) != store.Copies || store.CopyKeys(key)[0] != key {
		t.Errorf("got %v, want %d partitions, of which the first is that of the item", seen, store.Copies)
	}
}

// Each copy must get its share of the reads, because the busiest copy reaches the limit of its partition first.
func TestReadersAreSpreadEvenlyOverTheCopies(t *testing.T) {
	key := store.Key{Partition: "org#acme", Sort: "policy"}
	const each = 10000
	got := map[store.Key]int{}
	for range each * store.Copies {
		got[store.AnyCopy(key)]++
	}
	for _, at := range store.CopyKeys(key) {
		if got[at] < each*9/10 || got[at] > each*11/10 { // that is ten standard deviations
			t.Errorf("%s: got %d readers, want about %d", at.Partition, got[at], each)
		}
	}
	if len(got) != store.Copies {
		t.Errorf("got %v, want the %d copies only", got, store.Copies)
	}
}

func TestAWriteOfAllCopiesIsTheSameForEachAndHandsItsEventsOnOnce(t *testing.T) {
	key := store.Key{Partition: "org#acme", Sort: "policy"}
	writes := store.CopyWrites(store.Write{Key: key, Expect: "v", Body: []byte("body"), Events: []byte("events")})
	for i, at := range store.CopyKeys(key) {
		w := writes[i]
		if w.Key != at || w.Expect != "v" || string(w.Body) != "body" || (w.Events != nil) != (i == 0) {
			t.Errorf("copy %d: got %+v, want the same write at %+v, with events if it is the first", i, w, at)
		}
	}
	if len(writes) != store.Copies {
		t.Errorf("got %d writes, want %d", len(writes), store.Copies)
	}
	for _, w := range store.CopyWrites(store.Write{Key: key, Expect: "v", Delete: true}) {
		if !w.Delete || w.Expect != "v" {
			t.Errorf("got %+v, want a removal", w)
		}
	}
}
