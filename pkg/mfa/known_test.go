package mfa_test

import (
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// anaKnown reports whether a token is a known token of ana's. She must be locked in other browsers.
func anaKnown(t *testing.T, w *mfatest.World, token seal.Secret) bool {
	t.Helper()
	if _, err := w.Decide(t.Context(), w.Client, ana()); mfa.AsError(err).Code != mfa.Locked {
		t.Fatalf("without a token: got %v, want locked", err)
	}
	_, err := w.Decide(t.Context(), w.Client, from(token))
	if err != nil {
		wantCode(t, err, mfa.Locked)
	}
	return err == nil
}

func TestTB3AKnownTokenAlteredAnywhereIsWorthNothing(t *testing.T) {
	w, a, token := knows(t, noRecovery)
	guess(t, w, a, ana())
	text := token.Reveal()
	try := func(altered string) {
		t.Helper()
		if _, err := w.Decide(t.Context(), w.Client, from(seal.NewSecret(altered))); mfa.AsError(err).Code != mfa.Locked {
			t.Errorf("%q: got %v, want locked", altered, err)
		}
	}
	for i := range len(text) {
		for _, c := range []byte{text[i] ^ 1, text[i] ^ 0x20, 'A', '=', '+', '/', '\n', 0, 0xff} {
			if c != text[i] {
				try(text[:i] + string([]byte{c}) + text[i+1:])
			}
		}
		try(text[:i])
		try(text[:i] + text[i+1:])
		try(text[:i] + "A" + text[i:])
	}
	for _, end := range []string{"A", "=", "\n", " ", text} {
		try(text + end)
		try(end + text)
	}
	if !anaKnown(t, w, token) {
		t.Error("the token itself is worth nothing")
	}
}

func TestTB1AndTB7AKnownTokenIsOneUsersInOneOrg(t *testing.T) {
	w, a, _ := knows(t, noRecovery)
	w.SetPolicy(t, "globex", "default", noRecovery)
	bobs, _ := w.EnrolTOTP(t, w.Fresh(), org, mfa.Person{ID: "u-18"})
	away, _ := w.EnrolTOTP(t, w.Fresh(), "globex", ana().User)
	w.Clock.Advance(mfatest.Step)
	guess(t, w, a, ana())
	for name, c := range map[string]struct {
		org, user string
		app       *mfatest.Authenticator
	}{"another user's": {org, "u-18", bobs}, "another org's": {"globex", user, away}} {
		transplant(t, w, storedAt(t, w, partition(c.org, c.user), "guard"), stored(t, w, user, "guard"), "epoch") // otherwise no two users share an epoch
		q := mfa.StartRequest{Org: c.org, User: mfa.Person{ID: c.user}}
		answer, err := verify(t, w, started(t, w, q).ID, w.Code(c.app), false)
		if err != nil {
			t.Fatal(err)
		}
		if anaKnown(t, w, *answer.KnownToken) {
			t.Errorf("%s token counts as ana's", name)
		}
	}
}

func TestAnyRevocationResetOrTheftEndsKnownTokens(t *testing.T) {
	trust := func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) (seal.Secret, string) {
		t.Helper()
		token := trustedByApp(t, w, a)
		w.Clock.Advance(mfatest.Step)
		return token, shown(t, w).TrustedBrowsers[0].ID
	}
	for name, c := range map[string]struct {
		end  func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator, codes []seal.Secret) error
		good bool // the token is still accepted
	}{
		"one browser is revoked": {end: func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator, _ []seal.Secret) error {
			_, id := trust(t, w, a)
			return w.RevokeBrowser(t.Context(), w.Client, org, user, id)
		}},
		"all are": {end: func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator, _ []seal.Secret) error {
			return w.RevokeBrowsers(t.Context(), w.Client, org, user)
		}},
		"a theft": {end: func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator, _ []seal.Secret) error {
			old, _ := trust(t, w, a)
			used(t, w, used(t, w, old))
			_, err := w.StartChallenge(t.Context(), w.Client, with(old))
			return err
		}},
		"another password": {end: func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator, _ []seal.Secret) error {
			_, err := w.Report(t.Context(), w.Client, org, user, mfa.PasswordChanged)
			return err
		}},
		"a recovery that resets": {end: func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator, codes []seal.Secret) error {
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Recovery.Effect = mfa.EffectReset })
			if _, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: started(t, w, ana()).ID, Code: codes[0]}); err != nil {
				return err
			}
			enrolled, _ := enrolApp(t, w, w.Fresh())
			*a = *enrolled
			w.Clock.Advance(mfatest.Step)
			return nil
		}},
		"a recovery that signs in": {good: true, end: func(t *testing.T, w *mfatest.World, _ *mfatest.Authenticator, codes []seal.Secret) error {
			_, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: started(t, w, ana()).ID, Code: codes[0]})
			return err
		}},
		"2FA turned off and on": {good: true, end: func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator, _ []seal.Secret) error {
			if _, err := w.SetEnabled(t.Context(), stepUp(t, w, a), org, user, false); err != nil {
				return err
			}
			w.Clock.Advance(mfatest.Step)
			_, err := w.SetEnabled(t.Context(), w.Fresh(), org, user, true)
			return err
		}},
	} {
		w, a, done := withApp(t, nil)
		token := answerIn(t, w, a, seal.Secret{})
		open := started(t, w, ana())
		if err := c.end(t, w, a, done.RecoveryCodes); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		w.SetPolicy(t, org, "default", noRecovery)
		guess(t, w, a, ana())
		if got := anaKnown(t, w, token); got != c.good {
			t.Errorf("%s: got a token that is good: %t, want %t", name, got, c.good)
		}
		if state, err := w.LookAtChallenge(t.Context(), w.Client, open.ID); err != nil || state.State == "verified" {
			t.Errorf("%s: got %+v, %v", name, state, err)
		}
		unlock(t, w)
		token = answerIn(t, w, a, seal.Secret{})
		w.Clock.Advance(time.Hour)
		guess(t, w, a, ana())
		if !anaKnown(t, w, token) {
			t.Errorf("%s: the token of a verify after it is worth nothing", name)
		}
	}
}

// The challenge that begins with a stolen trust token counts in the budget of unknown browsers, even if a known token came
// with it.
func TestATheftIsNoKnownBrowser(t *testing.T) {
	w, a, _ := withApp(t, manyAttempts)
	q := from(answerIn(t, w, a, seal.Secret{}))
	q.TrustToken = trustedByApp(t, w, a)
	w.Clock.Advance(mfatest.Step)
	used(t, w, used(t, w, q.TrustToken))
	for _, c := range []struct {
		start mfa.StartRequest
		left  int
	}{{q, 9}, {ana(), 8}} {
		_, err := verify(t, w, started(t, w, c.start).ID, mfatest.Wrong(w.Code(a)), false)
		if got := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; got != c.left {
			t.Errorf("got %d attempts left, want %d: the thief's guess counts where a stranger's does", got, c.left)
		}
	}
}

func TestTheOutcomeGivesTheKnownTokenAgainUnlessItWasEndedMeanwhile(t *testing.T) {
	w, a, _ := withApp(t, noRecovery)
	trustedByApp(t, w, a)
	w.Clock.Advance(mfatest.Step)
	ch := started(t, w, ana())
	answer, err := verify(t, w, ch.ID, w.Code(a), false)
	if err != nil {
		t.Fatal(err)
	}
	outcome := func() mfa.VerifyAnswer {
		t.Helper()
		state, err := w.LookAtChallenge(t.Context(), w.Client, ch.ID)
		if err != nil {
			t.Fatal(err)
		}
		return state.Outcome.(mfa.VerifyAnswer)
	}
	if again := outcome().KnownToken; again == nil || !again.Equal(*answer.KnownToken) {
		t.Errorf("got %v, want the same token", again)
	}
	later := answer.WithoutShownOnce().(mfa.VerifyAnswer)
	if later.KnownToken != nil || later.TrustToken != nil || later.Token.IsZero() {
		t.Errorf("got %+v, want what is shown once left out", later)
	}
	pending := started(t, w, ana())
	if _, err := verify(t, w, pending.ID, mfatest.Wrong(w.Code(a)), false); mfa.AsError(err).Code != mfa.WrongCode {
		t.Fatal(err)
	}
	if err := w.RevokeBrowser(t.Context(), w.Client, org, user, shown(t, w).TrustedBrowsers[0].ID); err != nil {
		t.Fatal(err)
	}
	if again := outcome().KnownToken; again != nil {
		t.Error("a browser that answered before a revocation is given a token after it")
	}
	w.Clock.Advance(mfatest.Step)
	if answer, err = verify(t, w, pending.ID, w.Code(a), false); err != nil || answer.KnownToken == nil {
		t.Fatalf("one that answers after it: got %+v, %v", answer, err)
	}
	guess(t, w, a, ana())
	if !anaKnown(t, w, *answer.KnownToken) {
		t.Error("its token is worth nothing")
	}
}

func TestAKnownTokenOfAKeyThatIsGoneIsWorthNothingAndReplacedAtAVerifyBefore(t *testing.T) {
	w, a, token := knows(t, noRecovery)
	first, err := w.Keys.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	both, err := first.Rotate(w.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.Service.Keys = &staleKeys{ring: both, source: both}
	next := answerIn(t, w, a, token)
	if next.Equal(token) {
		t.Error("the token is of the key before")
	}
	guess(t, w, a, ana())
	if !anaKnown(t, w, token) || !anaKnown(t, w, next) {
		t.Error("while there are both keys, not both tokens are good")
	}
	second, err := both.Forget(first.Newest(), w.Clock.Now().Add(2*seal.SecretKept))
	if err != nil {
		t.Fatal(err)
	}
	keys := &staleKeys{ring: second, source: second}
	w.Service.Keys = keys
	if anaKnown(t, w, token) || keys.reloads != 1 {
		t.Errorf("after %d reloads, want a token of a key that is gone worth nothing after 1", keys.reloads)
	}
	if !anaKnown(t, w, next) {
		t.Error("the token of the newest key is worth nothing")
	}
}
