package mfa_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// kls makes a world in which org has the policy of the profile kls, as changed by change unless it is nil.
func kls(t *testing.T, change func(*mfa.Policy)) *mfatest.World {
	t.Helper()
	w := mfatest.New(t)
	w.SetPolicy(t, org, "kls", change)
	return w
}

// manyAttempts makes a user reach the limits of the user before those of a challenge.
func manyAttempts(p *mfa.Policy) { p.Challenge.Attempts = 10 }

// wrongs answers a challenge with n wrong codes, and fails the test unless each of them is refused as wrong.
func wrongs(t *testing.T, w *mfatest.World, id string, n int) {
	t.Helper()
	for range n {
		_, err := verify(t, w, id, mfatest.Wrong(w.Outbox.Code(t, mail)), false)
		wantCode(t, err, mfa.WrongCode)
	}
}

// lock answers as many challenges with wrong codes as it takes until ana is locked, and returns how many answers were wrong.
func lock(t *testing.T, w *mfatest.World) (n int) {
	t.Helper()
	for n < 200 {
		answer, err := w.StartChallenge(t.Context(), w.Client, ana())
		if err != nil {
			wantCode(t, err, mfa.Locked)
			return n
		}
		for left := 1; left > 0; n++ {
			_, err := verify(t, w, answer.Challenge.ID, mfatest.Wrong(w.Outbox.Code(t, mail)), false)
			left = *wantCode(t, err, mfa.WrongCode).AttemptsLeft
		}
	}
	t.Fatalf("%d answers were wrong, and no lock came", n)
	return n
}

// wait returns how long a locked user has to wait.
func wait(t *testing.T, w *mfatest.World) time.Duration {
	t.Helper()
	_, err := w.StartChallenge(t.Context(), w.Client, ana())
	return wantCode(t, err, mfa.Locked).RetryAfter
}

func send(t *testing.T, w *mfatest.World, id string) (mfa.SendAnswer, error) {
	t.Helper()
	return w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: id})
}

// events returns all events of one type so far.
func events(t *testing.T, w *mfatest.World, kind string) []activity.Event {
	t.Helper()
	w.Drain(t)
	return slices.DeleteFunc(w.Events.All(), func(e activity.Event) bool { return e.Type != kind })
}

func TestTheLastWrongAnswerFailsTheChallenge(t *testing.T) {
	for _, attempts := range []int{3, 5, 10} {
		w := kls(t, func(p *mfa.Policy) { p.Challenge.Attempts = attempts })
		ch := started(t, w, ana())
		code := w.Outbox.Code(t, mail)
		for left := attempts - 1; left >= 0; left-- {
			_, err := verify(t, w, ch.ID, mfatest.Wrong(code), false)
			if got := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; got != left {
				t.Errorf("of %d attempts: got %d left, want %d", attempts, got, left)
			}
		}
		_, err := verify(t, w, ch.ID, code, false)
		wantCode(t, err, mfa.ChallengeInvalid)
		_, err = send(t, w, ch.ID)
		wantCode(t, err, mfa.ChallengeInvalid)
		if state, err := w.LookAtChallenge(t.Context(), w.Client, ch.ID); err != nil || state.State != "failed" {
			t.Errorf("got %+v, %v, want failed", state, err)
		}
	}
}

func TestTenWrongAnswersOverSeveralChallengesLock(t *testing.T) {
	w := kls(t, nil)
	first := started(t, w, ana())
	wrongs(t, w, first.ID, 5)
	w.Clock.Advance(time.Minute)
	second := started(t, w, ana())
	wrongs(t, w, second.ID, 4)
	third := started(t, w, ana())
	code := w.Outbox.Code(t, mail)
	_, err := verify(t, w, third.ID, mfatest.Wrong(code), false)
	if left := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; left != 0 {
		t.Errorf("the tenth wrong answer: got %d attempts left, want 0", left)
	}
	for _, id := range []string{second.ID, third.ID} {
		_, err = verify(t, w, id, code, false)
		if e := wantCode(t, err, mfa.Locked); e.RetryAfter != 15*time.Minute {
			t.Errorf("got a wait of %v, want 15 minutes", e.RetryAfter)
		}
		_, err = send(t, w, id)
		wantCode(t, err, mfa.Locked)
	}
	_, err = w.Decide(t.Context(), w.Client, ana())
	wantCode(t, err, mfa.Locked)
	u, err := w.GetUser(t.Context(), w.Client, org, user)
	if err != nil || u.Status != mfa.StatusLocked || u.LockedUntil == nil || !u.LockedUntil.Equal(w.Clock.Now().Add(15*time.Minute)) {
		t.Errorf("got %+v, %v, want locked for 15 minutes", u, err)
	}
	if got := len(events(t, w, mfa.ChallengeFailed)); got != 10 {
		t.Errorf("got %d wrong answers recorded, want 10", got)
	}
	if got := len(events(t, w, mfa.ChallengeLocked)); got != 1 {
		t.Errorf("got %d locks recorded, want 1", got)
	}
}

func TestALockEndsToTheSecond(t *testing.T) {
	w := kls(t, nil)
	if n := lock(t, w); n != 10 {
		t.Fatalf("got a lock after %d wrong answers, want 10", n)
	}
	w.Clock.Advance(15*time.Minute - time.Second)
	if got := wait(t, w); got != time.Second {
		t.Errorf("got a wait of %v, want 1s", got)
	}
	w.Clock.Advance(time.Second)
	ch := started(t, w, ana())
	if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

func TestAWrongAnswerLeavesItsWindowAfterFifteenMinutes(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		left  int
	}{{15*time.Minute - time.Second, 0}, {15 * time.Minute, 9}} {
		w := kls(t, manyAttempts)
		wrongs(t, w, started(t, w, ana()).ID, 9)
		w.Clock.Advance(c.after)
		_, err := verify(t, w, started(t, w, ana()).ID, mfatest.Wrong(w.Outbox.Code(t, mail)), false)
		if got := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; got != c.left {
			t.Errorf("%v later: got %d attempts left, want %d", c.after, got, c.left)
		}
	}
}

func TestEachLockWaitsTwiceAsLongUntilARightAnswer(t *testing.T) {
	w := kls(t, nil)
	for i, want := range []time.Duration{15, 30, 60, 120, 240, 480, 960, 1440, 1440} {
		if n := lock(t, w); n != 10 {
			t.Fatalf("lock %d came after %d wrong answers, want 10", i+1, n)
		}
		if got := wait(t, w); got != want*time.Minute {
			t.Errorf("lock %d: got a wait of %v, want %v", i+1, got, want*time.Minute)
		}
		w.Clock.Advance(48 * time.Hour)
	}
	if _, err := verify(t, w, started(t, w, ana()).ID, w.Outbox.Code(t, mail), false); err != nil {
		t.Fatal(err)
	}
	lock(t, w)
	if got := wait(t, w); got != 15*time.Minute {
		t.Errorf("after a right answer: got a wait of %v, want 15 minutes", got)
	}
}

func TestTwentyWrongAnswersInADayLockUntilTheFirstIsADayOld(t *testing.T) {
	w := kls(t, manyAttempts)
	for range 2 {
		wrongs(t, w, started(t, w, ana()).ID, 9)
		w.Clock.Advance(15 * time.Minute)
	}
	ch := started(t, w, ana())
	wrongs(t, w, ch.ID, 1)
	_, err := verify(t, w, ch.ID, mfatest.Wrong(w.Outbox.Code(t, mail)), false)
	if left := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; left != 0 {
		t.Errorf("the twentieth wrong answer: got %d attempts left, want 0", left)
	}
	if got, want := wait(t, w), 24*time.Hour-30*time.Minute; got != want {
		t.Errorf("got a wait of %v, want %v", got, want)
	}
	w.Clock.Advance(24*time.Hour - 30*time.Minute - time.Second)
	wait(t, w)
	w.Clock.Advance(time.Second)
	started(t, w, ana())
}

func TestWrongAnswersOfTheDayBeforeAreForgotten(t *testing.T) {
	w := kls(t, manyAttempts)
	for range 2 {
		wrongs(t, w, started(t, w, ana()).ID, 9)
		w.Clock.Advance(15 * time.Minute)
	}
	w.Clock.Advance(24*time.Hour - 30*time.Minute)
	_, err := verify(t, w, started(t, w, ana()).ID, mfatest.Wrong(w.Outbox.Code(t, mail)), false)
	if left := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; left != 9 {
		t.Errorf("got %d attempts left, want 9", left)
	}
}

func TestAHundredWrongAnswersInARowLockWithoutAnEnd(t *testing.T) {
	w := kls(t, nil)
	for range 10 {
		lock(t, w)
		w.Clock.Advance(48 * time.Hour)
	}
	if got := len(events(t, w, mfa.ChallengeFailed)); got != 100 {
		t.Fatalf("got %d wrong answers, want 100", got)
	}
	for range 3 {
		if got := wait(t, w); got != 0 {
			t.Errorf("got a wait of %v, want none said", got)
		}
		w.Clock.Advance(400 * 24 * time.Hour)
	}
	if u, err := w.GetUser(t.Context(), w.Client, org, user); err != nil || u.Status != mfa.StatusLocked || u.LockedUntil.Year() != 9999 {
		t.Errorf("got %+v, %v, want locked for good", u, err)
	}
}

func TestARightAnswerEndsTheRowOfWrongOnes(t *testing.T) {
	w := kls(t, nil)
	for range 9 {
		lock(t, w)
		w.Clock.Advance(48 * time.Hour)
	}
	ch := started(t, w, ana())
	wrongs(t, w, ch.ID, 4)
	if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(48 * time.Hour)
	lock(t, w)
	if got := wait(t, w); got != 15*time.Minute {
		t.Errorf("got a wait of %v, want 15 minutes", got)
	}
}

func TestARightAnswerDoesNotEmptyTheWindows(t *testing.T) {
	w := kls(t, manyAttempts)
	ch := started(t, w, ana())
	wrongs(t, w, ch.ID, 9)
	if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
		t.Fatal(err)
	}
	wrongs(t, w, started(t, w, ana()).ID, 1)
	wait(t, w)
}

func TestR2AMalformedCodeIsNeitherComparedNorCounted(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	code := w.Outbox.Code(t, mail).Reveal()
	var fullWidth, arabic string
	for _, d := range code {
		fullWidth += string('０' + d - '0')
		arabic += string('٠' + d - '0')
	}
	for _, bad := range []string{
		"", " ", code[:5], code + "0", " " + code, code + " ", code + "\n", "\t" + code, "\u2003" + code, code + "\u00a0",
		code[:3] + " " + code[3:], code[:3] + "-" + code[3:], fullWidth, arabic, "abcdef", "+" + code[:5], "-" + code[:5],
		" " + code[:5], code[:5] + "\n", code[:5] + "\x00", code[:5] + "/", code[:5] + ":", "０１", "١٢٣", "null", "true", "1e1000",
	} {
		_, err := verify(t, w, ch.ID, seal.NewSecret(bad), false)
		if e := wantCode(t, err, mfa.InvalidRequest); e.Param != "code" {
			t.Errorf("%q: got param %q, want code", bad, e.Param)
		}
	}
	_, err := verify(t, w, ch.ID, mfatest.Wrong(seal.NewSecret(code)), false)
	if left := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; left != 4 {
		t.Errorf("got %d attempts left, want 4", left)
	}
	if _, err := verify(t, w, ch.ID, seal.NewSecret(code), false); err != nil {
		t.Error(err)
	}
}

func TestG1FiftyChallengesShareOneCount(t *testing.T) {
	for _, parallel := range []bool{false, true} {
		w := kls(t, nil)
		ids := []string{}
		for range 50 {
			ids = append(ids, started(t, w, ana()).ID)
		}
		wrong := mfatest.Wrong(w.Outbox.Code(t, mail))
		var heard sync.Map
		var all sync.WaitGroup
		for _, id := range ids {
			for range 5 {
				answer := func() {
					_, err := verify(t, w, id, wrong, false)
					heard.Store(mfa.AsError(err).Code, true)
				}
				if parallel {
					all.Go(answer)
				} else {
					answer()
				}
			}
		}
		all.Wait()
		for _, code := range []mfa.ErrorCode{mfa.WrongCode, mfa.Locked, mfa.ChallengeInvalid, mfa.Busy} {
			heard.Delete(code)
		}
		heard.Range(func(code, _ any) bool { t.Errorf("somebody heard %v", code); return true })
		if got := len(events(t, w, mfa.ChallengeFailed)); got > 10 || !parallel && got != 10 {
			t.Errorf("in parallel %v: got %d guesses looked at, want 10", parallel, got)
		}
		if parallel {
			lock(t, w) // gives the guesses that are left after many calls got the answer busy
		}
		if got := len(events(t, w, mfa.ChallengeFailed)); got != 10 {
			t.Errorf("in parallel %v: got %d guesses looked at before the lock, want 10", parallel, got)
		}
		_, err := verify(t, w, ids[9], w.Outbox.Code(t, mail), false)
		wantCode(t, err, mfa.Locked)
		if got := len(events(t, w, mfa.ChallengeLocked)); got != 1 {
			t.Errorf("got %d locks recorded, want 1", got)
		}
	}
}

func TestG6AndG8StartingAgainDoesNotResetTheCount(t *testing.T) {
	w := kls(t, nil)
	for i := range 10 {
		q := ana()
		q.Context.IP = []string{"203.0.113.9", "198.51.100.7", "2001:db8::1"}[i%3]
		now := w.Clock.Now()
		q.FirstFactor.At = &now
		ch := started(t, w, q)
		_, err := verify(t, w, ch.ID, mfatest.Wrong(w.Outbox.Code(t, mail)), false)
		if got, want := *wantCode(t, err, mfa.WrongCode).AttemptsLeft, min(4, 9-i); got != want {
			t.Errorf("wrong answer %d: got %d attempts left, want %d", i+1, got, want)
		}
	}
	wait(t, w)
}

func TestG7AResendDoesNotResetTheCount(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	wrongs(t, w, ch.ID, 3)
	w.Clock.Advance(30 * time.Second)
	if _, err := send(t, w, ch.ID); err != nil {
		t.Fatal(err)
	}
	code := w.Outbox.Code(t, mail)
	for left := 1; left >= 0; left-- {
		_, err := verify(t, w, ch.ID, mfatest.Wrong(code), false)
		if got := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; got != left {
			t.Errorf("got %d attempts left, want %d", got, left)
		}
	}
	_, err := verify(t, w, ch.ID, code, false)
	wantCode(t, err, mfa.ChallengeInvalid)
	if got := len(events(t, w, mfa.ChallengeFailed)); got != 5 {
		t.Errorf("got %d wrong answers, want 5", got)
	}
}

func TestG9OneUserIsOneCountHoweverCalled(t *testing.T) {
	w := kls(t, nil)
	other := w.NewClient(t, apikey.Grant{Client: "portal", Scopes: apikey.Scopes()})
	addresses := []string{mail, "ANA@acme.example", "ana@other.example", "ana+1@acme.example", mail}
	for i, address := range addresses {
		q := ana()
		q.User.Email = mfa.Some(address)
		q.User.Name, q.User.Phone = mfa.Some([]string{"Ana", "Anna"}[i%2]), mfa.Some([]string{"+33612345678", "+33687654321"}[i%2])
		call := []mfa.Call{w.Client, other}[i%2]
		answer, err := w.StartChallenge(t.Context(), call, q)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, err = w.Verify(t.Context(), call, mfa.VerifyRequest{
				Challenge: answer.Challenge.ID, Factor: *answer.Challenge.Default, Answer: mfa.Answer{Code: mfatest.Wrong(w.Outbox.Code(t, address))},
			})
			wantCode(t, err, mfa.WrongCode)
		}
	}
	wait(t, w)
	q := ana()
	q.User.ID = "U-17"
	started(t, w, q) // ids are opaque, so this is another user
}

func TestG11AChallengeBegunBeforeTheLockIsRefusedDuringIt(t *testing.T) {
	w := kls(t, nil)
	before := started(t, w, ana())
	code := w.Outbox.Code(t, mail)
	lock(t, w)
	_, err := verify(t, w, before.ID, code, false)
	wantCode(t, err, mfa.Locked)
	w.Clock.Advance(14 * time.Minute)
	_, err = w.Verify(t.Context(), mfa.Call{Bearer: before.Token.Reveal()}, mfa.VerifyRequest{Challenge: before.ID, Answer: mfa.Answer{Code: code}})
	wantCode(t, err, mfa.Locked)
}

func TestAStepUpOfALockedUserIsRefusedToo(t *testing.T) {
	w := kls(t, nil)
	lock(t, w)
	q := ana()
	q.Purpose = mfa.StepUp
	_, err := w.StartChallenge(t.Context(), w.Client, q)
	wantCode(t, err, mfa.Locked)
}
