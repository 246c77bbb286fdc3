package mfa_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store"
	"countersign/pkg/store/fault"
)

// expiryShards is the number of partitions over which the ends of an hour are spread.
const expiryShards = 4

// fallDue writes n ends of trust into the first shard of this hour. They are all due now, and their users no longer exist.
func fallDue(t *testing.T, w *mfatest.World, n int) {
	t.Helper()
	var writes []store.Write
	for i := range n {
		writes = append(writes, store.Write{
			Key:  store.Key{Partition: "due#" + w.Clock.Now().Format("2006-01-02T15") + "#0", Sort: fmt.Sprintf("%06d", i)},
			Body: mfa.DueBody(w.Clock.Now()),
		})
		if len(writes) == store.MaxWrites || i == n-1 {
			if err := w.Store.Commit(t.Context(), store.NewVersion(), writes...); err != nil {
				t.Fatal(err)
			}
			writes = nil
		}
	}
}

// wantRun runs the sweep once, and fails the test unless it made that many queries and said whether more is left to do.
func wantRun(t *testing.T, w *mfatest.World, when string, run func(context.Context) (mfa.Swept, error), queries int, more bool) {
	t.Helper()
	w.Faults.Reset()
	done, err := run(t.Context())
	if got := w.Faults.Counts().Query; err != nil || got != queries || done.More != more {
		t.Errorf("%s: got %d queries, %+v, %v, want %d queries, and more: %v", when, got, done, err, queries, more)
	}
}

func TestTheSweepLooksAtTwoThousandItemsInOneRunAPageAtATime(t *testing.T) {
	w := kls(t, nil)
	sweep(t, w)
	const due = 2100
	fallDue(t, w, due)
	// The first run reads two whole pages of the store. The second reads the rest of that shard, and the other shards.
	for run, queries := range []int{2, expiryShards} {
		want := 2000
		if run == 1 {
			want = due - 2000
		}
		wantRun(t, w, fmt.Sprint("run ", run+1), w.SweepHours, queries, run == 0)
		if got := w.Faults.Counts(); got.Keys != 1+3*want || got.Get != 1+want {
			t.Errorf("run %d: got %d items read by %d calls, want the mark, and three at once for each of %d", run+1, got.Keys, got.Get, want)
		}
	}
}

func TestTheSweepGoesThroughTwoHundredHoursInOneRun(t *testing.T) {
	w := kls(t, nil)
	sweep(t, w)
	begin := w.Clock.Now()
	w.Clock.Advance(300 * time.Hour)
	seven := func(ctx context.Context) (mfa.Swept, error) { return w.SweepAtMost(ctx, 2000, 7) }
	for _, c := range []struct {
		when  string
		run   func(context.Context) (mfa.Swept, error)
		hours int // how many hours the run goes through
		at    int // the hour that it reaches, counted from the beginning
		more  bool
	}{
		{"seven hours at most", seven, 7, 7, true},
		{"as many as one run does", w.SweepHours, 200, 207, true},
		{"what is left, and this hour", w.SweepHours, 94, 300, false},
		{"this hour again", w.SweepHours, 1, 300, false},
	} {
		wantRun(t, w, c.when, c.run, expiryShards*c.hours, c.more)
		if got, want := marked(t, w), begin.Add(time.Duration(c.at)*time.Hour); !got.Equal(want) {
			t.Errorf("%s: got the mark at %v, want %v", c.when, got, want)
		}
	}
}

func TestARunAsksNoMoreQueriesThanItMayLookAtItemsThoughNothingIsDue(t *testing.T) {
	w := kls(t, nil)
	sweep(t, w)
	begin := w.Clock.Now()
	w.Clock.Advance(10 * time.Hour)
	five := func(ctx context.Context) (mfa.Swept, error) { return w.SweepAtMost(ctx, 5, 100) }
	for run := range 8 {
		wantRun(t, w, fmt.Sprint("run ", run+1), five, 5, true)
	}
	wantRun(t, w, "the last", five, expiryShards, false) // these ten hours and the present one have 44 shards, and 40 of them are done
	if got, want := marked(t, w), begin.Add(10*time.Hour); !got.Equal(want) {
		t.Errorf("got the mark at %v, want %v", got, want)
	}
}

func TestTheFirstSweepLooksTwoDaysBack(t *testing.T) {
	for late, want := range map[time.Duration]int{0: 1, 47 * time.Hour: 1, 48 * time.Hour: 1, 49 * time.Hour: 0} {
		w := kls(t, nil)
		w.Clock.Advance(30 * time.Minute)
		trusted(t, w)
		w.Clock.Advance(30*day + late)
		w.Faults.Reset()
		if done, err := w.SweepHours(t.Context()); err != nil || done.Announced != want {
			t.Errorf("%v late: got %+v, %v, want %d announced", late, done, err, want)
		}
		if got := w.Faults.Counts().Query; got != expiryShards*49 {
			t.Errorf("%v late: got %d queries, want those of 48 hours and of this one", late, got)
		}
	}
}

func TestAMarkThatIsAnHourAheadIsTheClocksOfTwoMachinesAndOneFurtherAheadIsWrong(t *testing.T) {
	for back, hours := range map[time.Duration]int{0: 1, time.Second: 1, time.Hour: 1, time.Hour + time.Second: 49, 100 * time.Hour: 49} {
		w := kls(t, nil) // at a full hour
		sweep(t, w)
		w.Clock.Advance(-back)
		wantRun(t, w, fmt.Sprint(back, " behind"), w.SweepHours, expiryShards*hours, false)
	}
}

func TestItemsAreLookedAtSixteenSideBySide(t *testing.T) {
	w := kls(t, nil)
	sweep(t, w)
	fallDue(t, w, 200)
	var beside, most atomic.Int64
	w.Faults.Inject(fault.Get, 1, fault.Fault{}) // the read of the mark
	w.Faults.Inject(fault.Get, -1, fault.Fault{
		Before: func(context.Context) error {
			now := beside.Add(1)
			for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
			}
			for range 100 { // lets other reads begin
				runtime.Gosched()
			}
			return nil
		},
		After: func(context.Context) error { beside.Add(-1); return nil },
	})
	sweep(t, w)
	if got := most.Load(); got > 16 || got < 2 {
		t.Errorf("got up to %d reads at once, want several, and at most one for each of 16 items", got)
	}
}

func TestAnEndIsAnnouncedInItsHourAtWhateverMinuteTheFirstSweepRan(t *testing.T) {
	w := kls(t, nil) // at a full hour
	w.Clock.Advance(5 * time.Minute)
	trusted(t, w)
	w.Clock.Advance(30*day - 20*time.Minute) // 15 minutes before the hour in which it ends
	sweep(t, w)
	w.Clock.Advance(30 * time.Minute)
	if n := sweep(t, w); n != 1 {
		t.Errorf("ten minutes after the end: got %d announced, want 1", n)
	}
}

func TestAnHourThatAClockAheadWentThroughInPartIsGoneThroughAgain(t *testing.T) {
	w := kls(t, nil)
	crowd(t, w, 12, 5*time.Minute)                                // from 10:00 to 10:55; then it is 11:00
	sleep(t, w, 30*day+2*time.Minute)                             // 11:02, at which no run has been made yet
	first, err := w.SweepAtMost(t.Context(), expiryShards+2, 100) // the hour before, and two items of the present hour
	hour := w.Clock.Now().Truncate(time.Hour).Add(-time.Hour)
	if got := marked(t, w); err != nil || !first.More || first.Announced == 0 || !got.Equal(hour) {
		t.Fatalf("got %+v, %v and the mark at %v, want a part of %v", first, err, got, hour)
	}
	w.Clock.Advance(-42 * time.Minute) // another machine's clock says 10:20
	sweepInParts(t, w, 100)
	w.Clock.Advance(3 * time.Hour)
	sweepInParts(t, w, 100)
	wantEachOnce(t, w, "in the end", 12)
}
