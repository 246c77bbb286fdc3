package mfatest

import (
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/passkey/passkeytest"
)

// EnrolKey enrols a security key or a passkey, on a page of Origin. With an enrolment token, org and who are empty.
func (w *World) EnrolKey(tb testing.TB, call mfa.Call, org string, who mfa.Person, key *passkeytest.Authenticator) mfa.FinishAnswer {
	tb.Helper()
	begun := w.begin(tb, call, org, who, mfa.WebAuthn)
	response, err := key.Create(begun.WebAuthn, Origin)
	if err != nil {
		tb.Fatal(err)
	}
	done, err := w.FinishEnrolment(tb.Context(), call, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Credential: response}})
	if err != nil {
		tb.Fatal(err)
	}
	return done
}

// Touch returns a key's answer to a challenge that asks for one, on a page of Origin.
func (w *World) Touch(tb testing.TB, key *passkeytest.Authenticator, ch *mfa.ChallengeToAnswer) mfa.Answer {
	tb.Helper()
	response, err := key.Get(ch.WebAuthn, Origin)
	if err != nil {
		tb.Fatal(err)
	}
	return mfa.Answer{Credential: response}
}
