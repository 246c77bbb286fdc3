package mfa_test

import (
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// typed returns an app into which the secret of an enrolment was typed.
func typed(t *testing.T, begun mfa.EnrolAnswer) *mfatest.Authenticator {
	t.Helper()
	a, err := mfatest.TypedAuthenticator(begun.TOTP.Secret.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// stepUp lets ana step up with her app, and returns a fresh call with the proof.
func stepUp(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) mfa.Call {
	t.Helper()
	w.Clock.Advance(mfatest.Step) // the code of the present step may have been used already
	return w.StepUp(t, org, user, a)
}

// enrolApp enrols an authenticator app for ana.
func enrolApp(t *testing.T, w *mfatest.World, call mfa.Call) (*mfatest.Authenticator, mfa.FinishAnswer) {
	t.Helper()
	return w.EnrolTOTP(t, call, org, ana().User)
}

// enrolMail enrols ana's email address.
func enrolMail(t *testing.T, w *mfatest.World, call mfa.Call) mfa.FinishAnswer {
	t.Helper()
	return w.EnrolEmail(t, call, org, ana().User, mail)
}

// protected makes a world in which ana has an app, under the default policy as changed by change.
func protected(t *testing.T, change func(*mfa.Policy)) (*mfatest.World, *mfatest.Authenticator) {
	t.Helper()
	w := mfatest.New(t)
	w.SetPolicy(t, org, "default", change)
	a, _ := enrolApp(t, w, w.Fresh())
	return w, a
}

// trustedByApp signs ana in with her app, trusts her browser, and returns the trust token.
func trustedByApp(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) seal.Secret {
	t.Helper()
	ch := started(t, w, ana())
	w.Clock.Advance(time.Minute)
	answer, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: w.Code(a)}, Trust: &mfa.TrustChoice{Name: "Firefox"}})
	if err != nil {
		t.Fatal(err)
	}
	return *answer.TrustToken
}

func shown(t *testing.T, w *mfatest.World) mfa.User {
	t.Helper()
	u, err := w.GetUser(t.Context(), w.Client, org, user)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
