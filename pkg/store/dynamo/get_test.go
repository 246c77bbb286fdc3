package dynamo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"countersign/pkg/store"
)

var keyC = store.Key{Partition: "q", Sort: "c"}

// leavingOut answers a BatchGetItem as DynamoDB does when it has no time for some of the keys.
func leavingOut(table string, answered []store.Key, left ...store.Key) fate {
	image := func(key store.Key) map[string]any {
		return map[string]any{"pk": map[string]string{"S": key.Partition}, "sk": map[string]string{"S": key.Sort}}
	}
	found, unread := []any{}, []any{}
	for _, key := range answered {
		item := image(key)
		item["v"] = map[string]string{"S": "answered at first"}
		found = append(found, item)
	}
	for _, key := range left {
		unread = append(unread, image(key))
	}
	body, err := json.Marshal(map[string]any{
		"Responses":       map[string]any{table: found},
		"UnprocessedKeys": map[string]any{table: map[string]any{"Keys": unread, "ConsistentRead": true}},
	})
	if err != nil {
		panic(err)
	}
	return fate{answer: refuse(http.StatusOK, string(body))}
}

func TestOneItemIsReadByGetItemAndSeveralByOneBatch(t *testing.T) {
	f := &faulty{}
	s, _ := openThrough(t, f, nil)
	mustGet(t, s, keyA)
	if f.count("GetItem") != 1 || f.total() != 1 {
		t.Errorf("one item: got %v, want 1 GetItem", f.asked)
	}
	if _, err := s.Get(t.Context(), keyA, keyB, keyC); err != nil {
		t.Fatal(err)
	}
	if f.count("BatchGetItem") != 1 || f.total() != 2 {
		t.Errorf("three items: got %v, want 1 BatchGetItem more", f.asked)
	}
}

func TestWhatABatchLeftOutIsAskedForAgainAndIsNotAbsent(t *testing.T) {
	f := &faulty{}
	s, plain := openThrough(t, f, nil)
	token := mustCommit(t, plain, put(keyA, "", "1"), put(keyC, "", "3"))
	f.decide = firstOf("BatchGetItem", 1, func() fate {
		return leavingOut(f.table, []store.Key{keyB}, keyC, keyA)
	})
	items, err := s.Get(t.Context(), keyA, keyB, keyC)
	if err != nil {
		t.Fatal(err)
	}
	var got []store.Version
	for _, item := range items {
		got = append(got, item.Version)
	}
	if want := []store.Version{token, "answered at first", token}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := f.count("BatchGetItem"); n != 2 || f.stale != 0 {
		t.Errorf("got %d requests, %d of them for reads that may be stale, want 2 and none", n, f.stale)
	}
}

func TestABatchThatLeavesItemsOutWithoutEndIsAnError(t *testing.T) {
	f := &faulty{}
	f.decide = func(operation string, nth int) fate { return leavingOut(f.table, nil, keyB) }
	s, _ := openThrough(t, f, nil)
	if items, err := s.Get(t.Context(), keyA, keyB); err == nil || errors.Is(err, store.ErrInvalid) {
		t.Errorf("got %+v and %v, want an error", items, err)
	}
	if n := f.count("BatchGetItem"); n != 5 {
		t.Errorf("got %d requests, want 5", n)
	}
}

func TestAskingForWhatABatchLeftOutEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := &faulty{}
	f.decide = func(string, int) fate {
		cancel()
		return leavingOut(f.table, nil, keyB)
	}
	s, _ := openThrough(t, f, nil)
	if _, err := s.Get(ctx, keyA, keyB); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context was cancelled", err)
	}
	if n := f.count("BatchGetItem"); n != 1 {
		t.Errorf("got %d requests, want 1", n)
	}
}

func TestABatchThatWasThrottledOrNotAnsweredIsTriedAsAnyRequest(t *testing.T) {
	for name, fault := range map[string]func() fate{
		"throttled": func() fate {
			return fate{answer: refuse(400, `{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}`)}
		},
		"failed": func() fate { return fate{answer: refuse(500, serverError)} },
		"lost":   lost,
	} {
		f := &faulty{decide: firstOf("BatchGetItem", 2, fault)}
		s, plain := openThrough(t, f, nil)
		token := mustCommit(t, plain, put(keyA, "", "1"))
		items, err := s.Get(t.Context(), keyA, keyB)
		if err != nil || items[0].Version != token || !items[1].Absent() {
			t.Errorf("%s: got %+v and %v", name, items, err)
		}
		if n := f.count("BatchGetItem"); n != 3 {
			t.Errorf("%s: got %d requests, want 3", name, n)
		}
		f.decide = func(string, int) fate { return fault() }
		if _, err := s.Get(t.Context(), keyA, keyB); err == nil {
			t.Errorf("%s without end: got nil, want an error", name)
		}
	}
}

func TestTheTokenOfACommitIsLookedForInOneRequest(t *testing.T) {
	f := &faulty{}
	s, plain := openThrough(t, f, nil)
	var writes []store.Write
	for i := range 5 {
		writes = append(writes, put(store.Key{Partition: fmt.Sprint(i), Sort: "s"}, "", ""))
	}
	mustCommit(t, plain, writes[4])
	if err := s.Commit(t.Context(), store.NewVersion(), writes...); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("got %v, want ErrConflict", err)
	}
	if f.count("BatchGetItem") != 1 || f.count("GetItem") != 0 {
		t.Errorf("got %v, want the four others read by one BatchGetItem", f.asked)
	}
}
