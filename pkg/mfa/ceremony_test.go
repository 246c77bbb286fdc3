package mfa_test

import (
	"encoding/json"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/passkey/passkeytest"
	"countersign/pkg/store"
)

// lenient accepts every response to a sign-in.
type lenient struct{ mfa.Passkeys }

func (lenient) Get(mfa.Ceremony, []byte, mfa.Passkey, json.RawMessage, time.Time) (mfa.PasskeyUse, error) {
	return mfa.PasskeyUse{SignCount: 100}, nil
}

// The port checks responses. But the service itself must check whether a ceremony was begun and whether it is still open.
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

func TestACeremonyOfTheHostedPagesIsOverOnceTheirOriginIsAnotherOne(t *testing.T) {
	key := &passkeytest.Authenticator{}
	w, _ := withKey(t, key, nil)
	ch := started(t, w, ana())
	page := mfa.Call{Bearer: ch.Token.Reveal(), Origin: w.Issuer}
	sent, err := w.SendCode(t.Context(), page, mfa.SendRequest{Challenge: ch.ID})
	if err != nil {
		t.Fatal(err)
	}
	ch.WebAuthn = sent.WebAuthn
	key.Misbehaviour.Origin = w.Issuer
	response := w.Touch(t, key, ch)
	key.Misbehaviour = passkeytest.Misbehaviour{}
	w.Issuer = "https://elsewhere.example"
	_, err = give(t, w, ch, response)
	wantWrongCredential(t, err, 4)
	ch.WebAuthn = sendKey(t, w, ch)
	if _, err := give(t, w, ch, w.Touch(t, key, ch)); err != nil {
		t.Errorf("a new ceremony: %v", err)
	}
}

// mistaken reports a new passkey with another credential id than the one in the response.
type mistaken struct{ mfa.Passkeys }

func (m mistaken) Create(c mfa.Ceremony, handle []byte, response json.RawMessage, now time.Time) (mfa.CreatedPasskey, error) {
	created, err := m.Passkeys.Create(c, handle, response, now)
	created.ID = []byte("another credential id")
	return created, err
}

func TestACredentialIDIsNotClaimedUnlessItsOwnOwnerWasRead(t *testing.T) {
	w := plain(t, nil)
	w.Passkeys = mistaken{w.Passkeys}
	begun := begin(t, w, w.Fresh(), mfa.WebAuthn)
	response := must((&passkeytest.Authenticator{}).Create(begun.WebAuthn, mfatest.Origin))(t)
	_, err := w.FinishEnrolment(t.Context(), w.Client, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Credential: response}})
	wantCode(t, err, mfa.Unavailable)
}

// The store reads the items of an account one after the other, so a reader may find the record of a factor that was just
// removed.
func TestAKeyThatTheGuardDoesNotListCountsForNothing(t *testing.T) {
	key := &passkeytest.Authenticator{}
	w, a, _ := withApp(t, nil)
	enrolled := w.EnrolKey(t, w.StepUp(t, org, user, a), org, ana().User, key)
	at := mfa.FactorKey(org, user, enrolled.Factor.ID)
	left, err := store.GetOne(t.Context(), w.Store, at)
	if err != nil {
		t.Fatal(err)
	}
	call := w.StepUp(t, org, user, a)
	if err := w.RemoveFactor(t.Context(), call, org, user, enrolled.Factor.ID); err != nil {
		t.Fatal(err)
	}
	if err := w.Store.Commit(t.Context(), store.NewVersion(), store.Write{Key: at, Body: left.Body}); err != nil {
		t.Fatal(err)
	}
	if u := shown(t, w); len(u.Factors) != 1 || len(u.WebAuthnSignal.CredentialIDs) != 0 {
		t.Errorf("got %+v, want the app alone", u)
	}
	begun := begin(t, w, call, mfa.WebAuthn)
	if _, err := key.Create(begun.WebAuthn, mfatest.Origin); err != nil {
		t.Errorf("to enrol the key again: %v", err)
	}
	if ch := started(t, w, ana()); ch.WebAuthn != nil || len(ch.Methods) != 1 {
		t.Errorf("got %+v, want the app alone to be asked for", ch)
	}
}

func TestAllPasskeysOfAUserHaveOneUserHandle(t *testing.T) {
	first, second := &passkeytest.Authenticator{Resident: true}, &passkeytest.Authenticator{Resident: true}
	w, a, _ := withApp(t, nil)
	w.EnrolKey(t, w.StepUp(t, org, user, a), org, ana().User, first)
	handle := shown(t, w).WebAuthnSignal.UserID
	w.EnrolKey(t, w.StepUp(t, org, user, a), org, ana().User, second)
	if got := shown(t, w).WebAuthnSignal.UserID; got != handle {
		t.Errorf("got the user handle %s, want %s as before", got, handle)
	}
	for _, key := range []*passkeytest.Authenticator{first, second} {
		ch := started(t, w, ana())
		if _, err := give(t, w, ch, w.Touch(t, key, ch)); err != nil {
			t.Error(err)
		}
	}
}
