package mfa

import (
	"path/filepath"
	"testing"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/bolt"
)

// TestTwoReadsOfOneItemBothGetIt shows what an administrator's call needs: the policy of the administrator's org may be the one that
// the call is about.
func TestTwoReadsOfOneItemBothGetIt(t *testing.T) {
	db, err := bolt.Open(filepath.Join(t.TempDir(), "store"), bolt.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	one, two := store.Key{Partition: "p", Sort: "one"}, store.Key{Partition: "p", Sort: "two"}
	var first, second, other store.Item
	if err := readAll(t.Context(), db, readItem(one, &first), readItem(two, &other), readItem(one, &second)); err != nil {
		t.Fatal(err)
	}
	if first.Key != one || second.Key != one || other.Key != two {
		t.Errorf("got %v, %v and %v", first.Key, other.Key, second.Key)
	}
}
