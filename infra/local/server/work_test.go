package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/fault"
	"countersign/pkg/store/storetest"
)

// A lateStore commits when it is released. Who stops waiting before hears so at once, and the commit happens all the
// same, as it may in the store of the data folder.
type lateStore struct {
	store.Store
	released chan struct{}
}

func (s lateStore) Commit(ctx context.Context, token store.Version, writes ...store.Write) error {
	done := make(chan error, 1)
	go func() {
		<-s.released
		done <- s.Store.Commit(context.WithoutCancel(ctx), token, writes...)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func aWrite() store.Write {
	return store.Write{Key: store.Key{Partition: "p", Sort: "s"}, Events: []byte("events")}
}

func TestACommitThatHappensAfterItsCallerLeftWakesTheFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := storetest.NewModel(time.Now)
		wake, released := make(chan struct{}, 1), make(chan struct{})
		w := watchedStore{lateStore{db, released}, wake}
		handedOn := 0
		drain := func() {
			if err := db.Deliver(t.Context(), 10, func(_ context.Context, records []store.Record) error {
				handedOn += len(records)
				return nil
			}); err != nil {
				t.Error(err)
			}
		}
		ctx, leave := context.WithCancel(t.Context())
		go w.Commit(ctx, store.NewVersion(), aWrite())
		synctest.Wait()
		leave()
		synctest.Wait()
		select {
		case <-wake: // too early
			drain()
		default:
		}
		close(released)
		synctest.Wait()
		select {
		case <-wake:
			drain()
		default:
		}
		if handedOn != 1 {
			t.Errorf("got %d records handed on, want the one of the commit", handedOn)
		}
	})
}

func TestACommitWakesTheFeedUnlessNothingWasWritten(t *testing.T) {
	for name, c := range map[string]struct {
		fault fault.Fault
		want  bool
	}{
		"done":                  {fault.Fault{}, true},
		"done, and not told":    {fault.Lose(nil), true},
		"perhaps not done":      {fault.Fail(nil), true},
		"refused for another's": {fault.Conflict(), false},
	} {
		db := fault.New(storetest.NewModel(time.Now))
		db.Inject(fault.Commit, 1, c.fault)
		wake := make(chan struct{}, 1)
		_ = watchedStore{db, wake}.Commit(t.Context(), store.NewVersion(), aWrite())
		if got := len(wake) == 1; got != c.want {
			t.Errorf("%s: woke the feed %v, want %v", name, got, c.want)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	db := fault.New(storetest.NewModel(time.Now))
	if err := (watchedStore{db, make(chan struct{}, 1)}).Commit(ended, store.NewVersion(), aWrite()); err == nil || db.Counts().Commit != 0 {
		t.Errorf("a caller who had left before: got %v and %d commits, want an error and none", err, db.Counts().Commit)
	}
}
