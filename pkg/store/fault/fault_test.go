package fault_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/fault"
	"countersign/pkg/store/storetest"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// newStore returns a store around a model that has one item, "held".
func newStore(t *testing.T) (*fault.Store, *storetest.Model, store.Key) {
	t.Helper()
	model := storetest.NewModel(storetest.NewClock(start).Now)
	key := store.Key{Partition: "p", Sort: "held"}
	if err := model.Commit(t.Context(), store.NewVersion(), store.Write{Key: key}); err != nil {
		t.Fatal(err)
	}
	return fault.New(model), model, key
}

// calls has one call of each method, which succeeds if there is no fault. Each call returns whether its work was done.
func calls(ctx context.Context, s *fault.Store, m *storetest.Model) map[fault.Method]func() (done bool, err error) {
	key := store.Key{Partition: "p", Sort: string(store.NewVersion())}
	return map[fault.Method]func() (bool, error){
		fault.Get: func() (bool, error) {
			item, err := store.GetOne(ctx, s, store.Key{Partition: "p", Sort: "held"})
			return !item.Absent(), err
		},
		fault.Query: func() (bool, error) {
			page, err := s.Query(ctx, store.Query{Partition: "p"})
			return len(page.Items) > 0, err
		},
		fault.Commit: func() (bool, error) {
			err := s.Commit(ctx, store.NewVersion(), store.Write{Key: key})
			item, _ := store.GetOne(context.Background(), m, key)
			return !item.Absent(), err
		},
		fault.Count: func() (bool, error) {
			_, err := s.Count(ctx, key, 1, 1, start.Add(time.Hour))
			n, _ := m.Count(context.Background(), key, 0, 1, start.Add(time.Hour))
			return n == 1, err
		},
	}
}

func TestAStoreToldNothingKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(_ testing.TB, now func() time.Time) (store.Store, store.Feed) {
		m := storetest.NewModel(now)
		return fault.New(m), m
	})
}

func TestAFaultBefallsTheNextCallsOfItsMethodOnly(t *testing.T) {
	own := errors.New("of my own")
	for _, c := range []struct {
		name  string
		fault fault.Fault
		want  error
		done  bool // for Commit and Count, whether the store has done its work
	}{
		{"fail", fault.Fail(nil), fault.Err, false},
		{"fail with an error", fault.Fail(own), own, false},
		{"lose", fault.Lose(nil), fault.Err, true},
		{"lose with an error", fault.Lose(own), own, true},
		{"conflict", fault.Conflict(), store.ErrConflict, false},
	} {
		for _, method := range []fault.Method{fault.Get, fault.Query, fault.Commit, fault.Count} {
			s, model, _ := newStore(t)
			s.Inject(method, 2, c.fault)
			for turn := range 3 {
				for called, call := range calls(t.Context(), s, model) {
					befallen := called == method && turn < 2
					want, wantDone := error(nil), true
					if befallen {
						want, wantDone = c.want, c.done && (method == fault.Commit || method == fault.Count)
					}
					if done, err := call(); !errors.Is(err, want) || done != wantDone {
						t.Errorf("%s of %s, turn %d, %s: got done %t, %v, want %t, %v", c.name, method, turn, called, done, err, wantDone, want)
					}
				}
			}
			if got := s.Waiting(method); got != 0 {
				t.Errorf("%s of %s: got %d waiting, want 0", c.name, method, got)
			}
		}
	}
}

func TestALostCommitIsFoundByItsToken(t *testing.T) {
	s, _, _ := newStore(t)
	s.Inject(fault.Commit, 1, fault.Lose(nil))
	key, token := store.Key{Partition: "p", Sort: "a"}, store.NewVersion()
	if err := s.Commit(t.Context(), token, store.Write{Key: key}); !errors.Is(err, fault.Err) {
		t.Fatalf("got %v, want %v", err, fault.Err)
	}
	if err := s.Commit(t.Context(), token, store.Write{Key: key}); err != nil {
		t.Fatalf("again: got %v, want nil", err)
	}
}

func TestFaultsOfOneMethodWaitInLine(t *testing.T) {
	s, _, key := newStore(t)
	first, second := errors.New("first"), errors.New("second")
	s.Inject(fault.Get, 0, fault.Fail(errors.New("never")))
	s.Inject(fault.Get, 1, fault.Fail(first))
	s.Inject(fault.Get, 2, fault.Fail(second))
	if got := s.Waiting(fault.Get); got != 3 {
		t.Errorf("got %d waiting, want 3", got)
	}
	for i, want := range []error{first, second, second, nil} {
		if _, err := store.GetOne(t.Context(), s, key); !errors.Is(err, want) {
			t.Errorf("call %d: got %v, want %v", i, err, want)
		}
	}
	s.Inject(fault.Get, -1, fault.Fail(first))
	for range 5 {
		if _, err := store.GetOne(t.Context(), s, key); !errors.Is(err, first) {
			t.Errorf("got %v, want %v", err, first)
		}
	}
	if got := s.Waiting(fault.Get); got != -1 {
		t.Errorf("got %d waiting, want -1", got)
	}
	s.Clear()
	if _, err := store.GetOne(t.Context(), s, key); err != nil {
		t.Errorf("after Clear: got %v, want nil", err)
	}
}

func TestAFaultOfAnyMethodWaitsBehindThoseOfTheMethodCalled(t *testing.T) {
	s, _, key := newStore(t)
	anys, gets := errors.New("any"), errors.New("get")
	s.Inject(fault.Any, 2, fault.Fail(anys))
	s.Inject(fault.Get, 1, fault.Fail(gets))
	if _, err := store.GetOne(t.Context(), s, key); !errors.Is(err, gets) {
		t.Errorf("first: got %v, want %v", err, gets)
	}
	if _, err := s.Query(t.Context(), store.Query{Partition: "p"}); !errors.Is(err, anys) {
		t.Errorf("second: got %v, want %v", err, anys)
	}
	if _, err := store.GetOne(t.Context(), s, key); !errors.Is(err, anys) {
		t.Errorf("third: got %v, want %v", err, anys)
	}
	if _, err := store.GetOne(t.Context(), s, key); err != nil {
		t.Errorf("fourth: got %v, want nil", err)
	}
}

func TestAHeldCallGoesOnWhenReleased(t *testing.T) {
	s, _, key := newStore(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	s.Inject(fault.Get, 1, fault.Hold(arrived, release))
	answered := make(chan error)
	go func() {
		_, err := store.GetOne(t.Context(), s, key)
		answered <- err
	}()
	<-arrived
	if _, err := store.GetOne(t.Context(), s, key); err != nil {
		t.Errorf("another call: got %v, want nil", err)
	}
	select {
	case err := <-answered:
		t.Fatalf("got %v before the release", err)
	default:
	}
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

func TestAHeldOrDelayedCallEndsWithItsContext(t *testing.T) {
	for name, slow := range map[string]fault.Fault{
		"held":                 fault.Hold(nil, nil),
		"held with no one by":  fault.Hold(make(chan struct{}), nil),
		"delayed for one hour": fault.Delay(time.Hour),
	} {
		s, model, _ := newStore(t)
		for method := range calls(t.Context(), s, model) {
			ctx, cancel := context.WithCancel(t.Context())
			s.Inject(method, 1, slow)
			var done bool
			var err error
			var call sync.WaitGroup
			call.Go(func() { done, err = calls(ctx, s, model)[method]() })
			cancel()
			call.Wait()
			if done || !errors.Is(err, context.Canceled) {
				t.Errorf("%s %s: got done %t, %v, want false, %v", method, name, done, err, context.Canceled)
			}
		}
	}
}

func TestADelayedCallIsAnswered(t *testing.T) {
	s, model, _ := newStore(t)
	for method, call := range calls(t.Context(), s, model) {
		s.Inject(method, 1, fault.Delay(time.Nanosecond))
		if done, err := call(); !done || err != nil {
			t.Errorf("%s: got done %t, %v, want true, nil", method, done, err)
		}
	}
}

func TestAnUnknownMethodPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("got no panic")
		}
	}()
	fault.New(nil).Inject("comit", 1, fault.Fail(nil))
}

func TestCountsTellWhatWasAsked(t *testing.T) {
	s, _, held := newStore(t)
	ctx, a, b := t.Context(), store.Key{Partition: "p", Sort: "a"}, store.Key{Partition: "p", Sort: "b"}
	store.GetOne(ctx, s, held)
	s.Get(ctx, a, b)
	s.Query(ctx, store.Query{Partition: "p"})
	s.Commit(ctx, store.NewVersion(), store.Write{Key: a}, store.Write{Key: b}) // two items
	s.Commit(ctx, store.NewVersion(), store.Write{Key: a})                      // this one conflicts
	s.Inject(fault.Commit, 1, fault.Fail(nil))
	s.Commit(ctx, store.NewVersion(), store.Write{Key: store.Key{Partition: "p", Sort: "c"}})
	s.Count(ctx, held, 1, 1, start.Add(time.Hour))
	want := fault.Counts{Get: 2, Keys: 3, Query: 1, Commit: 3, Count: 1, Items: 2, Rounds: 7}
	if got := s.Counts(); got != want || got.Calls() != 7 {
		t.Errorf("got %+v and %d calls, want %+v and 7", got, got.Calls(), want)
	}
	s.Reset()
	if got := s.Counts(); got != (fault.Counts{}) {
		t.Errorf("after Reset: got %+v, want none", got)
	}
}

func TestCallsSideBySideAreOneRound(t *testing.T) {
	s, _, key := newStore(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	s.Inject(fault.Get, 3, fault.Hold(arrived, release))
	var calls sync.WaitGroup
	for range 3 {
		calls.Go(func() { store.GetOne(t.Context(), s, key) })
	}
	for range 3 {
		<-arrived
	}
	close(release)
	calls.Wait()
	store.GetOne(t.Context(), s, key)
	if got := s.Counts(); got.Rounds != 2 || got.Get != 4 {
		t.Errorf("got %d rounds of %d calls, want 2 of 4", got.Rounds, got.Get)
	}
}

func TestPagesAreAsSmallAsToldAndNothingIsLost(t *testing.T) {
	s, _, _ := newStore(t)
	want := []string{"a", "b", "c", "held"}
	for _, sort := range want[:3] {
		if err := s.Commit(t.Context(), store.NewVersion(), store.Write{Key: store.Key{Partition: "p", Sort: sort}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ most, limit, pages int }{{0, 0, 1}, {0, 3, 2}, {1, 0, 4}, {1, 3, 4}, {3, 1, 4}, {3, 0, 2}} {
		s.Pages(c.most)
		var got []string
		pages := 0
		for q := (store.Query{Partition: "p", Limit: c.limit}); pages == 0 || q.After != ""; pages++ {
			page, err := s.Query(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range page.Items {
				got = append(got, item.Key.Sort)
			}
			if q.After = page.Last; !page.More {
				q.After = ""
			}
		}
		if !slices.Equal(got, want) || pages < c.pages {
			t.Errorf("%+v: got %v in %d pages, want %v", c, got, pages, want)
		}
	}
}
