package dynamo_test

import (
	"fmt"
	"testing"
	"time"

	"countersign/pkg/store"
)

func TestAQueryPassesARunOfExpiredItemsInFewRequests(t *testing.T) {
	c := newClock()
	f := &faulty{}
	s, plain := openThrough(t, f, c.now)
	var writes []store.Write
	for i := range 200 {
		w := store.Write{Key: store.Key{Partition: "p", Sort: fmt.Sprintf("%03d", i)}, Expires: c.now().Add(time.Second)}
		if i == 199 {
			w.Expires = time.Time{}
		}
		if writes = append(writes, w); len(writes) == store.MaxWrites {
			mustCommit(t, plain, writes...)
			writes = nil
		}
	}
	c.advance(time.Second)
	page, err := s.Query(t.Context(), store.Query{Partition: "p", Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Items) != 1 || page.Items[0].Key.Sort != "199" {
		t.Errorf("got %d items, want the one that has not expired", len(page.Items))
	}
	if got := f.count("Query"); got > 5 {
		t.Errorf("got %d requests, want at most 5", got)
	}
}

func TestAQueryThatFindsOnlyExpiredItemsEndsAndSaysWhereToGoOn(t *testing.T) {
	c := newClock()
	f := &faulty{}
	s, plain := openThrough(t, f, c.now)
	big := make([]byte, store.MaxItem)
	for i := range 160 { // 10 MB, of which one request reads 1 MB
		mustCommit(t, plain, store.Write{
			Key: store.Key{Partition: "p", Sort: fmt.Sprintf("%03d", i)}, Body: big, Expires: c.now().Add(time.Second),
		})
	}
	c.advance(time.Second)
	page, err := s.Query(t.Context(), store.Query{Partition: "p"})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Items) != 0 || !page.More || page.Last == "" {
		t.Errorf("got %d items, More %t, Last %q, want none, true and a place", len(page.Items), page.More, page.Last)
	}
	if got := f.count("Query"); got != 8 {
		t.Errorf("got %d requests, want 8", got)
	}
	if page, err = s.Query(t.Context(), store.Query{Partition: "p", After: page.Last}); err != nil || page.More {
		t.Errorf("going on: got More %t, %v, want the end", page.More, err)
	}
}

// For DynamoDB Local every read is consistent, so this looks at what the requests ask for.
func TestEveryReadAsksToBeConsistent(t *testing.T) {
	c := newClock()
	f := &faulty{}
	s, _ := openThrough(t, f, c.now)
	mustGet(t, s, keyA)
	if _, err := s.Query(t.Context(), store.Query{Partition: "p", Prefix: "a"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Count(t.Context(), keyB, 0, 1, c.now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), store.NewVersion(), put(keyA, "gone", ""), put(keyB, "gone", "")); err != store.ErrConflict {
		t.Fatalf("got %v, want ErrConflict", err)
	}
	if _, err := s.Get(t.Context(), keyA, keyB); err != nil {
		t.Fatal(err)
	}
	if gets, batches, queries := f.count("GetItem"), f.count("BatchGetItem"), f.count("Query"); f.stale != 0 || gets != 2 || batches != 2 || queries != 1 {
		t.Errorf("got %d reads of %d that may be stale, want 0 of 5", f.stale, gets+batches+queries)
	}
}
