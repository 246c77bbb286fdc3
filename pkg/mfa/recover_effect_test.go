package mfa_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store/fault"
)

// effect changes a policy so that a recovery code has this effect.
func effect(effect string, require string) func(*mfa.Policy) {
	return func(p *mfa.Policy) { p.Recovery.Effect, p.Require = effect, require }
}

// wantGone fails the test if ana still has a factor, a recovery code or a trusted browser.
func wantGone(t *testing.T, w *mfatest.World, token seal.Secret) {
	t.Helper()
	if u := shown(t, w); len(u.Factors) != 0 || u.Enabled || u.Recovery.CodesLeft != 0 || len(u.TrustedBrowsers) != 0 {
		t.Errorf("got %+v, want nothing left", u)
	}
	if d, err := w.Decide(t.Context(), w.Client, with(token)); err != nil || d.Reason == mfa.BrowserTrust {
		t.Errorf("got %+v, %v, want no trust", d, err)
	}
}

func TestS7AResetByRecoveryCodeLeavesNothing(t *testing.T) {
	w, a, done := withApp(t, effect(mfa.EffectReset, mfa.Nobody))
	w.EnrolEmail(t, w.StepUp(t, org, user, a), org, ana().User, mail)
	token := trustedBy(t, w, a)
	w.Clock.Advance(mfatest.Step)
	proof := w.StepUp(t, org, user, a)
	ch, other := started(t, w, ana()), started(t, w, ana())
	answer, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: done.RecoveryCodes[0]})
	if err != nil || answer.Effect != mfa.EffectReset || answer.CodesLeft != 0 || answer.Token == nil || answer.Enrolment != nil {
		t.Fatalf("got %+v, %v", answer, err)
	}
	wantClaims(t, w, *answer.Token, map[string]any{"verified": true, "acr": "aal1", "recovered": true})
	wantGone(t, w, token)
	wantReason(t, w, seal.Secret{}, mfa.NotRequired)
	_, err = w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: other.ID, Code: done.RecoveryCodes[1]})
	wantCode(t, err, mfa.ChallengeInvalid)
	_, err = verify(t, w, other.ID, w.NextCode(a), false)
	wantCode(t, err, mfa.ChallengeInvalid)
	if state, err := w.LookAtChallenge(t.Context(), w.Client, ch.ID); err != nil || state.State != "verified" || state.Outcome.(mfa.RecoverAnswer).Effect != mfa.EffectReset {
		t.Errorf("got %+v, %v", state, err)
	}
	b, again := w.EnrolTOTP(t, w.Fresh(), org, ana().User)
	if len(again.RecoveryCodes) != 10 || slices.ContainsFunc(again.RecoveryCodes, done.RecoveryCodes[1].Equal) {
		t.Errorf("set up again: got %d codes, want a new set", len(again.RecoveryCodes))
	}
	proof.Reauthenticated = w.Fresh().Reauthenticated
	wantRefused(t, w, b.Factor, "B6: a proof from before the reset", proof, mfa.StepUpNeeded)
	removed, told := events(t, w, mfa.FactorRemoved), 0
	for _, e := range removed {
		if e.Data["cause"] == "recovery" {
			told++
		}
	}
	if told != 2 {
		t.Errorf("got %+v, want two factors removed by the recovery", removed)
	}
}

func TestAResetOfWhoMustHaveAFactorGoesOnWithAnEnrolment(t *testing.T) {
	w, a, done := withApp(t, effect(mfa.EffectReset, mfa.Everyone))
	token := trustedBy(t, w, a)
	ch := started(t, w, ana())
	answer, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: done.RecoveryCodes[0]})
	if err != nil || answer.Token != nil || answer.IssuedAt != nil || answer.Enrolment == nil || answer.Effect != mfa.EffectReset || answer.CodesLeft != 0 ||
		!slices.Equal(answer.Enrolment.Kinds, []mfa.Kind{mfa.WebAuthn, mfa.TOTP, mfa.Email}) || !answer.Enrolment.Expires.Equal(w.Clock.Now().Add(15*time.Minute)) {
		t.Fatalf("got %+v, %v, want an enrolment and no token", answer, err)
	}
	if once := answer.WithoutShownOnce().(mfa.RecoverAnswer); once.Enrolment.Token != nil || once.Enrolment.Expires.IsZero() {
		t.Error("the enrolment token is repeated")
	}
	wantGone(t, w, token)
	wantPendingOnly(t, w, ch.ID, a, done.RecoveryCodes[1])
	call := mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}
	b, finished := w.EnrolTOTP(t, call, "", mfa.Person{}) // no code by email is needed, because a recovery code proves more than the address would
	if finished.Token == nil || len(finished.RecoveryCodes) != 10 {
		t.Fatalf("got %+v, want the token and a new set", finished)
	}
	wantClaims(t, w, *finished.Token, map[string]any{"jti": ch.ID, "acr": "aal1", "recovered": true, "verified": true, "decision": "enrol", "amr": []any{"pwd", "otp"}})
	if got := shown(t, w).Factors; len(got) != 1 || got[0].ID != b.Factor {
		t.Errorf("got %+v, want the new app alone", got)
	}
}

// wantPendingOnly fails the test unless the challenge waits for an enrolment, and accepts neither a code nor a request to
// send one.
func wantPendingOnly(t *testing.T, w *mfatest.World, id string, a *mfatest.Authenticator, code seal.Secret) {
	t.Helper()
	if state, err := w.LookAtChallenge(t.Context(), w.Client, id); err != nil || state.State != "pending" || state.Outcome != nil {
		t.Errorf("got %+v, %v, want pending", state, err)
	}
	_, err := verify(t, w, id, w.NextCode(a), false)
	wantCode(t, err, mfa.ChallengeInvalid)
	_, err = w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: id, Code: code})
	wantCode(t, err, mfa.ChallengeInvalid)
	_, err = send(t, w, id)
	wantCode(t, err, mfa.ChallengeInvalid)
}

func TestAReenrolmentReplacesEverythingWithItsFinishAndNothingBefore(t *testing.T) {
	for _, require := range []string{mfa.Nobody, mfa.Everyone} {
		w, a, done := withApp(t, effect(mfa.EffectReenrol, require))
		w.EnrolEmail(t, w.StepUp(t, org, user, a), org, ana().User, mail)
		token := trustedBy(t, w, a)
		w.Clock.Advance(mfatest.Step)
		ch := started(t, w, ana())
		answer, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: done.RecoveryCodes[0]})
		if err != nil || answer.Token != nil || answer.Enrolment == nil || answer.Effect != mfa.EffectReenrol || answer.CodesLeft != 9 ||
			!slices.Equal(answer.Enrolment.Kinds, []mfa.Kind{mfa.WebAuthn, mfa.TOTP, mfa.Email}) {
			t.Fatalf("%s: got %+v, %v", require, answer, err)
		}
		if u := shown(t, w); len(u.Factors) != 2 || u.Recovery.CodesLeft != 9 || len(u.TrustedBrowsers) != 1 {
			t.Errorf("%s: before the finish: got %+v, want all but the code", require, u)
		}
		wantPendingOnly(t, w, ch.ID, a, done.RecoveryCodes[1])
		if _, err := signIn(t, w, w.Code(a)); err != nil {
			t.Errorf("%s: the old app before the finish: %v", require, err)
		}
		call := mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}
		finished := w.EnrolEmail(t, call, "", mfa.Person{}, mail) // the same address as before, which is among the factors that are replaced
		if finished.Token == nil || len(finished.RecoveryCodes) != 10 {
			t.Fatalf("%s: got %+v", require, finished)
		}
		wantClaims(t, w, *finished.Token, map[string]any{"jti": ch.ID, "acr": "aal1", "recovered": true, "amr": []any{"pwd", "otp"}})
		if u := shown(t, w); len(u.Factors) != 1 || u.Factors[0].ID != finished.Factor.ID || !u.Enabled || u.Recovery.CodesLeft != 10 || len(u.TrustedBrowsers) != 0 {
			t.Errorf("%s: after the finish: got %+v, want the new factor alone", require, u)
		}
		wantReason(t, w, token, mfa.NewBrowser)
		state, err := w.LookAtChallenge(t.Context(), w.Client, ch.ID)
		if outcome, ok := state.Outcome.(mfa.FinishAnswer); err != nil || !ok || outcome.Factor.ID != finished.Factor.ID || outcome.RecoveryCodes != nil {
			t.Errorf("%s: got %+v, %v", require, state, err)
		}
		_, err = w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
		wantCode(t, err, mfa.EnrolmentInvalid)
	}
}

func TestACodeThatCouldOnlyLeadToAnEnrolmentIsKeptWhereThereIsNone(t *testing.T) {
	w, _, done := withApp(t, nil)
	ch := started(t, w, ana())
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) {
		p.Recovery.Effect, p.Methods.WebAuthn, p.Methods.TOTP, p.Methods.Email = mfa.EffectReenrol, mfa.NotAllowed, mfa.NotAllowed, mfa.NotAllowed
	})
	_, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: done.RecoveryCodes[0]})
	wantCode(t, err, mfa.MethodForbidden)
	w.SetPolicy(t, org, "default", nil)
	if _, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: done.RecoveryCodes[0]}); err != nil {
		t.Errorf("once there is: %v", err)
	}
}

func TestAnAbandonedReenrolmentEndsWithItsWindow(t *testing.T) {
	w, a, done := withApp(t, func(p *mfa.Policy) { effect(mfa.EffectReenrol, mfa.Nobody)(p); p.Challenge.WindowS = 300 })
	ch := started(t, w, ana())
	w.Clock.Advance(299 * time.Second)
	answer, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: done.RecoveryCodes[0]})
	if err != nil {
		t.Fatal(err)
	}
	call := mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}
	w.Clock.Advance(299 * time.Second)
	begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
	if err != nil {
		t.Fatalf("a second before its end: %v", err)
	}
	w.Clock.Advance(time.Second)
	wantDead(t, w, "over", call, begun)
	if state, err := w.LookAtChallenge(t.Context(), w.Client, ch.ID); err != nil || state.State != "expired" {
		t.Errorf("got %+v, %v, want expired", state, err)
	}
	if _, err := signIn(t, w, w.Code(a)); err != nil {
		t.Errorf("the old app: %v", err)
	}
}

// A verify reads the challenge, then a recovery makes it a challenge that only an enrolment answers, then the verify reads
// the guard.
func TestACodeReadBeforeARecoveryIsNotTakenAfterIt(t *testing.T) {
	w, a, done := withApp(t, effect(mfa.EffectReenrol, mfa.Nobody))
	ch := started(t, w, ana())
	read := make(chan struct{}) // closed once the key, the policy and the challenge were read
	w.Faults.Inject(fault.Get, 1, fault.Fault{After: func(context.Context) error {
		close(read)
		return nil
	}})
	w.Faults.Inject(fault.Query, 1, fault.Fault{Before: func(context.Context) error {
		<-read
		if _, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: done.RecoveryCodes[0]}); err != nil {
			t.Error(err)
		}
		return nil
	}})
	_, err := verify(t, w, ch.ID, w.Code(a), false)
	wantCode(t, err, mfa.ChallengeInvalid)
}

func TestB4AStepUpThatNamesAKindIsNotMetByEnrollingAnother(t *testing.T) {
	for _, proven := range []bool{false, true} {
		w := plain(t, func(p *mfa.Policy) {
			if p.EnrolmentProof = "none"; proven {
				p.EnrolmentProof = "email"
			}
		})
		q, kind := ana(), mfa.TOTP
		q.Purpose, q.Method = mfa.StepUp, &kind
		start, call := mustEnrol(t, w, q)
		if !slices.Equal(start.Enrolment.Kinds, []mfa.Kind{mfa.TOTP}) {
			t.Errorf("got kinds %v", start.Enrolment.Kinds)
		}
		_, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.Email})
		wantCode(t, err, mfa.MethodForbidden)
		if proven {
			proving(t, w, call)
			answer, err := prove(t, w, call, w.Outbox.Code(t, mail))
			if err != nil || !slices.Equal(answer.Kinds, []mfa.Kind{mfa.TOTP}) {
				t.Errorf("got %+v, %v, want an app alone", answer, err)
			}
			_, err = w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.Email})
			wantCode(t, err, mfa.MethodForbidden)
		}
		_, done := w.EnrolTOTP(t, call, "", mfa.Person{})
		wantClaims(t, w, *done.Token, map[string]any{"purpose": "step_up", "acr": "aal2"})
	}
}

func TestAnAddressEnrolledAfterARecoveryIsStillGuessedAtWithinTheLimits(t *testing.T) {
	w, _, done := withApp(t, effect(mfa.EffectReset, mfa.Everyone))
	answer, err := recovering(t, w, done.RecoveryCodes[0])
	if err != nil {
		t.Fatal(err)
	}
	call := mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}
	var begun mfa.EnrolAnswer
	for range 2 {
		if begun, err = w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.Email}); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			_, err := finish(t, w, call, begun.ID, mfatest.Wrong(w.Outbox.Code(t, mail)))
			wantCode(t, err, mfa.WrongCode)
		}
	}
	_, err = w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.Email})
	wantCode(t, err, mfa.Locked)
	if got := len(events(t, w, mfa.ChallengeLocked)); got != 1 {
		t.Errorf("got %d locks, want 1", got)
	}
	if _, done := w.EnrolTOTP(t, call, "", mfa.Person{}); done.Token == nil {
		t.Error("an app, which nobody can guess at: got no token")
	}
}

// If the account's address is a factor by the policy, a reset leaves it. So the user needn't enrol anything to sign in.
func TestAResetOfWhoMustHaveAFactorAndStillHasOneSignsIn(t *testing.T) {
	w, a, done := withApp(t, nil)
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) {
		effect(mfa.EffectReset, mfa.Everyone)(p)
		p.Methods.Email = mfa.Implicit
	})
	answer, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: started(t, w, ana()).ID, Code: done.RecoveryCodes[0]})
	if err != nil || answer.Token == nil || answer.Enrolment != nil || answer.Effect != mfa.EffectReset {
		t.Fatalf("got %+v, %v, want a token and nothing to enrol", answer, err)
	}
	ch := started(t, w, ana())
	if len(ch.Methods) != 1 || ch.Methods[0].Kind != mfa.Email || ch.Methods[0].Factor == a.Factor {
		t.Errorf("got %+v, want the address alone", ch.Methods)
	}
}
