package apikey_test

import (
	"sync"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store/fault"
)

func (w *world) lastUsed(t *testing.T, key seal.Secret) string {
	t.Helper()
	day, err := w.LastUsed(t.Context(), apikey.ID(key))
	if err != nil {
		t.Fatal(err)
	}
	return day
}

func TestTheDayOfAUseIsNotedOnceByEachProcess(t *testing.T) {
	w := newWorld(t)
	other := w.create(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes()})
	hash := seal.HashBearer(w.key.Reveal())
	processes := []*apikey.Uses{{Store: w.faults, Now: w.clock.Now}, {Store: w.faults, Now: w.clock.Now}}
	if got := w.lastUsed(t, w.key); got != "" {
		t.Errorf("before any use: got %q", got)
	}
	for _, day := range []string{"2026-11-22", "2026-11-23", "2026-11-24"} {
		w.faults.Reset()
		var all sync.WaitGroup
		for _, p := range processes {
			for range 50 {
				all.Go(func() {
					if err := p.Note(t.Context(), hash); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		if got := w.faults.Counts(); got.Commit != len(processes) || got.Get != 0 || got.Query != 0 {
			t.Errorf("%s: got %+v, want one commit by each process and nothing read", day, got)
		}
		if got := w.lastUsed(t, w.key); got != day {
			t.Errorf("got %q, want %s", got, day)
		}
		w.clock.Advance(24 * time.Hour)
	}
	if got := w.lastUsed(t, other); got != "" {
		t.Errorf("a key that was not used: got %q", got)
	}
	w.clock.Advance(400 * 24 * time.Hour)
	if got := w.lastUsed(t, w.key); got != "" {
		t.Errorf("more than 400 days later: got %q", got)
	}
}

func TestAUseThatCouldNotBeNotedIsNotedByALaterCall(t *testing.T) {
	w := newWorld(t)
	hash := seal.HashBearer(w.key.Reveal())
	uses := &apikey.Uses{Store: w.faults, Now: w.clock.Now}
	w.faults.Inject(fault.Commit, 1, fault.Fail(nil))
	if err := uses.Note(t.Context(), hash); err == nil {
		t.Error("it doesn't say that nothing was noted")
	}
	w.faults.Clear()
	if err := uses.Note(t.Context(), hash); err != nil {
		t.Fatal(err)
	}
	if got := w.lastUsed(t, w.key); got != "2026-11-22" {
		t.Errorf("got %q", got)
	}
}
