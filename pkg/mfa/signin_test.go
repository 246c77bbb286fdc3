package mfa_test

import (
	"errors"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

const (
	org  = "acme"
	user = "u-17"
	mail = "ana@acme.example"
)

func ana() mfa.StartRequest {
	return mfa.StartRequest{Org: org, User: mfa.Person{ID: user, Email: mfa.Some(mail), Name: mfa.Some("Ana")}}
}

// started begins a sign-in and returns its challenge. It fails the test if there is none.
func started(t *testing.T, w *mfatest.World, q mfa.StartRequest) *mfa.ChallengeToAnswer {
	t.Helper()
	answer, err := w.StartChallenge(t.Context(), w.Client, q)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Decision.Decision != mfa.Challenge {
		t.Fatalf("got %s (%s), want a challenge", answer.Decision.Decision, answer.Reason)
	}
	return answer.Challenge
}

func verify(t *testing.T, w *mfatest.World, id string, code seal.Secret, trust bool) (mfa.VerifyAnswer, error) {
	t.Helper()
	q := mfa.VerifyRequest{Challenge: id, Answer: mfa.Answer{Code: code}}
	if trust {
		q.Trust = &mfa.TrustChoice{Name: "Firefox"}
	}
	return w.Verify(t.Context(), w.Client, q)
}

func wantCode(t *testing.T, err error, want mfa.ErrorCode) *mfa.Error {
	t.Helper()
	var e *mfa.Error
	if !errors.As(err, &e) || e.Code != want {
		t.Fatalf("got %v, want %s", err, want)
	}
	return e
}

func TestASignInByEmailedCodeEndsInOneToken(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "kls", nil)
	ch := started(t, w, ana())
	if ch.Sent == nil || ch.Sent.Hint != "a***@acme.example" || ch.Sent.Sequence != "A" {
		t.Fatalf("sent: got %+v", ch.Sent)
	}
	code := w.Outbox.Code(t, mail)
	_, err := verify(t, w, ch.ID, mfatest.Wrong(code), false)
	if e := wantCode(t, err, mfa.WrongCode); *e.AttemptsLeft != 4 {
		t.Errorf("attempts left: got %d, want 4", *e.AttemptsLeft)
	}
	answer, err := verify(t, w, ch.ID, code, true)
	if err != nil {
		t.Fatal(err)
	}
	if !answer.Verified || answer.TrustToken == nil {
		t.Fatalf("got %+v, want verified with a trust token", answer)
	}
	_, err = verify(t, w, ch.ID, code, false)
	wantCode(t, err, mfa.ChallengeInvalid)

	q := ana()
	q.TrustToken = *answer.TrustToken
	again, err := w.StartChallenge(t.Context(), w.Client, q)
	if err != nil || again.Reason != mfa.BrowserTrust || again.TrustToken == nil {
		t.Fatalf("got %+v, %v, want the trusted browser let in with a successor", again, err)
	}
	w.Clock.Advance(30*24*time.Hour - time.Second)
	q.TrustToken = *again.TrustToken
	if again, err = w.StartChallenge(t.Context(), w.Client, q); err != nil || again.Reason != mfa.BrowserTrust {
		t.Fatalf("a second before the end: got %+v, %v", again, err)
	}
	w.Clock.Advance(time.Second)
	q.TrustToken = *again.TrustToken
	if got := started(t, w, q); got == nil {
		t.Fatal("no challenge")
	}
	w.Drain(t)
	t.Log(w.Events.Types(user))
}
