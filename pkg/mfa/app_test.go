package mfa_test

import (
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// An app is ana's authenticator app.
type app struct {
	id     string // of the factor
	secret string
}

// code is what the app shows now.
func (a app) code(t *testing.T, w *mfatest.World) seal.Secret {
	t.Helper()
	code, err := totp.GenerateCode(a.secret, w.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	return seal.NewSecret(code)
}

// fresh is the client's call for a user whose password it has just checked.
func fresh(w *mfatest.World) mfa.Call {
	call := w.Client
	call.Reauthenticated = w.Clock.Now().Format(time.RFC3339)
	return call
}

// stepUp has ana step up with her app, so that the client can prove it.
func stepUp(t *testing.T, w *mfatest.World, a app) mfa.Call {
	t.Helper()
	q := ana()
	q.Purpose = mfa.StepUp
	answer, err := w.StartChallenge(t.Context(), w.Client, q)
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Minute) // a step of its own
	verified, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: answer.Challenge.ID, Factor: a.id, Code: a.code(t, w)})
	if err != nil {
		t.Fatal(err)
	}
	call := fresh(w)
	call.Proof = verified.Token
	return call
}

// enrolApp enrols an authenticator app for ana.
func enrolApp(t *testing.T, w *mfatest.World, call mfa.Call) (app, mfa.FinishAnswer) {
	t.Helper()
	said := ana().User
	begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.TOTP})
	if err != nil {
		t.Fatal(err)
	}
	a := app{secret: begun.TOTP.Secret.Reveal()}
	done, err := w.FinishEnrolment(t.Context(), w.Client, mfa.FinishRequest{Enrolment: begun.ID, Code: a.code(t, w)})
	if err != nil {
		t.Fatal(err)
	}
	a.id = done.Factor.ID
	return a, done
}

// enrolMail enrols ana's address.
func enrolMail(t *testing.T, w *mfatest.World, call mfa.Call) mfa.FinishAnswer {
	t.Helper()
	said := ana().User
	begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.Email})
	if err != nil {
		t.Fatal(err)
	}
	done, err := w.FinishEnrolment(t.Context(), w.Client, mfa.FinishRequest{Enrolment: begun.ID, Code: w.Outbox.Code(t, mail)})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// protected is a world in which ana has an app, under the default policy as change leaves it.
func protected(t *testing.T, change func(*mfa.Policy)) (*mfatest.World, app) {
	t.Helper()
	w := mfatest.New(t)
	w.SetPolicy(t, org, "default", change)
	a, _ := enrolApp(t, w, fresh(w))
	return w, a
}

// trustedByApp signs ana in with her app and trusts her browser.
func trustedByApp(t *testing.T, w *mfatest.World, a app) seal.Secret {
	t.Helper()
	ch := started(t, w, ana())
	w.Clock.Advance(time.Minute)
	answer, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Code: a.code(t, w), Trust: &mfa.TrustChoice{Name: "Firefox"}})
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
