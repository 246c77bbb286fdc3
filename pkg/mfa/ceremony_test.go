package mfa_test

import (
	"encoding/json"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/passkey/passkeytest"
)

// lenient finds every response to a sign-in right.
type lenient struct{ mfa.Passkeys }

func (lenient) Get(mfa.Ceremony, []byte, mfa.Passkey, json.RawMessage, time.Time) (mfa.PasskeyUse, error) {
	return mfa.PasskeyUse{SignCount: 100}, nil
}

// The port judges a response. Whether there is a ceremony at all, and whether it has ended, must not hang on the port alone.
func TestR9ACeremonyThatIsOverOrNeverBeganIsNotLeftToThePort(t *testing.T) {
	key := &passkeytest.Authenticator{}
	w, a, _ := withApp(t, nil)
	w.EnrolKey(t, w.StepUp(t, org, user, a), org, ana().User, key)
	w.Passkeys = lenient{w.Passkeys}
	ch := started(t, w, ana())
	response := w.Touch(t, key, ch)

	app := mfa.TOTP
	q := ana()
	q.Method = &app
	byApp := started(t, w, q)
	if byApp.WebAuthn != nil {
		t.Fatal("a challenge to an app has begun a ceremony")
	}
	_, err := give(t, w, byApp, response)
	wantWrongCredential(t, err, 4)

	w.Clock.Advance(300 * time.Second)
	_, err = give(t, w, ch, response)
	wantWrongCredential(t, err, 4)
	sendKey(t, w, ch)
	if _, err := give(t, w, ch, response); err != nil {
		t.Errorf("to a new ceremony: %v", err)
	}
}

func TestB5AStepUpThatWantsAnAppTakesNoKey(t *testing.T) {
	key := &passkeytest.Authenticator{}
	w, a, _ := withApp(t, nil)
	enrolled := w.EnrolKey(t, w.StepUp(t, org, user, a), org, ana().User, key)
	signIn := started(t, w, ana())
	app := mfa.TOTP
	q := ana()
	q.Purpose, q.Method = mfa.StepUp, &app
	ch := started(t, w, q)
	w.Passkeys = lenient{w.Passkeys}
	response := w.Touch(t, key, signIn)
	for named, want := range map[string]mfa.ErrorCode{"": mfa.InvalidRequest, enrolled.Factor.ID: mfa.MethodForbidden} {
		_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Factor: named, Answer: response})
		wantCode(t, err, want)
		_, err = w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID, Factor: enrolled.Factor.ID})
		wantCode(t, err, mfa.MethodForbidden)
	}
	w.Clock.Advance(mfatest.Step)
	if _, err := verify(t, w, ch.ID, w.Code(a), false); err != nil {
		t.Errorf("the app: %v", err)
	}
}

func TestAChallengeBeginsThirtyCeremoniesAndNoMore(t *testing.T) {
	key := &passkeytest.Authenticator{}
	w, _ := withKey(t, key, nil)
	ch := started(t, w, ana())
	for range 29 {
		ch.WebAuthn = sendKey(t, w, ch)
	}
	_, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID})
	wantCode(t, err, mfa.TooManySends)
	if _, err := give(t, w, ch, w.Touch(t, key, ch)); err != nil {
		t.Errorf("the newest ceremony: %v", err)
	}
}
