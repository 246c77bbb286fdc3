package apikey_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/fault"
)

var filterItem = store.Key{Partition: "filter", Sort: "filter"}

func TestOfManyWhoMakeTheFilterKeyAtOnceOneDoesAndAllGetIt(t *testing.T) {
	w := newWorld(t)
	removeFilter(t, w)
	keepers := make([]*apikey.FilterKeeper, 16)
	bearers := make([]string, len(keepers))
	arrived := make(chan struct{}, len(keepers))
	release := make(chan struct{})
	w.faults.Inject(fault.Commit, len(keepers), fault.Hold(arrived, release))
	var all sync.WaitGroup
	for i := range keepers {
		keepers[i] = &apikey.FilterKeeper{Store: w.faults}
		all.Go(func() {
			f, err := keepers[i].Filter(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			bearers[i] = f.NewBearer(seal.APIKey, nil).Reveal()
		})
	}
	for range keepers {
		<-arrived // all of them have found none
	}
	close(release)
	all.Wait()
	for _, k := range keepers {
		f, err := k.Filter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i, bearer := range bearers {
			if _, ok := f.Recognise(seal.APIKey, bearer, 0); !ok {
				t.Fatalf("keeper %d made bearers under another key", i)
			}
		}
	}
}

// removeFilter takes the filter key from the store, as if nobody had come yet.
func removeFilter(t *testing.T, w *world) {
	t.Helper()
	item, err := store.GetOne(t.Context(), w.db, filterItem)
	if err != nil || item.Absent() {
		t.Fatalf("got %+v, %v, want the filter key", item, err)
	}
	token := store.NewVersion()
	beside := store.Write{Key: store.Key{Partition: "test", Sort: string(token)}, Body: []byte("{}")} // a commit needs a put
	if err := w.db.Commit(t.Context(), token, store.Write{Key: filterItem, Expect: item.Version, Delete: true}, beside); err != nil {
		t.Fatal(err)
	}
}

func TestTheFilterKeyIsReadOnceAndKeptWhenTheStoreIsAway(t *testing.T) {
	w := newWorld(t)
	keeper := &apikey.FilterKeeper{Store: w.faults}
	w.faults.Inject(fault.Get, -1, fault.Fail(nil))
	if f, err := keeper.Filter(t.Context()); err == nil {
		t.Errorf("with the store away: got %v, want an error", f)
	}
	w.faults.Clear()
	first, err := keeper.Filter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.faults.Inject(fault.Get, -1, fault.Fail(nil))
	w.clock.Advance(365 * 24 * time.Hour)
	if f, err := keeper.Filter(t.Context()); err != nil || f != first {
		t.Errorf("later, with the store away: got %v, %v, want the same filter", f, err)
	}
}

func TestALostAnswerDoesNotMakeAnotherFilterKey(t *testing.T) {
	w := newWorld(t)
	removeFilter(t, w)
	w.faults.Inject(fault.Commit, 1, fault.Lose(errors.New("no answer")))
	mine, err := (&apikey.FilterKeeper{Store: w.faults}).Filter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other, err := (&apikey.FilterKeeper{Store: w.faults}).Filter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := other.Recognise(seal.PortalToken, mine.NewBearer(seal.PortalToken, nil).Reveal(), 0); !ok {
		t.Error("the key that was answered isn't the one in the store")
	}
}
