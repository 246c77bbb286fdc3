package mfa_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// everyKind makes a policy allow every kind.
func everyKind(p *mfa.Policy) {
	for _, kind := range mfa.Kinds() {
		word := mfa.Allowed
		if kind == mfa.Email {
			word = mfa.Enrolled
		}
		if err := json.Unmarshal(fmt.Appendf(nil, `{"methods":{%q:%q}}`, kind, word), p); err != nil {
			panic(err)
		}
	}
}

// withKinds makes a world in which ana has one factor of each of these kinds. It returns the id of the first.
func withKinds(t *testing.T, change func(*mfa.Policy), kinds ...mfa.Kind) (w *mfatest.World, factor string) {
	t.Helper()
	w = mfatest.New(t)
	w.SetPolicy(t, org, "default", change)
	put(t, w, ana().User)
	for _, kind := range kinds {
		if err := w.PutFactor(t.Context(), org, user, kind, mail); err != nil {
			t.Fatal(err)
		}
	}
	return w, shown(t, w).Factors[0].ID
}

// proofBy lets ana step up with a factor of a kind, and returns a fresh call with the proof.
func proofBy(t *testing.T, w *mfatest.World, kind mfa.Kind) mfa.Call {
	t.Helper()
	q := ana()
	q.Purpose = mfa.StepUp
	id := started(t, w, q).ID
	if err := w.AnswerWith(t.Context(), id, kind); err != nil {
		t.Fatal(err)
	}
	state, err := w.LookAtChallenge(t.Context(), w.Client, id)
	if err != nil {
		t.Fatal(err)
	}
	call := w.Fresh()
	call.Proof = state.Outcome.(mfa.VerifyAnswer).Token
	return call
}

// wantProof fails the test unless every change of ana's account accepts a proof by a factor of a kind or, if good is false,
// refuses it.
func wantProof(t *testing.T, world func() (w *mfatest.World, factor string), kind mfa.Kind, good bool) {
	t.Helper()
	w, factor := world()
	for what := range changes(nil, "") {
		if good { // a change that succeeds would affect the next one
			w, factor = world()
		}
		err := changes(w, factor)[what](t, proofBy(t, w, kind))
		switch {
		case good && err != nil:
			t.Errorf("%s, proven by %s: %v", what, kind, err)
		case !good && mfa.AsError(err).Code != mfa.StepUpNeeded:
			t.Errorf("%s, proven by %s: got %v, want %s", what, kind, err, mfa.StepUpNeeded)
		}
	}
}

func TestB6AProofIsByAKindNoLowerThanTheStrongestUsableOneButThatAnAppIsEnoughBesideAKey(t *testing.T) {
	good := map[mfa.Kind][]mfa.Kind{
		mfa.WebAuthn: {mfa.WebAuthn, mfa.TOTP},
		mfa.TOTP:     {mfa.WebAuthn, mfa.TOTP},
		mfa.SMS:      {mfa.WebAuthn, mfa.TOTP, mfa.SMS},
		mfa.Email:    {mfa.WebAuthn, mfa.TOTP, mfa.SMS, mfa.Email},
	}
	kinds := mfa.Kinds()
	for at, strongest := range kinds {
		if good[strongest] == nil {
			t.Errorf("good has no entry for %s: list there each kind whose step-up may change an account that has this kind, and add %[1]s to the entries of the kinds for which it is such a proof", strongest)
			continue
		}
		for _, proof := range kinds {
			t.Run(string(proof)+" for "+string(strongest), func(t *testing.T) {
				wantProof(t, func() (*mfatest.World, string) {
					return withKinds(t, everyKind, kinds[at:]...)
				}, proof, slices.Contains(good[strongest], proof))
			})
		}
	}
}

// Which factor is the strongest is decided when the proof is used, by the policy of that moment.
func TestB6OnlyAFactorThatThePolicyAllowsMakesAWeakerProofWorthless(t *testing.T) {
	noKey := func(p *mfa.Policy) { p.Methods.WebAuthn, p.Methods.SMS = mfa.NotAllowed, mfa.Allowed }
	for _, kind := range []mfa.Kind{mfa.SMS, mfa.Email} {
		wantProof(t, func() (*mfatest.World, string) {
			return withKinds(t, noKey, mfa.WebAuthn, mfa.SMS, mfa.Email)
		}, kind, kind == mfa.SMS)
	}
	implicit := func(p *mfa.Policy) { p.Methods.TOTP, p.Methods.Email = mfa.NotAllowed, mfa.Implicit }
	w, app := withKinds(t, implicit, mfa.TOTP)
	if err := w.RemoveFactor(t.Context(), proofBy(t, w, mfa.Email), org, user, app); err != nil {
		t.Errorf("the address, where it is all that can be answered with: %v", err)
	}
}

func TestB6AProofByNoKindOrAnUnknownOneIsNone(t *testing.T) {
	for _, kind := range []mfa.Kind{"", "voice"} {
		wantProof(t, func() (*mfatest.World, string) { return withKinds(t, nil, mfa.Email) }, kind, false)
	}
}

// Without this rule, someone with the password and the mailbox could take over an account that has an app.
func TestB6WhoHasThePasswordAndTheMailboxChangesNothingOfAnAccountWithAnApp(t *testing.T) {
	w, a := protected(t, nil)
	byMail := enrolMail(t, w, stepUp(t, w, a))
	w.Clock.Advance(time.Minute)
	email := mfa.Email
	q := ana()
	q.Purpose, q.Method = mfa.StepUp, &email
	verified, err := verify(t, w, started(t, w, q).ID, w.Outbox.Code(t, mail), false)
	if err != nil {
		t.Fatal(err)
	}
	call := w.Fresh()
	call.Proof = verified.Token
	wantRefused(t, w, a.Factor, "a proof by email", call, mfa.StepUpNeeded)
	wantRefused(t, w, byMail.Factor.ID, "a proof by email, for the email itself", call, mfa.StepUpNeeded)
}

// The client may fetch the token again for ten minutes. It is signed anew each time, but this doesn't make it valid for
// longer.
func TestB6AProofThatIsSignedAnewEndsTenMinutesAfterTheAnswer(t *testing.T) {
	w, a := protected(t, nil)
	q := ana()
	q.Purpose = mfa.StepUp
	ch := started(t, w, q)
	if _, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: w.NextCode(a)}}); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(10*time.Minute - time.Second)
	state, err := w.LookAtChallenge(t.Context(), w.Client, ch.ID)
	if err != nil {
		t.Fatal(err)
	}
	proof := state.Outcome.(mfa.VerifyAnswer).Token
	wantClaims(t, w, proof, map[string]any{"iat": float64(w.Clock.Now().Unix())})
	w.Clock.Advance(time.Second)
	call := w.Fresh()
	call.Proof = proof
	if _, err := w.NewRecoveryCodes(t.Context(), call, org, user); err != nil {
		t.Errorf("600 s after the answer: %v", err)
	}
	w.Clock.Advance(time.Second)
	call.Reauthenticated = w.Fresh().Reauthenticated
	wantRefused(t, w, a.Factor, "an answer 601 s ago, signed 2 s ago", call, mfa.StepUpNeeded)
}
