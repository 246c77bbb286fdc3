package activity

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/fault"
)

// ofOrgs returns events of nobody in so many orgs, in turn.
func ofOrgs(w *world, orgs, events int) (all []Filing) {
	for i := range events {
		sum := sha256.Sum256(fmt.Append(nil, "org", i%orgs))
		all = append(all, Filing{Event: Event{ID: fmt.Sprintf("ev_%022d", i), Type: changed, Time: w.clock.Now()}, Route: Route(sum[:orgRoute])})
	}
	return all
}

func TestTheOrgsOfABatchAreFiledSideBySide(t *testing.T) {
	w := onModel(t)
	var all sync.WaitGroup
	all.Add(orgsAtOnce)
	met := make(chan struct{})
	go func() {
		all.Wait()
		close(met)
	}()
	var now, most, begun atomic.Int32
	commit := w.Commit
	w.Commit = func(ctx context.Context, plan func(time.Time) ([]store.Write, error)) error {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		if begun.Add(1) <= orgsAtOnce { // these wait for each other, which they could not do one after the other
			all.Done()
			select {
			case <-met:
			case <-time.After(10 * time.Second):
				return errors.New("the orgs are filed one after the other")
			}
		}
		return commit(ctx, plan)
	}
	events := ofOrgs(w, 3*orgsAtOnce, 100)
	if err := w.File(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	if most.Load() > orgsAtOnce {
		t.Errorf("got %d orgs at once, want %d at most", most.Load(), orgsAtOnce)
	}
	for i := range 3 * orgsAtOnce {
		got, _, err := w.List(t.Context(), Query{Route: events[i].Route, Limit: 50})
		if err != nil {
			t.Fatal(err)
		}
		for n, e := range got { // the newest first
			if want := events[i+(len(got)-1-n)*3*orgsAtOnce].ID; e.ID != want {
				t.Errorf("org %d: event %d is %s, want %s", i, n, e.ID, want)
			}
		}
		if len(got) < 4 {
			t.Errorf("org %d: got %d events, want all of its 4 or 5", i, len(got))
		}
	}
}

func TestABatchOfWhichOneOrgCannotBeFiledFails(t *testing.T) {
	w := onModel(t)
	w.faults.Inject(fault.Commit, 1, fault.Fail(nil))
	if err := w.File(t.Context(), ofOrgs(w, 20, 100)); !errors.Is(err, fault.Err) {
		t.Errorf("got %v, want that the store failed", err)
	}
}
