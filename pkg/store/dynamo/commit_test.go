package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/dynamo"
)

const (
	serverError   = `{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"Internal server error"}`
	itemConflict  = `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionConflictException","message":"Transaction is ongoing for the item"}`
	itemThrottled = `{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"slow down"}`
	lockWait      = `{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"This action timed out because it took too long waiting for a lock."}`
)

// cancelled returns DynamoDB's answer to a transaction that it cancelled for these reasons.
func cancelled(reasons ...string) string {
	var list []string
	for _, r := range reasons {
		list = append(list, fmt.Sprintf(`{"Code":%q}`, r))
	}
	return fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
		"Message":"Transaction cancelled","CancellationReasons":[%s]}`, strings.Join(list, ","))
}

var (
	keyA = store.Key{Partition: "p", Sort: "a"}
	keyB = store.Key{Partition: "p", Sort: "b"}
)

func put(key store.Key, expect store.Version, body string) store.Write {
	return store.Write{Key: key, Expect: expect, Body: []byte(body)}
}

// mustCommit commits with a new token, and returns the token.
func mustCommit(t testing.TB, s store.Store, writes ...store.Write) store.Version {
	t.Helper()
	token := store.NewVersion()
	if err := s.Commit(t.Context(), token, writes...); err != nil {
		t.Fatalf("commit: %v", err)
	}
	return token
}

func mustGet(t testing.TB, s store.Store, key store.Key) store.Item {
	t.Helper()
	item, err := store.GetOne(t.Context(), s, key)
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	return item
}

// firstOf gives a fate to the first n requests of an operation.
func firstOf(operation string, n int, then func() fate) func(string, int) fate {
	return func(asked string, nth int) fate {
		if asked == operation && nth <= n {
			return then()
		}
		return fate{}
	}
}

func lost() fate { return fate{lost: true} }

func answer(status int, body string) func() fate {
	return func() fate { return fate{answer: refuse(status, body)} }
}

func TestOneItemIsWrittenWithoutATransaction(t *testing.T) {
	f := &faulty{}
	s, _ := openThrough(t, f, nil)
	mustCommit(t, s, put(keyA, "", "1"))
	if puts, transactions := f.count("PutItem"), f.count("TransactWriteItems"); puts != 1 || transactions != 0 {
		t.Errorf("got %d PutItem and %d TransactWriteItems, want 1 and 0", puts, transactions)
	}
}

func TestALostAnswerToAPutIsReadAsSuccess(t *testing.T) {
	f := &faulty{decide: firstOf("PutItem", 1, lost)}
	s, plain := openThrough(t, f, nil)
	token := mustCommit(t, s, put(keyA, "", "1"))
	if got := mustGet(t, plain, keyA).Version; got != token {
		t.Errorf("got version %q, want %q", got, token)
	}
	if puts, gets := f.count("PutItem"), f.count("GetItem"); puts != 2 || gets != 0 {
		t.Errorf("got %d PutItem and %d GetItem, want 2 and 0", puts, gets)
	}
}

func TestALostAnswerToATransactionIsReadAsSuccess(t *testing.T) {
	f := &faulty{decide: firstOf("TransactWriteItems", 1, lost)}
	s, plain := openThrough(t, f, nil)
	old := mustCommit(t, plain, put(keyB, "", "0"))
	token := mustCommit(t, s, put(keyA, "", "1"), store.Write{Key: keyB, Expect: old, Delete: true})
	if got := mustGet(t, plain, keyA).Version; got != token {
		t.Errorf("got version %q, want %q", got, token)
	}
	if !mustGet(t, plain, keyB).Absent() {
		t.Error("got the deleted item, want none")
	}
}

func TestAnAnswerThatIsLostForGoodIsNoConflictAndTheCommitCanBeMadeAgain(t *testing.T) {
	for name, writes := range map[string][]store.Write{
		"PutItem":            {put(keyA, "", "1")},
		"TransactWriteItems": {put(keyA, "", "1"), put(keyB, "", "1")},
	} {
		t.Run(name, func(t *testing.T) {
			f := &faulty{decide: firstOf(name, 3, lost)}
			s, plain := openThrough(t, f, nil)
			token := store.NewVersion()
			err := s.Commit(t.Context(), token, writes...)
			if f.count(name) == 3 && (err == nil || errors.Is(err, store.ErrConflict)) {
				t.Fatalf("got %v, want an error that is no conflict", err)
			}
			if err := s.Commit(t.Context(), token, writes...); err != nil {
				t.Errorf("made again: got %v, want nil", err)
			}
			if got := mustGet(t, plain, keyA).Version; got != token {
				t.Errorf("got version %q, want %q", got, token)
			}
		})
	}
}

// overwritten commits A and B, and lets others overwrite A. It returns the token and the writes of its commit.
func overwritten(t *testing.T, plain store.Store) (store.Version, []store.Write) {
	t.Helper()
	oldA := mustCommit(t, plain, put(keyA, "", "0"))
	writes := []store.Write{put(keyA, oldA, "1"), put(keyB, "", "1")}
	token := mustCommit(t, plain, writes...)
	mustCommit(t, plain, put(keyA, token, "stranger"))
	return token, writes
}

func TestACommitMadeAgainAfterOneOfItsItemsWasOverwrittenIsStillSeen(t *testing.T) {
	s, plain := openThrough(t, &faulty{}, nil)
	token, writes := overwritten(t, plain)
	if err := s.Commit(t.Context(), token, writes...); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	if got := string(mustGet(t, plain, keyA).Body); got != "stranger" {
		t.Errorf("got body %q, want the stranger's", got)
	}
}

func TestATokenThatTheRefusalDoesNotShowIsLookedFor(t *testing.T) {
	// DynamoDB needn't report every condition that failed, and needn't return every item.
	f := &faulty{decide: firstOf("TransactWriteItems", 1, answer(400, cancelled("ConditionalCheckFailed", "None")))}
	s, plain := openThrough(t, f, nil)
	token, writes := overwritten(t, plain)
	if err := s.Commit(t.Context(), token, writes...); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

func TestAStrangersWriteIsAConflictAndNothingIsWritten(t *testing.T) {
	f := &faulty{}
	s, plain := openThrough(t, f, nil)
	stranger := mustCommit(t, plain, put(keyA, "", "stranger"))
	err := s.Commit(t.Context(), store.NewVersion(), put(keyA, "", "1"))
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("one item: got %v, want ErrConflict", err)
	}
	if n := f.count("PutItem") + f.count("GetItem"); n != 1 {
		t.Errorf("one item: got %d requests, want 1", n)
	}
	err = s.Commit(t.Context(), store.NewVersion(), put(keyA, "", "1"), put(keyB, "", "1"))
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("two items: got %v, want ErrConflict", err)
	}
	if n := f.count("TransactWriteItems"); n != 1 {
		t.Errorf("two items: got %d TransactWriteItems, want 1", n)
	}
	if got := mustGet(t, plain, keyA).Version; got != stranger {
		t.Errorf("got version %q, want the stranger's", got)
	}
	if !mustGet(t, plain, keyB).Absent() {
		t.Error("got an item from a refused commit, want none")
	}
}

func TestACommitOutlastsOtherTransactions(t *testing.T) {
	for name, test := range map[string]struct {
		operation, body string
		writes          []store.Write
	}{
		"of one item":     {"PutItem", itemConflict, []store.Write{put(keyA, "", "1")}},
		"of two items":    {"TransactWriteItems", cancelled("None", "TransactionConflict"), []store.Write{put(keyA, "", "1"), put(keyB, "", "1")}},
		"while throttled": {"TransactWriteItems", cancelled("ThrottlingError", "None"), []store.Write{put(keyA, "", "1"), put(keyB, "", "1")}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &faulty{decide: firstOf(test.operation, 3, answer(400, test.body))}
			s, plain := openThrough(t, f, nil)
			token := mustCommit(t, s, test.writes...)
			if got := mustGet(t, plain, keyA).Version; got != token {
				t.Errorf("got version %q, want %q", got, token)
			}
			if got := f.count(test.operation); got != 4 {
				t.Errorf("got %d requests, want 4", got)
			}
		})
	}
}

func TestOtherTransactionsWithoutEndAreAConflict(t *testing.T) {
	f := &faulty{decide: firstOf("TransactWriteItems", 100, answer(400, cancelled("None", "TransactionConflict")))}
	s, plain := openThrough(t, f, nil)
	writes := []store.Write{put(keyA, "", "1"), put(keyB, "", "1")}
	if err := s.Commit(t.Context(), store.NewVersion(), writes...); !errors.Is(err, store.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	if got := f.count("TransactWriteItems"); got != 5 {
		t.Errorf("got %d requests, want 5", got)
	}
	// The same, but an earlier call was carried out. That is not a conflict.
	token := mustCommit(t, plain, writes...)
	if err := s.Commit(t.Context(), token, writes...); err != nil {
		t.Errorf("carried out before: got %v, want nil", err)
	}
}

func TestThrottlingWithoutEndIsNoConflict(t *testing.T) {
	for name, test := range map[string]struct {
		operation, body string
		requests        int
		writes          []store.Write
	}{
		"of one item":  {"PutItem", itemThrottled, 3, []store.Write{put(keyA, "", "1")}},
		"of two items": {"TransactWriteItems", cancelled("None", "ThrottlingError"), 5, []store.Write{put(keyA, "", "1"), put(keyB, "", "1")}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &faulty{decide: firstOf(test.operation, 100, answer(400, test.body))}
			s, _ := openThrough(t, f, nil)
			err := s.Commit(t.Context(), store.NewVersion(), test.writes...)
			if err == nil || errors.Is(err, store.ErrConflict) {
				t.Errorf("got %v, want an error that is no conflict", err)
			}
			if got := f.count(test.operation); got != test.requests {
				t.Errorf("got %d requests, want %d", got, test.requests)
			}
		})
	}
}

func TestAServerErrorBeforeTheWriteIsTriedAgain(t *testing.T) {
	for name, writes := range map[string][]store.Write{
		"PutItem":            {put(keyA, "", "1")},
		"TransactWriteItems": {put(keyA, "", "1"), put(keyB, "", "1")},
	} {
		t.Run(name, func(t *testing.T) {
			f := &faulty{decide: firstOf(name, 2, answer(http.StatusInternalServerError, serverError))}
			s, plain := openThrough(t, f, nil)
			token := mustCommit(t, s, writes...)
			if got := mustGet(t, plain, keyA).Version; got != token {
				t.Errorf("got version %q, want %q", got, token)
			}
			if got := f.count(name); got != 3 {
				t.Errorf("got %d requests, want 3", got)
			}
		})
	}
}

func TestServerErrorsWithoutEndAreNoConflictAndNoAnswer(t *testing.T) {
	s, _ := openThrough(t, &faulty{decide: func(string, int) fate {
		return fate{answer: refuse(http.StatusInternalServerError, serverError)}
	}}, nil)
	if err := s.Commit(t.Context(), store.NewVersion(), put(keyA, "", "1")); err == nil || errors.Is(err, store.ErrConflict) {
		t.Errorf("commit: got %v, want an error that is no conflict", err)
	}
	if _, err := store.GetOne(t.Context(), s, keyA); err == nil {
		t.Error("get: got nil, want an error")
	}
	if _, err := s.Query(t.Context(), store.Query{Partition: "p"}); err == nil {
		t.Error("query: got nil, want an error")
	}
	if _, err := s.Count(t.Context(), keyA, 1, 1, time.Unix(1<<33, 0)); err == nil || errors.Is(err, store.ErrFull) {
		t.Errorf("count: got %v, want an error that is not ErrFull", err)
	}
}

func TestAnUnknownOutcomeOfTheSearchForTheTokenIsNoConflict(t *testing.T) {
	s, plain := openThrough(t, &faulty{decide: func(operation string, _ int) fate {
		switch operation {
		case "TransactWriteItems":
			return fate{answer: refuse(400, cancelled("ConditionalCheckFailed", "None"))}
		default:
			return fate{answer: refuse(http.StatusInternalServerError, serverError)}
		}
	}}, nil)
	token, writes := overwritten(t, plain)
	if err := s.Commit(t.Context(), token, writes...); err == nil || errors.Is(err, store.ErrConflict) {
		t.Errorf("got %v, want an error that is no conflict", err)
	}
}

func TestWaitingForOtherTransactionsEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := &faulty{decide: firstOf("PutItem", 100, func() fate {
		cancel()
		return fate{answer: refuse(400, itemConflict)}
	})}
	s, _ := openThrough(t, f, nil)
	if err := s.Commit(ctx, store.NewVersion(), put(keyA, "", "1")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context was cancelled", err)
	}
	if got := f.count("PutItem"); got != 1 {
		t.Errorf("got %d requests, want 1", got)
	}
}

func TestTextThatIsNotUTF8IsRefused(t *testing.T) {
	s := dynamo.New(dynamo.Options{}) // it has no client, so it would panic if it sent a request
	bad := store.Key{Partition: "p", Sort: "\xff"}
	if _, err := store.GetOne(t.Context(), s, bad); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("get: got %v, want ErrInvalid", err)
	}
	if _, err := s.Query(t.Context(), store.Query{Partition: "\xff"}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("query: got %v, want ErrInvalid", err)
	}
	if _, err := s.Count(t.Context(), bad, 1, 1, time.Unix(1<<33, 0)); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("count: got %v, want ErrInvalid", err)
	}
	for name, w := range map[string]store.Write{
		"key":     put(bad, "", "1"),
		"version": put(keyA, "\xff", "1"),
	} {
		if err := s.Commit(t.Context(), store.NewVersion(), w); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("commit with a bad %s: got %v, want ErrInvalid", name, err)
		}
	}
	if err := s.Commit(t.Context(), "\xff", put(keyA, "", "1")); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("commit with a bad token: got %v, want ErrInvalid", err)
	}
}

// If a transaction was cancelled for several reasons, one of them decides. A condition that failed is a conflict, whatever the other
// reasons are. If a reason isn't known, that is not a conflict, and the transaction isn't tried again.
func TestATransactionIsJudgedByTheReasonThatDecides(t *testing.T) {
	for name, c := range map[string]struct {
		reasons  []string
		conflict bool
		requests int
	}{
		"a condition":                      {[]string{"None", "ConditionalCheckFailed"}, true, 1},
		"a condition, the other throttled": {[]string{"ThrottlingError", "ConditionalCheckFailed"}, true, 1},
		"a condition before a throttled":   {[]string{"ConditionalCheckFailed", "ProvisionedThroughputExceeded"}, true, 1},
		"a condition beside a transaction": {[]string{"TransactionConflict", "ConditionalCheckFailed"}, true, 1},
		"a reason that isn't known":        {[]string{"None", "ValidationError"}, false, 1},
		"one beside a condition":           {[]string{"ConditionalCheckFailed", "ItemCollectionSizeLimitExceeded"}, false, 1},
		"one beside a transaction":         {[]string{"TransactionConflict", "ValidationError"}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := &faulty{decide: firstOf("TransactWriteItems", 100, answer(400, cancelled(c.reasons...)))}
			s, _ := openThrough(t, f, nil)
			err := s.Commit(t.Context(), store.NewVersion(), put(keyA, "", "1"), put(keyB, "", "1"))
			if err == nil || errors.Is(err, store.ErrConflict) != c.conflict {
				t.Errorf("got %v, want a conflict: %v", err, c.conflict)
			}
			if got := f.count("TransactWriteItems"); got != c.requests {
				t.Errorf("got %d requests, want %d", got, c.requests)
			}
		})
	}
}
