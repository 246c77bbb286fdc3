package mfa_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// from returns the start of ana's sign-in in a browser that holds a known token.
func from(known seal.Secret) mfa.StartRequest {
	q := ana()
	q.KnownToken = known
	return q
}

// knows makes a world in which ana has an app, and her browser holds a known token.
func knows(t *testing.T, change func(*mfa.Policy)) (*mfatest.World, *mfatest.Authenticator, seal.Secret) {
	t.Helper()
	w, a, _ := withApp(t, change)
	return w, a, answerIn(t, w, a, seal.Secret{})
}

// answerIn lets ana sign in with her app in a browser that holds the token, and returns the known token of the answer.
func answerIn(t *testing.T, w *mfatest.World, a *mfatest.Authenticator, token seal.Secret) seal.Secret {
	t.Helper()
	answer, err := verify(t, w, started(t, w, from(token)).ID, w.Code(a), false)
	if err != nil {
		t.Fatal(err)
	}
	if answer.KnownToken == nil {
		t.Fatal("the verify gave no known token")
	}
	w.Clock.Advance(mfatest.Step)
	return *answer.KnownToken
}

// guess answers with wrong codes in the browser of q until codes are locked there, and returns how many it gave.
func guess(t *testing.T, w *mfatest.World, a *mfatest.Authenticator, q mfa.StartRequest) (n int) {
	t.Helper()
	for n < 100 {
		answer, err := w.StartChallenge(t.Context(), w.Client, q)
		if err != nil {
			wantCode(t, err, mfa.Locked)
			return n
		}
		if len(answer.Challenge.Methods) == 0 {
			return n
		}
		for {
			_, err := verify(t, w, answer.Challenge.ID, mfatest.Wrong(w.Code(a)), false)
			if code := mfa.AsError(err).Code; code != mfa.WrongCode {
				break
			}
			n++
		}
	}
	return n
}

// locked reports whether codes are locked in the browser of q.
func locked(t *testing.T, w *mfatest.World, q mfa.StartRequest) bool {
	t.Helper()
	answer, err := w.StartChallenge(t.Context(), w.Client, q)
	if err != nil {
		wantCode(t, err, mfa.Locked)
		return true
	}
	return len(answer.Challenge.Methods) == 0
}

func noRecovery(p *mfa.Policy) { p.Recovery.Count = 0 }

func TestAStrangerWithThePasswordAndTwentyGuessesDoesNotKeepTheOwnerOutOfAKnownBrowser(t *testing.T) {
	for name, change := range map[string]func(*mfa.Policy){
		"with trust": noRecovery, "without": func(p *mfa.Policy) { noRecovery(p); p.Trust.Days = 0 },
	} {
		w, a, token := knows(t, change)
		n := guess(t, w, a, ana())
		w.Clock.Advance(15 * time.Minute)
		if n += guess(t, w, a, ana()); n != 20 {
			t.Errorf("%s: got %d guesses, want 20", name, n)
		}
		if !locked(t, w, ana()) {
			t.Errorf("%s: after %d guesses the stranger isn't locked out", name, n)
		}
		answerIn(t, w, a, token)
		_, err := w.StartChallenge(t.Context(), w.Client, ana())
		if e := wantCode(t, err, mfa.Locked); e.RetryAfter < 20*time.Hour {
			t.Errorf("%s: after the owner's right answer: got a wait of %v, want the stranger kept out as before", name, e.RetryAfter)
		}
	}
}

func TestG1TheGuessesOfBothBudgetsInADayAreBounded(t *testing.T) {
	w, a, token := knows(t, noRecovery)
	begun := w.Clock.Now()
	n := 0
	for w.Clock.Now().Sub(begun) < 24*time.Hour-30*time.Minute {
		n += guess(t, w, a, ana()) + guess(t, w, a, from(token))
		w.Clock.Advance(13 * time.Minute)
	}
	if n != 40 {
		t.Errorf("got %d guesses in a day, want 20 of each budget", n)
	}
	if got := len(events(t, w, mfa.ChallengeFailed)); got != n {
		t.Errorf("got %d wrong answers recorded, want %d", got, n)
	}
}

func TestG2TheGuessesOfBothBudgetsAtOnceAreBounded(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		w.SetPolicy(t, org, "default", func(p *mfa.Policy) { manyAttempts(p); noRecovery(p) })
		a, _ := w.EnrolTOTP(t, w.Fresh(), org, ana().User)
		w.Clock.Advance(mfatest.Step)
		token := answerIn(t, w, a, seal.Secret{})
		services := twice(w)
		ids := [2][2]string{}
		for i, q := range []mfa.StartRequest{ana(), from(token)} {
			ids[i] = [2]string{started(t, w, q).ID, started(t, w, q).ID}
		}
		wrong := mfatest.Wrong(w.Code(a))
		guess := func(i int) error {
			_, err := services[i%2].Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ids[i/2%2][i/4%2], Answer: mfa.Answer{Code: wrong}})
			return err
		}
		var c tally
		atOnce(64, func(i int) { c.add(guess(i)) })
		c.wantOnly(t, mfa.WrongCode, mfa.ChallengeInvalid, mfa.Locked, mfa.Busy)
		for i := range 64 { // calls that were answered with busy may be made again
			guess(i)
		}
		if got := len(events(t, w, mfa.ChallengeFailed)); got != 20 {
			t.Errorf("got %d guesses looked at, want 10 of each budget", got)
		}
		if got := len(events(t, w, mfa.ChallengeLocked)); got != 2 {
			t.Errorf("got %d locks recorded, want 2", got)
		}
	})
}

func TestAHundredWrongAnswersInARowLockBothBudgetsWhereverTheyCame(t *testing.T) {
	w, a, token := knows(t, noRecovery)
	n := 0
	for i := 0; n < 100; i++ {
		n += guess(t, w, a, []mfa.StartRequest{ana(), from(token)}[i%2])
		w.Clock.Advance(12 * time.Hour)
	}
	w.Clock.Advance(24 * time.Hour)
	for _, q := range []mfa.StartRequest{ana(), from(token)} {
		_, err := w.StartChallenge(t.Context(), w.Client, q)
		if e := wantCode(t, err, mfa.Locked); e.RetryAfter != 0 {
			t.Errorf("after %d: got a wait of %v, want a lock without an end", n, e.RetryAfter)
		}
	}
	all := events(t, w, mfa.ChallengeLocked)
	if last := all[len(all)-1]; n != 100 || last.Data["browsers"] != "all" {
		t.Errorf("after %d: got %+v, want all browsers locked after 100", n, last)
	}
	unlock(t, w)
	if locked(t, w, ana()) || locked(t, w, from(token)) {
		t.Error("an administrator's unlock ended not both")
	}
}

// A right answer in a known browser ends the row of wrong answers, but not the lock of other browsers.
func TestALockOfKnownBrowsersIsNoneOfOthers(t *testing.T) {
	w, a, token := knows(t, noRecovery)
	guess(t, w, a, from(token))
	if !locked(t, w, from(token)) || locked(t, w, ana()) {
		t.Fatal("want known browsers locked, and no others")
	}
	if u := shown(t, w); u.Status != mfa.Protected || u.LockedUntil != nil {
		t.Errorf("got %+v, want an account whose status is that of other browsers", u)
	}
	if answer, err := w.Decide(t.Context(), w.Client, from(token)); mfa.AsError(err).Code != mfa.Locked {
		t.Errorf("a decision: got %+v, %v, want locked", answer, err)
	}
	answerIn(t, w, a, seal.Secret{})
	if !locked(t, w, from(token)) {
		t.Error("a right answer in another browser ended the lock of known ones")
	}
	guess(t, w, a, ana())
	if u := shown(t, w); u.Status != mfa.StatusLocked || u.LockedUntil == nil {
		t.Errorf("got %+v, want locked", u)
	}
	said := []any{}
	for _, e := range events(t, w, mfa.ChallengeLocked) {
		said = append(said, e.Data["browsers"])
	}
	if !slices.Equal(said, []any{"known", "other"}) {
		t.Errorf("the events say %v, want known and other", said)
	}
	for text, want := range map[string]int{"This holds in browsers where you have": 1, "This does not hold in browsers where you have": 1} {
		if n := len(slices.DeleteFunc(w.Outbox.To(mail), func(m message.Message) bool { return !strings.Contains(m.Text, text) })); n != want {
			t.Errorf("%d messages say %q, want %d", n, text, want)
		}
	}
}

func TestAnAdministratorEndsALockOfKnownBrowsersToo(t *testing.T) {
	w, a, token := knows(t, noRecovery)
	guess(t, w, a, from(token))
	unlock(t, w)
	if locked(t, w, from(token)) {
		t.Error("the known browser is locked still")
	}
}

// The attempts left and the length of the next lock depend on the budget in which the answer counts.
func TestARightAnswerEndsWhatItsOwnBudgetHasComeTo(t *testing.T) {
	w, a, token := knows(t, func(p *mfa.Policy) { manyAttempts(p); noRecovery(p) })
	ch := started(t, w, from(token))
	guess(t, w, a, ana())
	_, err := verify(t, w, ch.ID, mfatest.Wrong(w.Code(a)), false)
	if left := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; left != 9 {
		t.Errorf("beside a stranger's lock: got %d attempts left, want 9", left)
	}
	guess(t, w, a, from(token))
	w.Clock.Advance(15 * time.Minute)
	answerIn(t, w, a, token)
	w.Clock.Advance(24 * time.Hour)
	for wait, q := range map[time.Duration]mfa.StartRequest{15 * time.Minute: from(token), 30 * time.Minute: ana()} {
		guess(t, w, a, q)
		_, err := w.StartChallenge(t.Context(), w.Client, q)
		if got := wantCode(t, err, mfa.Locked).RetryAfter; got != wait {
			t.Errorf("the second lock: got a wait of %v, want %v", got, wait)
		}
	}
}

func TestRecoveryCodesHaveTwoBudgetsToo(t *testing.T) {
	w, a, done := withApp(t, nil)
	token := answerIn(t, w, a, seal.Secret{})
	recoverBy := func(q mfa.StartRequest, code seal.Secret) error {
		_, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: started(t, w, q).ID, Code: code})
		return err
	}
	for range 5 {
		wantCode(t, recoverBy(ana(), mfatest.NoRecoveryCode()), mfa.WrongCode)
	}
	wantCode(t, recoverBy(ana(), done.RecoveryCodes[0]), mfa.Locked)
	if ch := started(t, w, from(token)); !ch.Recovery || started(t, w, ana()).Recovery {
		t.Error("want recovery codes possible in the known browser alone")
	}
	for left := 4; left >= 3; left-- {
		if got := *wantCode(t, recoverBy(from(token), mfatest.NoRecoveryCode()), mfa.WrongCode).AttemptsLeft; got != left {
			t.Errorf("in the known browser: got %d attempts left, want %d", got, left)
		}
	}

	// A right recovery code lifts locks of its own budget only. The second lock lasts longer than its window.
	guess(t, w, a, ana())
	guess(t, w, a, from(token))
	w.Clock.Advance(24 * time.Hour)
	for range 5 {
		wantCode(t, recoverBy(ana(), mfatest.NoRecoveryCode()), mfa.WrongCode)
	}
	guess(t, w, a, ana())
	guess(t, w, a, from(token))
	w.Clock.Advance(16 * time.Minute)
	if ch := started(t, w, from(token)); len(ch.Methods) > 0 {
		t.Fatal("the known browser's second lock is over too early")
	}
	if err := recoverBy(from(token), done.RecoveryCodes[0]); err != nil {
		t.Fatal(err)
	}
	if ch := started(t, w, from(token)); len(ch.Methods) == 0 {
		t.Error("a right recovery code lifted no lock of codes in its own budget")
	}
	_, err := w.StartChallenge(t.Context(), w.Client, ana())
	wantCode(t, err, mfa.Locked)
}

func TestWhatIsTriedInAnEnrolmentCountsWhereItsChallengeWasBegun(t *testing.T) {
	w, a, token := knows(t, nil)
	if err := w.RemoveFactor(t.Context(), stepUp(t, w, a), org, user, a.Factor); err != nil {
		t.Fatal(err)
	}
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { manyAttempts(p); p.Require = mfa.Everyone })
	_, call := mustEnrol(t, w, from(token))
	proving(t, w, call)
	code := w.Outbox.Code(t, mail)
	for range 4 {
		_, err := w.ProveAddress(t.Context(), call, mfa.ProveRequest{Code: mfatest.Wrong(code)})
		wantCode(t, err, mfa.WrongCode)
	}
	if _, err := w.ProveAddress(t.Context(), call, mfa.ProveRequest{Code: code}); err != nil {
		t.Fatal(err)
	}
	begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
	if err != nil {
		t.Fatal(err)
	}
	app := typed(t, begun)
	for range 6 {
		_, err := finish(t, w, call, begun.ID, mfatest.Wrong(w.Code(app)))
		wantCode(t, err, mfa.WrongCode)
	}
	_, err = finish(t, w, call, begun.ID, w.Code(app))
	if wantCode(t, err, mfa.Locked); shown(t, w).Status == mfa.StatusLocked {
		t.Error("ten wrong answers in a known browser locked others, too")
	}

	// A call with an API key doesn't come from a browser, so it counts in the budget of unknown browsers.
	other := begin(t, w, w.Fresh(), mfa.TOTP)
	app = typed(t, other)
	for left := 9; left >= 0; left-- {
		_, err := finish(t, w, w.Client, other.ID, mfatest.Wrong(w.Code(app)))
		if got := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; got != left {
			t.Errorf("by a key: got %d attempts left, want %d", got, left)
		}
	}
	if shown(t, w).Status != mfa.StatusLocked {
		t.Error("ten wrong answers with an API key lock no browser")
	}
}

func TestAKnownTokenSparesNoQuestionAndDecidesNothingElse(t *testing.T) {
	w, _, token := knows(t, nil)
	for _, q := range []mfa.StartRequest{ana(), from(token)} {
		if ch := started(t, w, q); len(ch.Methods) != 1 || !ch.Recovery {
			t.Errorf("got %+v, want the same question", ch)
		}
	}
	wantReason(t, w, token, mfa.NewBrowser) // a known token isn't a trust token
}
