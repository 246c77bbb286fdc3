package mfa_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// recovering begins a sign-in for ana and answers it with a recovery code.
func recovering(t *testing.T, w *mfatest.World, code seal.Secret) (mfa.RecoverAnswer, error) {
	t.Helper()
	return w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: started(t, w, ana()).ID, Code: code})
}

// wrongRecovery returns a well-formed recovery code that no user has.
func wrongRecovery() seal.Secret { return seal.NewSecret("0000-0000-0000-0000-0000-0000") }

// wrongRecoveries answers a challenge with n wrong recovery codes, and fails the test unless each of them is refused as
// wrong.
func wrongRecoveries(t *testing.T, w *mfatest.World, id string, n int) (left int) {
	t.Helper()
	for range n {
		_, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: id, Code: wrongRecovery()})
		left = *wantCode(t, err, mfa.WrongCode).AttemptsLeft
	}
	return left
}

func TestC4ARecoveryCodeSignsInOnceAndResetsNothing(t *testing.T) {
	w, a, done := withApp(t, nil)
	token := trustedBy(t, w, a)
	proven := w.Clock.Now().Unix()
	w.Clock.Advance(time.Hour)
	ch := started(t, w, ana())
	answer, err := w.Recover(t.Context(), mfa.Call{Bearer: ch.Token.Reveal()}, mfa.RecoverRequest{Challenge: ch.ID, Code: done.RecoveryCodes[4]})
	if err != nil || !answer.Verified || answer.Effect != mfa.EffectSignIn || answer.CodesLeft != 9 || answer.Enrolment != nil || !answer.IssuedAt.Equal(w.Clock.Now()) {
		t.Fatalf("got %+v, %v", answer, err)
	}
	want := map[string]any{"verified": true, "acr": "aal1", "amr": []any{"pwd", "otp"}, "recovered": true, "jti": ch.ID, "mfa_time": float64(proven)}
	wantClaims(t, w, *answer.Token, want)
	state, err := w.LookAtChallenge(t.Context(), w.Client, ch.ID)
	outcome, ok := state.Outcome.(mfa.RecoverAnswer)
	if err != nil || !ok || outcome.CodesLeft != 9 || outcome.Effect != mfa.EffectSignIn || !outcome.IssuedAt.Equal(*answer.IssuedAt) {
		t.Errorf("got %+v, %v, want what was answered", state, err)
	}
	wantClaims(t, w, *outcome.Token, want)
	for name, id := range map[string]string{"the same challenge": ch.ID, "another": started(t, w, ana()).ID} {
		_, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: id, Code: done.RecoveryCodes[4]})
		if code := mfa.AsError(err).Code; code != mfa.ChallengeInvalid && code != mfa.WrongCode {
			t.Errorf("at %s: got %v", name, err)
		}
	}
	if u := shown(t, w); len(u.Factors) != 1 || !u.Enabled || u.Recovery.CodesLeft != 9 || len(u.TrustedBrowsers) != 1 {
		t.Errorf("got %+v, want nothing reset", u)
	}
	wantReason(t, w, token, mfa.BrowserTrust)
	used := events(t, w, mfa.RecoveryUsed)
	if len(used) != 1 || used[0].Data["effect"] != "sign_in" || used[0].Data["codes_left"] != int64(9) {
		t.Errorf("got %+v, want one recovery.used", used)
	}
	told := w.Outbox.To(mail)
	if last := told[len(told)-1]; !last.Code.IsZero() || strings.Contains(last.Text, done.RecoveryCodes[4].Reveal()) || !strings.Contains(last.Text, "9 recovery codes are left") {
		t.Errorf("got %+v, want the user told, and how many codes are left", last)
	}
}

// trustedBy signs ana in with her app, trusts her browser, and returns the trust token.
func trustedBy(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) seal.Secret {
	t.Helper()
	answer, err := verify(t, w, started(t, w, ana()).ID, w.NextCode(a), true)
	if err != nil || answer.TrustToken == nil {
		t.Fatalf("got %+v, %v, want a trust token", answer, err)
	}
	return *answer.TrustToken
}

func TestARecoveryCodeIsReadAsPeopleTypeIt(t *testing.T) {
	w, _, done := withApp(t, func(p *mfa.Policy) { p.Recovery.Count = 20 })
	mapped := func(from, to string) func(string) string {
		return func(s string) string { return strings.ReplaceAll(s, from, to) }
	}
	for i, typed := range []func(string) string{
		strings.ToLower, mapped("-", ""), mapped("-", " "), mapped("-", "\u2003\u2013\u2014\t"), mapped("0", "O"), mapped("0", "o"),
		mapped("1", "I"), mapped("1", "l"), mapped("1", "L"), mapped("1", "i"), func(s string) string { return "\n " + s + " \n" },
	} {
		code := typed(done.RecoveryCodes[i].Reveal())
		if _, err := recovering(t, w, seal.NewSecret(code)); err != nil {
			t.Errorf("%q: %v", code, err)
		}
	}
	for _, code := range done.RecoveryCodes {
		if text := code.Reveal(); len(text) != 29 || strings.Count(text, "-") != 5 || strings.ContainsAny(text, "OILU") || text != strings.ToUpper(text) {
			t.Errorf("got the code %q", text)
		}
	}
}

func TestWhatCantBeARecoveryCodeIsNoGuess(t *testing.T) {
	w, _, done := withApp(t, nil)
	ch := started(t, w, ana())
	code := strings.ReplaceAll(done.RecoveryCodes[0].Reveal(), "-", "")
	for _, bad := range []string{
		"", " ", code[:23], code + "0", code[:23] + "U", code[:23] + "!", code[:23] + "\x00", code[:23] + "é", code[:23] + "０", code[:23] + "٣",
		code[:23] + "ſ", code[:23] + "ı", code[:23] + "\u212a", code + strings.Repeat(" ", 105), strings.Repeat("-", 2000), "123456", code[:23] + "\xff",
	} {
		_, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: seal.NewSecret(bad)})
		if e := mfa.AsError(err); e.Code != mfa.InvalidRequest || e.Param != "code" {
			t.Errorf("%q: got %v, want invalid_request", bad, err)
		}
	}
	if left := wrongRecoveries(t, w, ch.ID, 1); left != 4 {
		t.Errorf("got %d left, want 4: none was counted", left)
	}
	if _, err := recovering(t, w, done.RecoveryCodes[0]); err != nil {
		t.Error(err)
	}
}

func TestB8AnothersRecoveryCodeIsRefusedAndStillTheirs(t *testing.T) {
	w, _, done := withApp(t, nil)
	bob := mfa.Person{ID: "u-18", Email: mfa.Some("bob@acme.example")}
	_, bobs := w.EnrolTOTP(t, w.Fresh(), org, bob)
	_, away := w.EnrolTOTP(t, w.Fresh(), "globex", ana().User)
	for name, code := range map[string]seal.Secret{"another user's": bobs.RecoveryCodes[0], "her own of another org": away.RecoveryCodes[0]} {
		if _, err := recovering(t, w, code); mfa.AsError(err).Code != mfa.WrongCode {
			t.Errorf("%s: got %v, want wrong_code", name, err)
		}
	}
	for who, q := range map[string]mfa.StartRequest{"bob": {Org: org, User: bob}, "ana elsewhere": {Org: "globex", User: ana().User}} {
		code := map[string]seal.Secret{"bob": bobs.RecoveryCodes[0], "ana elsewhere": away.RecoveryCodes[0]}[who]
		if _, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: started(t, w, q).ID, Code: code}); err != nil {
			t.Errorf("%s: %v", who, err)
		}
	}
	if _, err := recovering(t, w, done.RecoveryCodes[0]); err != nil {
		t.Errorf("her own: %v", err)
	}
	ch := started(t, w, ana())
	stranger := w.NewClient(t, apikey.Grant{Client: "portal", Scopes: apikey.Scopes()})
	bobsToken := mfa.Call{Bearer: started(t, w, mfa.StartRequest{Org: org, User: bob}).Token.Reveal()}
	for name, call := range map[string]mfa.Call{"another client": stranger, "another user's challenge token": bobsToken} {
		_, err := w.Recover(t.Context(), call, mfa.RecoverRequest{Challenge: ch.ID, Code: done.RecoveryCodes[1]})
		if mfa.AsError(err).Code != mfa.ChallengeInvalid {
			t.Errorf("%s: got %v, want challenge_invalid", name, err)
		}
	}
	if left := shown(t, w).Recovery.CodesLeft; left != 9 {
		t.Errorf("got %d codes left, want 9", left)
	}
}

func TestB8ADigestThatIsMovedToAnotherUserMatchesNothing(t *testing.T) {
	w, _, done := withApp(t, nil)
	_, bobs := w.EnrolTOTP(t, w.Fresh(), org, mfa.Person{ID: "u-18"})
	ch := started(t, w, ana())
	transplant(t, w, stored(t, w, user, "guard"), stored(t, w, "u-18", "guard"), "recovery")
	for name, code := range map[string]seal.Secret{"the other's": bobs.RecoveryCodes[0], "her own, which is overwritten": done.RecoveryCodes[0]} {
		if _, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: code}); mfa.AsError(err).Code != mfa.WrongCode {
			t.Errorf("%s: got %v, want wrong_code", name, err)
		}
	}
}

func TestRecoveryCodesHaveABudgetOfTheirOwn(t *testing.T) {
	w, a, done := withApp(t, nil)
	ch := started(t, w, ana())
	wrongRecoveries(t, w, ch.ID, 3)
	if left := wrongRecoveries(t, w, started(t, w, ana()).ID, 2); left != 0 { // G6: wrong answers at another sign-in are added
		t.Errorf("the fifth: got %d left, want 0", left)
	}
	_, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: done.RecoveryCodes[0]})
	if e := wantCode(t, err, mfa.Locked); e.RetryAfter != 15*time.Minute {
		t.Errorf("got a wait of %v, want 15 minutes", e.RetryAfter)
	}
	if locked := events(t, w, mfa.ChallengeLocked); len(locked) != 1 || locked[0].Data["recovery"] != true {
		t.Errorf("got %+v, want one lock of recovery codes", locked)
	}
	next := started(t, w, ana())
	if next.Recovery {
		t.Error("a challenge offers recovery codes that wouldn't be looked at")
	}
	if u := shown(t, w); u.Status != mfa.Protected || u.LockedUntil != nil {
		t.Errorf("got %+v, want no lock of the other codes", u)
	}
	if _, err := verify(t, w, ch.ID, w.Code(a), false); err != nil {
		t.Errorf("G12: the app, in a challenge with wrong recovery codes: %v", err)
	}
	w.Clock.Advance(15*time.Minute - time.Second)
	_, err = recovering(t, w, done.RecoveryCodes[0])
	wantCode(t, err, mfa.Locked)
	w.Clock.Advance(time.Second)
	if _, err := recovering(t, w, done.RecoveryCodes[0]); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	w.Clock.Advance(25 * time.Hour)
	wrongRecoveries(t, w, started(t, w, ana()).ID, 5)
	_, err = recovering(t, w, done.RecoveryCodes[1])
	if e := wantCode(t, err, mfa.Locked); e.RetryAfter != 15*time.Minute {
		t.Errorf("got a wait of %v, want 15 minutes again: a right one came between", e.RetryAfter)
	}
}

func TestTenWrongRecoveryCodesInADayLockUntilTheFirstIsADayOld(t *testing.T) {
	w, _, done := withApp(t, nil)
	for range 2 {
		wrongRecoveries(t, w, started(t, w, ana()).ID, 4)
		w.Clock.Advance(15 * time.Minute)
	}
	wrongRecoveries(t, w, started(t, w, ana()).ID, 2)
	_, err := recovering(t, w, done.RecoveryCodes[0])
	if e := wantCode(t, err, mfa.Locked); e.RetryAfter != 24*time.Hour-30*time.Minute {
		t.Errorf("got a wait of %v, want a day since the first", e.RetryAfter)
	}
	w.Clock.Advance(24*time.Hour - 30*time.Minute)
	if _, err := recovering(t, w, done.RecoveryCodes[0]); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

// lockApp answers wrongly until the codes of ana's app are locked.
func lockApp(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
	t.Helper()
	for range 2 {
		id := started(t, w, ana()).ID
		for range 5 {
			_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: id, Factor: a.Factor, Answer: mfa.Answer{Code: mfatest.Wrong(w.Code(a))}})
			wantCode(t, err, mfa.WrongCode)
		}
	}
}

func TestG12ALockOfCodesLeavesRecoveryCodes(t *testing.T) {
	w, a, done := withApp(t, nil)
	open := started(t, w, ana())
	lockApp(t, w, a)
	_, err := verify(t, w, open.ID, w.Code(a), false)
	wantCode(t, err, mfa.Locked)
	ch := started(t, w, ana())
	if len(ch.Methods) != 0 || ch.Default != nil || !ch.Recovery {
		t.Errorf("got %+v, want nothing but a recovery code to answer with", ch)
	}
	if _, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: done.RecoveryCodes[0]}); err != nil {
		t.Fatal(err)
	}
	wrongRecoveries(t, w, open.ID, 4)
	if _, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: open.ID, Code: done.RecoveryCodes[1]}); err != nil {
		t.Errorf("in the challenge from before the lock: %v", err)
	}
}

func TestI2ARecoveryCodeGivesNoGuessMoreThanTheWindowsAllow(t *testing.T) {
	w, a, done := withApp(t, nil)
	lockApp(t, w, a)
	w.Clock.Advance(5 * time.Minute)
	if _, err := recovering(t, w, done.RecoveryCodes[0]); err != nil {
		t.Fatal(err)
	}
	open := started(t, w, ana())
	_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: open.ID, Factor: a.Factor, Answer: mfa.Answer{Code: mfatest.Wrong(w.Code(a))}})
	if e := wantCode(t, err, mfa.Locked); e.RetryAfter != 10*time.Minute {
		t.Errorf("got a wait of %v, want the 10 minutes that the window is still full", e.RetryAfter)
	}
	w.Clock.Advance(10 * time.Minute)
	if _, err := signIn(t, w, w.Code(a)); err != nil {
		t.Errorf("after the window: %v", err)
	}
	if got := len(events(t, w, mfa.ChallengeFailed)); got != 10 {
		t.Errorf("got %d guesses looked at, want 10", got)
	}
}

func TestARecoveryCodeEndsALockThatHasNoEnd(t *testing.T) {
	w, a, done := withApp(t, nil)
	for range 10 {
		lockApp(t, w, a)
		w.Clock.Advance(48 * time.Hour)
	}
	if u := shown(t, w); u.LockedUntil == nil || u.LockedUntil.Year() != 9999 {
		t.Fatalf("got %+v, want a lock without an end", u)
	}
	if _, err := recovering(t, w, done.RecoveryCodes[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := signIn(t, w, w.Code(a)); err != nil {
		t.Errorf("the app again: %v", err)
	}
}

func TestANewSetIsLookedAtHoweverManyOfTheOldWereGuessed(t *testing.T) {
	w, a, _ := withApp(t, nil)
	for locks := 0; locks < 20; locks++ {
		wrongRecoveries(t, w, started(t, w, ana()).ID, 5)
		w.Clock.Advance(25 * time.Hour)
	}
	open := started(t, w, ana())
	if open.Recovery {
		t.Fatal("a hundred wrong in a row: recovery codes are still offered")
	}
	made, err := w.NewRecoveryCodes(t.Context(), w.StepUp(t, org, user, a), org, user)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := recovering(t, w, made.RecoveryCodes[0]); err != nil {
		t.Errorf("a code of the new set: %v", err)
	}
}

func TestWhereThereAreNoRecoveryCodesNoneIsLookedAt(t *testing.T) {
	w, a, done := withApp(t, nil)
	q := ana()
	q.Purpose = mfa.StepUp
	kind := mfa.TOTP
	q.Method = &kind
	bound := started(t, w, q)
	if bound.Recovery {
		t.Error("a step-up that asks for an app offers recovery codes")
	}
	_, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: bound.ID, Code: done.RecoveryCodes[0]})
	wantCode(t, err, mfa.MethodForbidden)
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Recovery.Count = 0 })
	ch := started(t, w, ana())
	for range 6 {
		_, err = w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: done.RecoveryCodes[0]})
		wantCode(t, err, mfa.MethodForbidden)
	}
	if u := shown(t, w); ch.Recovery || u.Recovery.CodesLeft != 0 || u.Recovery.Created != nil {
		t.Errorf("got %+v", u.Recovery)
	}
	call := w.StepUp(t, org, user, a)
	_, err = w.NewRecoveryCodes(t.Context(), call, org, user)
	wantCode(t, err, mfa.MethodForbidden)
	w.SetPolicy(t, org, "default", nil)
	if _, err := recovering(t, w, done.RecoveryCodes[0]); mfa.AsError(err).Code != mfa.MethodForbidden {
		t.Errorf("allowed again: got %v, want the old codes dead", err)
	}
	put(t, w, mfa.Person{ID: "u-18"})
	_, err = w.NewRecoveryCodes(t.Context(), w.Fresh(), org, "u-18")
	wantCode(t, err, mfa.MethodForbidden)
	_, err = w.NewRecoveryCodes(t.Context(), w.Fresh(), org, "nobody")
	wantCode(t, err, mfa.NotFound)
}

func TestFewCodesLeftAreTold(t *testing.T) {
	w, _, done := withApp(t, func(p *mfa.Policy) { p.Recovery.Count = 4 })
	made := w.Clock.Now().Add(-mfatest.Step)
	for i, code := range done.RecoveryCodes {
		left := 4 - i
		if got := shown(t, w).Recovery; got.CodesLeft != left || got.FewLeft != (left <= 2) || !got.Created.Equal(made) {
			t.Errorf("got %+v, want %d left", got, left)
		}
		if answer, err := recovering(t, w, code); err != nil || answer.CodesLeft != left-1 {
			t.Errorf("got %+v, %v, want %d left", answer, err, left-1)
		}
	}
	if ch := started(t, w, ana()); ch.Recovery {
		t.Error("none is left: a challenge offers them")
	}
	_, err := recovering(t, w, done.RecoveryCodes[0])
	wantCode(t, err, mfa.MethodForbidden)
	w, _, _ = withApp(t, func(p *mfa.Policy) { p.Recovery.Count = 1 })
	if got := shown(t, w).Recovery; got.FewLeft {
		t.Errorf("all of one are left: got %+v", got)
	}
}

func TestANewSetIsShownOnceAndTheOldIsDead(t *testing.T) {
	w, a, done := withApp(t, nil)
	call := w.StepUp(t, org, user, a)
	made, err := w.NewRecoveryCodes(t.Context(), call, org, user)
	if err != nil || len(made.RecoveryCodes) != 10 || !made.Created.Equal(w.Clock.Now()) {
		t.Fatalf("got %d codes, %v", len(made.RecoveryCodes), err)
	}
	for _, code := range made.RecoveryCodes {
		if slices.ContainsFunc(done.RecoveryCodes, code.Equal) {
			t.Error("a code came again")
		}
	}
	_, err = recovering(t, w, done.RecoveryCodes[0])
	wantCode(t, err, mfa.WrongCode)
	if _, err := recovering(t, w, made.RecoveryCodes[0]); err != nil {
		t.Error(err)
	}
	if got := made.WithoutShownOnce().(mfa.RecoveryCodes); got.RecoveryCodes != nil {
		t.Error("the codes are repeated")
	}
	if told := events(t, w, mfa.RecoveryMade); len(told) != 1 || told[0].Data["codes_left"] == nil {
		t.Errorf("got %+v, want one recovery.regenerated", told)
	}
}
