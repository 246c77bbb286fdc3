package mfa_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/fault"
	"countersign/pkg/store/storetest"
)

// checkpoint makes the checkpoints that are due, and returns how many there were.
func checkpoint(t *testing.T, w *mfatest.World) (made int) {
	t.Helper()
	for {
		done, err := w.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		made += done.Made
		if !done.More {
			w.Drain(t)
			return made
		}
	}
}

// checkpoints returns the checkpoints that were put on the bus.
func checkpoints(w *mfatest.World) (signed []string) {
	for _, e := range w.Events.All() {
		if e.Type == mfa.ActivityChecked {
			signed = append(signed, e.Data["checkpoint"].(string))
		}
	}
	return signed
}

// verifyExport exports the activity of the org, and verifies the export with nothing else at hand.
func verifyExport(t *testing.T, w *mfatest.World, change func(export string) string, seen ...string) (mfa.VerifiedExport, error) {
	t.Helper()
	publishKeys(t, w)
	var export bytes.Buffer
	if err := w.ExportActivity(t.Context(), &export, org); err != nil {
		t.Fatal(err)
	}
	now := w.Clock.Now()
	text := export.String()
	if change != nil {
		text = change(text)
	}
	return mfa.VerifyActivity(t.Context(), strings.NewReader(text), storetest.NewModel(func() time.Time { return now }), now, nil, seen...)
}

// publishKeys publishes the public half of the ring, as the keeper of a deployment does.
func publishKeys(t *testing.T, w *mfatest.World) {
	t.Helper()
	ring, err := w.Keys.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	item, err := store.GetOne(t.Context(), w.Store, mfa.PublishedKeysAt)
	if err != nil {
		t.Fatal(err)
	}
	write, err := mfa.PublishKeys(ring, item.Version)
	if err == nil {
		err = w.Store.Commit(t.Context(), store.NewVersion(), write)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestEachHourThatWasActiveGetsOneCheckpointAndTheBusHasIt(t *testing.T) {
	w := kls(t, nil)
	if n := checkpoint(t, w); n != 0 {
		t.Fatalf("nothing has happened: got %d checkpoints", n)
	}
	for hour := range 3 {
		w.Clock.Advance(time.Hour)
		trusted(t, w)
		w.Drain(t)
		for run, want := range []int{1, 0, 0} {
			if n := checkpoint(t, w); n != want {
				t.Errorf("hour %d, run %d: got %d checkpoints, want %d", hour, run, n, want)
			}
		}
	}
	w.Clock.Advance(time.Hour)
	if n := checkpoint(t, w); n != 0 {
		t.Errorf("an hour in which nothing has happened: got %d checkpoints", n)
	}
	seen := checkpoints(w)
	var text string
	got, err := verifyExport(t, w, func(export string) string { text = export; return export }, seen...)
	if err != nil || len(seen) != 3 || got.Serial != 3 || got.Later != 0 || got.Org != org || len(got.Keys) != 1 {
		t.Errorf("got %+v, %v and %d on the bus, want 3 checkpoints of all pages", got, err, len(seen))
	}
	if strings.Contains(text, mfa.ActivityChecked) {
		t.Error("checkpoints were filed, and each would need the next one")
	}
}

// What is filed at the end of a day, or late, gets its checkpoint all the same. So do orgs of all shards, however small a run is.
func TestWhatIsFiledAtTheEndOfADayAndLateGetsACheckpoint(t *testing.T) {
	w := kls(t, nil)
	trusted(t, w)
	w.Drain(t)
	checkpoint(t, w)
	w.Clock.Advance(w.Clock.Now().Truncate(day).Add(day - 20*time.Second).Sub(w.Clock.Now()))
	trusted(t, w)
	w.Clock.Advance(30 * time.Second)
	w.Drain(t) // the events of yesterday are filed today
	w.Clock.Advance(time.Hour)
	if n := checkpoint(t, w); n != 1 {
		t.Errorf("after midnight: got %d checkpoints, want 1", n)
	}
	trusted(t, w)
	w.Clock.Advance(5 * day)
	w.Drain(t)
	if n := checkpoint(t, w); n != 1 {
		t.Errorf("days later: got %d checkpoints, want 1", n)
	}
	if got, err := verifyExport(t, w, nil); err != nil || got.Later != 0 || got.Bare != 0 {
		t.Errorf("got %+v, %v, want checkpoints of all pages", got, err)
	}
}

func TestRunsOfTheCheckpointsAtOnceAndCutOffMakeEachOnce(t *testing.T) {
	w := kls(t, nil)
	for range 6 {
		trusted(t, w)
		w.Drain(t)
		w.Faults.Inject(fault.Commit, 2, fault.Lose(nil))
		var runs sync.WaitGroup
		for range 4 {
			runs.Go(func() { w.Checkpoint(t.Context()) }) // some of them may fail
		}
		runs.Wait()
		w.Faults.Clear()
		checkpoint(t, w)
		w.Clock.Advance(time.Hour)
	}
	checkpoint(t, w)
	seen := checkpoints(w)
	slices.Sort(seen)
	if got, err := verifyExport(t, w, nil, seen...); err != nil || got.Later != 0 || got.Serial != len(slices.Compact(seen)) {
		t.Errorf("got %+v, %v and %d on the bus, want that these are all", got, err, len(seen))
	}
}

// A deployment has many orgs that are never active. A run must not cost more with each of them.
func TestCheckpointsCostNothingForOrgsThatAreNotActive(t *testing.T) {
	w := kls(t, nil)
	for n := range 30 {
		w.SetPolicy(t, "org-"+string(rune('a'+n)), "kls", nil)
	}
	w.Drain(t)
	if n := checkpoint(t, w); n != 31 {
		t.Fatalf("got %d checkpoints, want one of each org", n)
	}
	w.Clock.Advance(3 * day)
	checkpoint(t, w)
	w.Clock.Advance(2 * time.Hour)
	meter := &storetest.Meter{Store: w.Store}
	w.Service.Store = meter
	if n := checkpoint(t, w); n != 0 {
		t.Errorf("got %d checkpoints of orgs that are not active", n)
	}
	if queries, items := meter.Queries.Load(), meter.Items.Load(); queries > activity.ActiveShards || items > 1 {
		t.Errorf("got %d queries and %d items, want the lists of today", queries, items)
	}
	meter.Reset()
	checkpoint(t, w)
	if queries := meter.Queries.Load(); queries != 0 {
		t.Errorf("a run within the same hour: got %d queries", queries)
	}
}

func TestAClockThatWasAheadDoesNotStopTheCheckpoints(t *testing.T) {
	w := kls(t, nil)
	checkpoint(t, w)
	w.Drain(t)
	w.Clock.Advance(100 * day)
	checkpoint(t, w)
	w.Clock.Advance(-100 * day)
	trusted(t, w)
	w.Drain(t)
	if n := checkpoint(t, w); n != 1 {
		t.Errorf("got %d checkpoints, want 1", n)
	}
}

func TestAnExportOfAnotherOrgOrUnderOtherKeysIsNotVerified(t *testing.T) {
	w := kls(t, nil)
	trusted(t, w)
	w.Drain(t)
	checkpoint(t, w)
	_, err := verifyExport(t, w, func(export string) string { return strings.Replace(export, `"org":"`+org, `"org":"x`+org, 1) })
	if !errors.Is(err, activity.ErrBroken) {
		t.Errorf("another org: got %v", err)
	}
	publishKeys(t, w)
	var export bytes.Buffer
	if err := w.ExportActivity(t.Context(), &export, org); err != nil {
		t.Fatal(err)
	}
	other, err := seal.ReadCheckpointKeys(seal.NewRing(w.Clock.Now()).JWKS())
	if err != nil {
		t.Fatal(err)
	}
	now := w.Clock.Now()
	_, err = mfa.VerifyActivity(t.Context(), &export, storetest.NewModel(func() time.Time { return now }), now, other)
	if !errors.Is(err, activity.ErrBroken) || !strings.Contains(err.Error(), "signed with none of the keys") {
		t.Errorf("other keys: got %v", err)
	}
	if err := w.ExportActivity(t.Context(), &export, ""); err == nil {
		t.Error("an org without an id was exported")
	}
}

func TestAnErasedUsersActivityVerifiesInAnExport(t *testing.T) {
	w := kls(t, nil)
	trusted(t, w)
	w.Drain(t)
	checkpoint(t, w)
	if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	w.Drain(t)
	w.Clock.Advance(time.Hour)
	checkpoint(t, w)
	var text string
	got, err := verifyExport(t, w, func(export string) string { text = export; return export }, checkpoints(w)...)
	if err != nil || got.Serial != 2 || strings.Contains(text, user) {
		t.Errorf("got %+v, %v, want 2 checkpoints and nothing of the user", got, err)
	}
}
