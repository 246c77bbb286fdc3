package mfa_test

import (
	"errors"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store"
	"countersign/pkg/store/fault"
	"countersign/pkg/store/record"
)

func TestTheStatusOfTheSweepSaysHowFarItHasCome(t *testing.T) {
	w := mfatest.New(t) // the clock is at 10:00
	status := func(after time.Duration) mfa.SweepStatus {
		t.Helper()
		s, err := mfa.StatusOfSweep(t.Context(), w.Store, w.Clock.Now().Add(after))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if got := status(0); got != (mfa.SweepStatus{}) {
		t.Errorf("before its first run: got %+v", got)
	}
	w.Clock.Advance(20 * time.Minute)
	sweep(t, w)
	hour := w.Clock.Now().Truncate(time.Hour)
	for after, want := range map[time.Duration]mfa.SweepStatus{
		-20*time.Minute - time.Nanosecond: {Hour: hour, Ahead: true},
		-20 * time.Minute:                 {Hour: hour},
		0:                                 {Hour: hour},
		70*time.Minute - time.Nanosecond:  {Hour: hour},
		70 * time.Minute:                  {Hour: hour, Late: true},
	} {
		if got := status(after); got != want {
			t.Errorf("%v after the run: got %+v, want %+v", after, got, want)
		}
	}
}

func TestTheStatusOfTheSweepIsUnreadableWhereTheSweepItselfFails(t *testing.T) {
	w := mfatest.New(t)
	sweep(t, w)
	at := store.Key{Partition: "sweep", Sort: "mark"}
	item, err := store.GetOne(t.Context(), w.Store, at)
	if err != nil {
		t.Fatal(err)
	}
	w.Faults.Inject(fault.Get, 1, fault.Fail(nil))
	if _, err := mfa.StatusOfSweep(t.Context(), w.Store, w.Clock.Now()); !errors.Is(err, fault.Err) || errors.Is(err, record.ErrUnreadable) {
		t.Errorf("with the store away: got %v", err)
	}
	for _, body := range []string{"x", string(laterFormat(item.Body))} {
		token := store.NewVersion()
		if err := w.Store.Commit(t.Context(), token, store.Write{Key: at, Expect: item.Version, Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
		item.Version = token
		if _, err := mfa.StatusOfSweep(t.Context(), w.Store, w.Clock.Now()); !errors.Is(err, record.ErrUnreadable) {
			t.Errorf("%q: got %v, want ErrUnreadable", body, err)
		}
		if _, err := w.Sweep(t.Context()); !errors.Is(err, record.ErrUnreadable) {
			t.Errorf("%q: the sweep runs with %v, want ErrUnreadable", body, err)
		}
	}
}
