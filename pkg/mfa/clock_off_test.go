package mfa_test

import (
	"context"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store/fault"
)

func TestAFirstCodeOfAClockThatIsOffIsWrongAndSaysByHowMuch(t *testing.T) {
	for _, skew := range []int{0, 1} {
		for _, steps := range []int{-21, -20, -7, -2, -1, 1, 2, 7, 20, 21} {
			w := mfatest.New(t)
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.TOTP.Skew = skew })
			w.Clock.Advance(time.Hour)
			begun := begin(t, w, w.Fresh(), mfa.TOTP)
			a := appOf(t, begun)
			off := time.Duration(steps) * mfatest.Step
			code := a.Code(w.Clock.Now().Add(off))
			if good := max(steps, -steps) <= skew; good {
				if _, err := finish(t, w, w.Client, begun.ID, code); err != nil {
					t.Errorf("skew %d, %d steps off: %v", skew, steps, err)
				}
				continue
			}
			if max(steps, -steps) > 20 {
				off = 0
			}
			_, err := finish(t, w, w.Client, begun.ID, code)
			got := wantCode(t, err, mfa.WrongCode)
			if got.ClockOff != off || *got.AttemptsLeft != 4 {
				t.Errorf("skew %d, %d steps off: got %v and %d left, want %v and 4", skew, steps, got.ClockOff, *got.AttemptsLeft, off)
			}
			if u := shown(t, w); len(u.Factors) != 0 || u.Enabled {
				t.Errorf("skew %d, %d steps off: got %+v, want no factor", skew, steps, u)
			}
			if _, err := finish(t, w, w.Client, begun.ID, w.Code(a)); err != nil {
				t.Errorf("skew %d, %d steps off, then set right: %v", skew, steps, err)
			}
		}
	}
}

func TestACodeOfNoMomentAroundSaysNothingOfAClock(t *testing.T) {
	w := mfatest.New(t)
	begun := begin(t, w, w.Fresh(), mfa.TOTP)
	a := appOf(t, begun)
	other := appOf(t, begin(t, w, w.Fresh(), mfa.TOTP)) // has another secret, and its beginning ends the enrolment before it
	_, err := finish(t, w, w.Client, begun.ID, a.Code(w.Clock.Now().Add(5*time.Minute)))
	if got := wantCode(t, err, mfa.EnrolmentInvalid); got.ClockOff != 0 {
		t.Errorf("over: got %v", got.ClockOff)
	}
	begun = begin(t, w, w.Fresh(), mfa.TOTP)
	_, err = finish(t, w, w.Client, begun.ID, other.Code(w.Clock.Now().Add(5*time.Minute)))
	if got := wantCode(t, err, mfa.WrongCode); got.ClockOff != 0 {
		t.Errorf("another secret: got %v", got.ClockOff)
	}
}

func TestAnEnrolmentThatIsOverSaysNothingOfAClock(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Challenge.Attempts = 3 })
	begun := begin(t, w, w.Fresh(), mfa.TOTP)
	ahead := func() seal.Secret { return appOf(t, begun).Code(w.Clock.Now().Add(5 * time.Minute)) }
	for range 3 {
		_, err := finish(t, w, w.Client, begun.ID, ahead())
		if got := wantCode(t, err, mfa.WrongCode); got.ClockOff != 5*time.Minute {
			t.Errorf("got %v, want 5 minutes", got.ClockOff)
		}
	}
	_, err := finish(t, w, w.Client, begun.ID, ahead())
	if got := wantCode(t, err, mfa.EnrolmentInvalid); got.ClockOff != 0 {
		t.Errorf("its attempts spent: got %v", got.ClockOff)
	}
	begun = begin(t, w, w.Fresh(), mfa.TOTP)
	w.Clock.Advance(10 * time.Minute)
	_, err = finish(t, w, w.Client, begun.ID, ahead())
	if got := wantCode(t, err, mfa.EnrolmentInvalid); got.ClockOff != 0 {
		t.Errorf("its time over: got %v", got.ClockOff)
	}
}

func TestASignInOrStepUpNeverSaysHowFarAClockIsOff(t *testing.T) {
	for _, purpose := range []string{mfa.SignIn, mfa.StepUp} {
		w, a, _ := withApp(t, nil)
		w.Clock.Advance(time.Hour)
		q := ana()
		q.Purpose = purpose
		ch := started(t, w, q)
		for _, off := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
			_, err := verify(t, w, ch.ID, a.Code(w.Clock.Now().Add(off)), false)
			if got := wantCode(t, err, mfa.WrongCode); got.ClockOff != 0 {
				t.Errorf("%s, %v off: got %v, want nothing of a clock", purpose, off, got.ClockOff)
			}
		}
	}
}

func TestAMailedCodeSaysNothingOfAClock(t *testing.T) {
	w := mfatest.New(t)
	begun := begin(t, w, w.Fresh(), mfa.Email)
	_, err := finish(t, w, w.Client, begun.ID, mfatest.Wrong(w.Outbox.Code(t, mail)))
	if got := wantCode(t, err, mfa.WrongCode); got.ClockOff != 0 {
		t.Errorf("got %v, want nothing of a clock", got.ClockOff)
	}
}

func TestARetryWhoseAnswerWasLostSaysHowFarTheClockIsOff(t *testing.T) {
	w := mfatest.New(t)
	begun := begin(t, w, w.Fresh(), mfa.TOTP)
	code := appOf(t, begun).Code(w.Clock.Now().Add(-5 * time.Minute))
	w.Faults.Inject(fault.Commit, 1, fault.Fault{After: func(context.Context) error {
		put(t, w, mfa.Person{ID: user, Name: mfa.Some("Anna")}) // another write, so that the store no longer shows that the commit took effect
		return fault.Err
	}})
	_, err := finish(t, w, w.Client, begun.ID, code)
	if got := wantCode(t, err, mfa.WrongCode); got.ClockOff != -5*time.Minute || *got.AttemptsLeft != 4 {
		t.Errorf("got %v and %d left, want 5 minutes behind and 4", got.ClockOff, *got.AttemptsLeft)
	}
}
