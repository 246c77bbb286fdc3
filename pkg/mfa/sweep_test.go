package mfa_test

import (
	"fmt"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store"
	"countersign/pkg/store/fault"
)

// sweep runs the sweep until nothing is left to do, and returns how many ends of trust it announced.
func sweep(t *testing.T, w *mfatest.World) (announced int) {
	t.Helper()
	for {
		done, err := w.Sweep(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		announced += done.Announced
		if !done.More {
			return announced
		}
	}
}

// marked returns the hour up to which the sweep has come.
func marked(t *testing.T, w *mfatest.World) time.Time {
	t.Helper()
	item, err := store.GetOne(t.Context(), w.Store, store.Key{Partition: "sweep", Sort: "mark"})
	if err != nil || item.Absent() {
		t.Fatal("no mark", err)
	}
	var m struct{ Hour time.Time }
	look(t, item, &m)
	return m.Hour
}

func TestTB5AnEndOfTrustIsAnnouncedOnce(t *testing.T) {
	w := kls(t, nil)
	w.Clock.Advance(25 * time.Minute)
	trusted(t, w)
	id := browsers(t, w)[0].ID
	end := w.Clock.Now().Add(30 * day)
	for range 30 {
		if n := sweep(t, w); n != 0 {
			t.Fatalf("got %d announced before the end", n)
		}
		w.Clock.Advance(day)
		if w.Clock.Now().Equal(end) {
			w.Clock.Advance(-time.Second)
		}
	}
	if n := sweep(t, w); n != 0 {
		t.Fatalf("a second before the end: got %d announced", n)
	}
	w.Clock.Advance(time.Second)
	for i, want := range []int{1, 0, 0} {
		if n := sweep(t, w); n != want {
			t.Errorf("run %d: got %d announced, want %d", i+1, n, want)
		}
		w.Clock.Advance(time.Hour)
	}
	got := events(t, w, mfa.BrowserExpired)
	if len(got) != 1 || got[0].User != user || got[0].Org != org || got[0].Data["browser"] != id || got[0].Actor.Kind != "service" ||
		got[0].Data["ended"] != end.Format(time.RFC3339) {
		t.Errorf("got %+v, want one browser.expired of %s at %v", got, id, end)
	}
}

func TestTB5SeveralRunsAtOnceAnnounceOnce(t *testing.T) {
	w := kls(t, nil)
	for range 8 {
		trusted(t, w)
		w.Clock.Advance(10 * time.Minute)
	}
	sweep(t, w)
	w.Clock.Advance(30 * day)
	var announced [16]int
	atOnce(len(announced), func(i int) { announced[i] = sweep(t, w) })
	total := 0
	for _, n := range announced {
		total += n
	}
	if got := events(t, w, mfa.BrowserExpired); len(got) != 8 || total != 8 {
		t.Errorf("got %d events, and %d said to be announced, want 8", len(got), total)
	}
}

func TestTB5ARunThatWasCutOffIsGoneOnWith(t *testing.T) {
	for _, method := range []fault.Method{fault.Get, fault.Query, fault.Commit} {
		for _, lost := range []bool{false, true} {
			failure := fault.Fail(nil)
			if lost {
				failure = fault.Lose(nil)
			}
			for after := range 16 {
				w := kls(t, nil)
				for range 4 {
					trusted(t, w)
				}
				sweep(t, w)
				w.Clock.Advance(30*day - time.Hour)
				sweep(t, w)
				w.Clock.Advance(time.Hour)
				w.Faults.Inject(method, after, fault.Fault{})
				w.Faults.Inject(method, -1, failure)
				_, err := w.Sweep(t.Context())
				w.Faults.Clear()
				if err == nil && after == 0 {
					t.Errorf("%s: got no error", method)
				}
				sweep(t, w)
				seen := map[any]int{}
				for _, e := range events(t, w, mfa.BrowserExpired) {
					seen[e.Data["browser"]]++
				}
				if len(seen) != 4 || len(w.Events.All()) == 0 || seen[nil] > 0 {
					t.Errorf("%s after %d, lost %v: got %v, want 4 browsers", method, after, lost, seen)
				}
				for id, n := range seen {
					if n != 1 {
						t.Errorf("%s after %d, lost %v: %v was announced %d times", method, after, lost, id, n)
					}
				}
			}
		}
	}
}

func TestTrustThatEndedBeforeItsTimeIsNotAnnounced(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, w *mfatest.World) error{
		"erased": func(t *testing.T, w *mfatest.World) error {
			return w.EraseUser(t.Context(), w.Client, org, user)
		},
		"erased and made again": func(t *testing.T, w *mfatest.World) error {
			if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
				return err
			}
			_, err := w.PutUser(t.Context(), w.Client, org, mfa.Person{ID: user, Email: mfa.Some(mail)})
			return err
		},
		"another epoch": func(t *testing.T, w *mfatest.World) error {
			_, err := w.PutUser(t.Context(), w.Client, org, mfa.Person{ID: user, Email: mfa.Some("ana@other.example")})
			return err
		},
		"revoked by the cap": func(t *testing.T, w *mfatest.World) error {
			w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Trust.Cap, p.Trust.Days = 1, 90 })
			trusted(t, w)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := kls(t, nil)
			trusted(t, w)
			sweep(t, w)
			if err := end(t, w); err != nil {
				t.Fatal(err)
			}
			w.Clock.Advance(30 * day)
			if n := sweep(t, w); n != 0 {
				t.Errorf("got %d announced, want none", n)
			}
		})
	}
}

func TestTrustThatAPolicyTookIsNotAnnouncedAsExpired(t *testing.T) {
	for name, change := range map[string]func(*mfa.Policy){
		"zero days": func(p *mfa.Policy) { p.Trust.Days = 0 },
		"its kind":  func(p *mfa.Policy) { p.Methods.Email, p.Require = mfa.NotAllowed, mfa.Nobody },
	} {
		w := kls(t, nil)
		trusted(t, w)
		sweep(t, w)
		w.SetPolicy(t, org, "kls", change)
		w.Clock.Advance(30 * day)
		if n := sweep(t, w); n != 0 {
			t.Errorf("%s: got %d announced, want none", name, n)
		}
	}
}

func TestAnEndThatAPolicyBroughtForwardIsAnnouncedAsItWas(t *testing.T) {
	w := kls(t, nil)
	end := w.Clock.Now().Add(5 * day)
	trusted(t, w)
	sweep(t, w)
	w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Trust.Days = 5 })
	w.Clock.Advance(31 * day)
	sweep(t, w)
	got := events(t, w, mfa.BrowserExpired)
	if len(got) != 1 || got[0].Data["ended"] != end.Format(time.RFC3339) {
		t.Errorf("got %+v, want one browser.expired that says it ended at %v", got, end)
	}
}

func TestTheSweepCatchesUpAfterTheClockJumped(t *testing.T) {
	for _, jump := range []time.Duration{40 * day, 59 * day} {
		w := kls(t, nil)
		trusted(t, w)
		w.Clock.Advance(3 * time.Hour)
		trusted(t, w)
		sweep(t, w)
		w.Clock.Advance(jump)
		if n := sweep(t, w); n != 2 {
			t.Errorf("after %v: got %d announced, want 2", jump, n)
		}
		if got, want := marked(t, w), w.Clock.Now().Truncate(time.Hour); !got.Equal(want) {
			t.Errorf("got the mark at %v, want %v", got, want)
		}
	}
}

func TestTheMarkStaysAtTheHourThatIsNotOver(t *testing.T) {
	w := kls(t, nil)
	hour := w.Clock.Now().Truncate(time.Hour)
	for _, c := range []struct {
		at   time.Duration
		want time.Duration
	}{{0, 0}, {time.Hour - time.Second, 0}, {time.Hour, time.Hour}, {3*time.Hour + time.Minute, 3 * time.Hour}} {
		w.Clock.Advance(hour.Add(c.at).Sub(w.Clock.Now()))
		sweep(t, w)
		if got := marked(t, w); !got.Equal(hour.Add(c.want)) {
			t.Errorf("at %v: got the mark at %v, want %v", c.at, got, hour.Add(c.want))
		}
	}
}

func TestTheSweepsWorkIsWhatIsDue(t *testing.T) {
	var calls []int
	for _, users := range []int{1, 20} {
		w := kls(t, nil)
		for i := range users {
			q := ana()
			q.User.ID = fmt.Sprint("u-", i)
			if _, err := verify(t, w, started(t, w, q).ID, w.Outbox.Code(t, mail), true); err != nil {
				t.Fatal(err)
			}
		}
		sweep(t, w)
		w.Faults.Reset()
		w.Clock.Advance(time.Hour)
		sweep(t, w)
		calls = append(calls, w.Faults.Counts().Calls())
	}
	if calls[0] != calls[1] {
		t.Errorf("got %d calls with one user, %d with twenty, want the same: nothing is due", calls[0], calls[1])
	}
}

func TestASweepBeforeAndAfterTheEndChangesNoSignIn(t *testing.T) {
	w := kls(t, nil)
	token := trusted(t, w)
	sweep(t, w)
	w.Clock.Advance(30*day - time.Second)
	sweep(t, w)
	wantReason(t, w, token, mfa.BrowserTrust)
	w.Clock.Advance(time.Second)
	wantReason(t, w, token, mfa.TrustExpired)
	sweep(t, w)
	wantReason(t, w, token, mfa.TrustExpired)
}

// sweepInParts runs the sweep until nothing is left to do, with at most this many items in each run.
func sweepInParts(t *testing.T, w *mfatest.World, items int) (announced, runs int) {
	t.Helper()
	for more := true; more; runs++ {
		done, err := w.SweepAtMost(t.Context(), items, 100)
		if err != nil {
			t.Fatal(err)
		}
		if done.Announced > items {
			t.Fatalf("got %d announced in a run of at most %d", done.Announced, items)
		}
		announced, more = announced+done.Announced, done.More
	}
	return announced, runs
}

// wantEachOnce fails the test unless exactly want browsers had the end of their trust announced, each of them once.
func wantEachOnce(t *testing.T, w *mfatest.World, when string, want int) {
	t.Helper()
	seen := map[any]int{}
	for _, e := range events(t, w, mfa.BrowserExpired) {
		seen[e.Data["browser"]]++
	}
	if len(seen) != want {
		t.Errorf("%s: got the ends of %d browsers, want %d", when, len(seen), want)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s: %v was announced %d times", when, id, n)
		}
	}
}

// sleep moves the clock on by d, and runs the sweep two hours before that moment.
func sleep(t *testing.T, w *mfatest.World, d time.Duration) {
	t.Helper()
	sweep(t, w)
	w.Clock.Advance(d - 2*time.Hour)
	sweep(t, w)
	w.Clock.Advance(2 * time.Hour)
}

// crowd trusts a browser for each of n users, with a time between them.
func crowd(t *testing.T, w *mfatest.World, n int, apart time.Duration) {
	t.Helper()
	for i := range n {
		q := ana()
		q.User.ID = fmt.Sprint("u-", i)
		if _, err := verify(t, w, started(t, w, q).ID, w.Outbox.Code(t, mail), true); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(apart)
	}
}

func TestARunLooksAtABoundedNumberOfItemsAndTheNextGoesOn(t *testing.T) {
	for items := 1; items <= 13; items++ {
		w := kls(t, nil)
		crowd(t, w, 12, time.Second)
		sleep(t, w, 30*day)
		announced, runs := sweepInParts(t, w, items)
		if announced != 12 || runs < 12/items {
			t.Errorf("at most %d: got %d announced in %d runs, want 12", items, announced, runs)
		}
		wantEachOnce(t, w, fmt.Sprint("at most ", items), 12)
	}
}

func TestTB5AnHourThatEndsWhileItIsGoneThroughIsGoneThroughAgain(t *testing.T) {
	for items := 1; items < 12; items++ {
		w := kls(t, nil)
		crowd(t, w, 12, 5*time.Minute)     // from 10:00 to 10:55
		sleep(t, w, 30*day-35*time.Minute) // until 10:25
		first, err := w.SweepAtMost(t.Context(), items, 100)
		if err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(time.Hour)
		rest, _ := sweepInParts(t, w, items)
		if first.Announced+rest != 12 {
			t.Errorf("at most %d: got %d announced before the hour was over and %d after, want 12", items, first.Announced, rest)
		}
		wantEachOnce(t, w, fmt.Sprint("at most ", items), 12)
	}
}

func TestTB5ThreeBoundedRunsAtOnceCutOffAtAnyCommitAnnounceOnce(t *testing.T) {
	for _, lost := range []bool{false, true} {
		failure := fault.Fail(nil)
		if lost {
			failure = fault.Lose(nil)
		}
		for after := range 14 {
			w := kls(t, nil)
			crowd(t, w, 7, time.Second)
			sleep(t, w, 30*day)
			w.Pause = func(int) time.Duration { return 0 }
			w.Faults.Inject(fault.Commit, after, fault.Fault{})
			w.Faults.Inject(fault.Commit, -1, failure)
			atOnce(3, func(int) {
				for more, err := true, error(nil); more && err == nil; {
					var done mfa.Swept
					done, err = w.SweepAtMost(t.Context(), 2, 100)
					more = done.More
				}
			})
			w.Faults.Clear()
			atOnce(3, func(int) { sweepInParts(t, w, 2) })
			wantEachOnce(t, w, fmt.Sprintf("cut off after %d commits, lost %v", after, lost), 7)
		}
	}
}

func TestAMarkMadeByAClockThatWasAheadHidesNoEnd(t *testing.T) {
	for _, late := range []time.Duration{0, 3 * time.Hour, 40 * time.Hour} {
		w := kls(t, func(p *mfa.Policy) { p.Trust.Days = 1 })
		trusted(t, w)
		sweep(t, w)
		w.Clock.Advance(10 * day)
		if n := sweep(t, w); n != 1 {
			t.Fatalf("by the clock that is ahead: got %d announced, want 1", n)
		}
		w.Clock.Advance(-10 * day)
		trusted(t, w)
		w.Clock.Advance(day + late)
		if n := sweep(t, w); n != 1 {
			t.Errorf("%v late: got %d announced, want 1", late, n)
		}
		w.Clock.Advance(10 * day)
		sweep(t, w)
		wantEachOnce(t, w, fmt.Sprint(late, " late"), 2)
	}
}

func TestTheSweepsCallsGrowWithWhatIsDueAndNothingElse(t *testing.T) {
	calls := func(due, later int) int {
		w := kls(t, nil)
		crowd(t, w, due, 0)
		w.Clock.Advance(time.Hour)
		crowd(t, w, later, 0)
		sweep(t, w)
		w.Clock.Advance(30*day - 2*time.Hour)
		sweep(t, w)
		w.Clock.Advance(time.Hour)
		w.Faults.Reset()
		if n := sweep(t, w); n != due {
			t.Errorf("got %d announced, want %d", n, due)
		}
		return w.Faults.Counts().Calls()
	}
	idle := calls(0, 0)
	if got := calls(0, 20); got != idle {
		t.Errorf("with 20 that aren't due: got %d calls, want %d", got, idle)
	}
	for _, due := range []int{5, 10} {
		if got, want := calls(due, 20), idle+2*due; got != want {
			t.Errorf("with %d due: got %d calls, want %d: a read of three items and a commit for each", due, got, want)
		}
	}
}
