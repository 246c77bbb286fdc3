package mfa_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// recoveredStepUp lets ana answer a step-up with a recovery code, and returns a fresh call with the proof. The proof is
// bound to action unless it is nil.
func recoveredStepUp(t *testing.T, w *mfatest.World, code seal.Secret, action *mfa.Action) (mfa.Call, *mfa.ChallengeToAnswer) {
	t.Helper()
	q := ana()
	q.Purpose, q.Action = mfa.StepUp, action
	ch := started(t, w, q)
	answer, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: code})
	if err != nil {
		t.Fatal(err)
	}
	call := w.Fresh()
	call.Proof = *answer.Token
	return call, ch
}

func TestWhoLostTheAppEnrolsAnotherByARecoveryCodeAndChangesNothingElseByIt(t *testing.T) {
	w, lost, done := withApp(t, nil)
	call, _ := recoveredStepUp(t, w, done.RecoveryCodes[0], nil)
	for what, change := range changes(w, lost.Factor) {
		if what == "enrol" {
			continue
		}
		if err := change(t, call); mfa.AsError(err).Code != mfa.StepUpNeeded {
			t.Errorf("%s: got %v, want %s", what, err, mfa.StepUpNeeded)
		}
	}
	next, finished := enrolApp(t, w, call)
	if len(finished.RecoveryCodes) > 0 {
		t.Error("a second app brought a new set of recovery codes")
	}
	if err := w.RemoveFactor(t.Context(), stepUp(t, w, next), org, user, lost.Factor); err != nil {
		t.Errorf("with the new app: %v", err)
	}
	w.Drain(t)
	for _, text := range []string{"used one of the recovery codes of your account", "From now on your account can be confirmed with an authenticator app"} {
		told := false
		for _, m := range w.Outbox.To(mail) {
			told = told || strings.Contains(m.Text, text)
		}
		if !told {
			t.Errorf("the user isn't told: %s", text)
		}
	}
}

func TestB6AStepUpByARecoveryCodeIsProofForTenMinutesForTheAccountOnly(t *testing.T) {
	w, _, done := withApp(t, nil)
	begin := func(call mfa.Call) error {
		_, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Org: org, User: &mfa.Person{ID: user}, Kind: mfa.TOTP})
		return err
	}
	pay, account := mfa.Action{Name: "pay"}, mfa.Action{Name: "account"}
	call, _ := recoveredStepUp(t, w, done.RecoveryCodes[0], &pay)
	wantCode(t, begin(call), mfa.StepUpNeeded)
	call, _ = recoveredStepUp(t, w, done.RecoveryCodes[1], &account)
	if err := begin(call); err != nil {
		t.Error(err)
	}
	call, ch := recoveredStepUp(t, w, done.RecoveryCodes[2], nil)
	w.Clock.Advance(10*time.Minute - time.Second)
	state, err := w.LookAtChallenge(t.Context(), w.Client, ch.ID)
	if err != nil {
		t.Fatal(err)
	}
	again := *state.Outcome.(mfa.RecoverAnswer).Token // the token is signed anew
	w.Clock.Advance(time.Second)
	call.Reauthenticated, call.Proof = w.Fresh().Reauthenticated, again
	if err := begin(call); err != nil {
		t.Errorf("after 600 s: %v", err)
	}
	w.Clock.Advance(time.Second)
	call.Reauthenticated = w.Fresh().Reauthenticated
	wantCode(t, begin(call), mfa.StepUpNeeded)
	call, _ = recoveredStepUp(t, w, done.RecoveryCodes[3], nil)
	if err := w.RevokeBrowsers(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	wantCode(t, begin(call), mfa.StepUpNeeded)
}

// This user has only email, so a proof by email is enough.
func TestWhoHasOnlyEmailChangesTheAccountByEmail(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "default", nil)
	byMail := enrolMail(t, w, w.Fresh())
	w.Clock.Advance(time.Minute)
	q := ana()
	q.Purpose = mfa.StepUp
	verified, err := verify(t, w, started(t, w, q).ID, w.Outbox.Code(t, mail), false)
	if err != nil {
		t.Fatal(err)
	}
	call := w.Fresh()
	call.Proof = verified.Token
	a, _ := enrolApp(t, w, call)
	wantCode(t, w.RemoveFactor(t.Context(), call, org, user, byMail.Factor.ID), mfa.StepUpNeeded) // by now ana has an app
	if err := w.RemoveFactor(t.Context(), stepUp(t, w, a), org, user, byMail.Factor.ID); err != nil {
		t.Error(err)
	}
}

// A user who has lost the app, and has only email and no recovery code, can sign in by email. Then an administrator gives
// them another app.
func TestWhoLostTheAppAndHasEmailAsBackupOnlySignsInAndIsHelpedByAnAdministrator(t *testing.T) {
	w, a := protected(t, noRecovery)
	byMail := enrolMail(t, w, stepUp(t, w, a))
	w.Clock.Advance(time.Minute)
	email := mfa.Email
	q := ana()
	q.Method = &email
	if _, err := verify(t, w, started(t, w, q).ID, w.Outbox.Code(t, mail), false); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, w, byMail.Factor.ID, "the password alone", w.Fresh(), mfa.StepUpNeeded)
	who := ana().User
	begun, err := w.BeginEnrolment(t.Context(), w.Client, mfa.EnrolRequest{Org: org, User: &who, Kind: mfa.TOTP, OnBehalf: &called})
	if err != nil {
		t.Fatal(err)
	}
	next := typed(t, begun)
	done, err := finish(t, w, w.Client, begun.ID, w.Code(next))
	if err != nil {
		t.Fatal(err)
	}
	next.Factor = done.Factor.ID
	if err := w.RemoveFactor(t.Context(), stepUp(t, w, next), org, user, a.Factor); err != nil {
		t.Errorf("with the app that the administrator gave: %v", err)
	}
}

// forbidden makes a world in which ana has an app, and the policy has forbidden apps since.
func forbidden(t *testing.T, change func(*mfa.Policy)) (*mfatest.World, *mfatest.Authenticator) {
	t.Helper()
	w, a := protected(t, nil)
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) {
		p.Methods.TOTP, p.EnrolmentProof = mfa.NotAllowed, "none"
		change(p)
	})
	return w, a
}

func TestWhileThePolicyForbidsEveryFactorOfAUserAPasswordAloneChangesNothing(t *testing.T) {
	for name, change := range map[string]func(*mfa.Policy){
		"not required": func(*mfa.Policy) {}, "required": func(p *mfa.Policy) { p.Require = mfa.Everyone },
	} {
		w, a := forbidden(t, change)
		wantRefused(t, w, a.Factor, name, w.Fresh(), mfa.StepUpNeeded)
		who := ana().User
		_, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &who, Kind: mfa.Email})
		wantCode(t, err, mfa.StepUpNeeded)
		if got := shown(t, w).Factors; len(got) != 1 {
			t.Errorf("%s: got %+v, want the app kept", name, got)
		}
	}
}

// A proof from before the change of the policy is still accepted, because it is by the strongest factor that the user has.
func TestAProofFromBeforeThePolicyForbadeItsKindIsGoodForTenMinutes(t *testing.T) {
	w, a := protected(t, nil)
	call := stepUp(t, w, a)
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Methods.TOTP = mfa.NotAllowed })
	if err := w.RemoveFactor(t.Context(), call, org, user, a.Factor); err != nil {
		t.Error(err)
	}
}

func TestWhoseEveryFactorIsForbiddenProvesTheKnownAddressBeforeEnrollingWhateverEnrolmentProofSays(t *testing.T) {
	for name, q := range map[string]mfa.StartRequest{"a sign-in": ana(), "a step-up": func() mfa.StartRequest {
		q := ana()
		q.Purpose = mfa.StepUp
		return q
	}()} {
		w, old := withKinds(t, everyKind, mfa.SMS)
		w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.EnrolmentProof, p.Require = "none", mfa.Everyone })
		answer, call := mustEnrol(t, w, q)
		if !slices.Contains(answer.Enrolment.Kinds, mfa.TOTP) {
			t.Fatalf("%s: got %v to enrol", name, answer.Enrolment.Kinds)
		}
		proving(t, w, call)
		if _, err := w.ProveAddress(t.Context(), call, mfa.ProveRequest{Code: w.Outbox.Code(t, mail)}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		a, _ := w.EnrolTOTP(t, call, "", mfa.Person{})
		if err := w.RemoveFactor(t.Context(), stepUp(t, w, a), org, user, old); err != nil {
			t.Errorf("%s: the forbidden factor, once there is another: %v", name, err)
		}
	}
}

func TestWhoseEveryFactorIsForbiddenAndHasNoKnownAddressIsHelpedByAnAdministrator(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "default", everyKind)
	who := mfa.Person{ID: user}
	put(t, w, who)
	if err := w.PutFactor(t.Context(), org, user, mfa.SMS, "+33612345678"); err != nil {
		t.Fatal(err)
	}
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.EnrolmentProof = "none" })
	_, call := mustEnrol(t, w, mfa.StartRequest{Org: org, User: who, Purpose: mfa.StepUp})
	_, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
	wantCode(t, err, mfa.NothingToSend)
	if _, err := w.BeginEnrolment(t.Context(), w.Client, mfa.EnrolRequest{Org: org, User: &who, Kind: mfa.TOTP, OnBehalf: &called}); err != nil {
		t.Errorf("an administrator: %v", err)
	}
}
