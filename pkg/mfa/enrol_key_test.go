package mfa_test

import (
	"encoding/json"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/passkey/passkeytest"
)

// created returns an authenticator's response to the options for a new key.
func created(t *testing.T, options json.RawMessage) mfa.Answer {
	t.Helper()
	return mfa.Answer{Credential: must((&passkeytest.Authenticator{}).Create(options, mfatest.Origin))(t)}
}

// newOptions asks for new options in an enrolment.
func newOptions(t *testing.T, w *mfatest.World, enrolment string) json.RawMessage {
	t.Helper()
	sent, err := w.SendEnrolment(t.Context(), w.Fresh(), enrolment)
	if err != nil || sent.WebAuthn == nil || sent.Sent != nil {
		t.Fatalf("got %+v, %v, want options", sent, err)
	}
	return sent.WebAuthn
}

func finishKey(t *testing.T, w *mfatest.World, enrolment string, a mfa.Answer) error {
	t.Helper()
	_, err := w.FinishEnrolment(t.Context(), w.Fresh(), mfa.FinishRequest{Enrolment: enrolment, Answer: a})
	return err
}

func TestR8ANewKeyIsTakenForTheNewestOptionsAndForTheirTime(t *testing.T) {
	w := plain(t, nil)
	begun := begin(t, w, w.Fresh(), mfa.WebAuthn)
	earlier := created(t, begun.WebAuthn)
	options := newOptions(t, w, begun.ID)
	wantWrongCredential(t, finishKey(t, w, begun.ID, earlier), 4)
	late := created(t, options)
	w.Clock.Advance(300 * time.Second)
	wantWrongCredential(t, finishKey(t, w, begun.ID, late), 3)
	late = created(t, newOptions(t, w, begun.ID))
	w.Clock.Advance(299 * time.Second)
	if err := finishKey(t, w, begun.ID, late); err != nil {
		t.Errorf("a second before the end: %v", err)
	}
}

// anyKey accepts every response for a new key.
type anyKey struct{ mfa.Passkeys }

func (anyKey) Create(mfa.Ceremony, []byte, json.RawMessage, time.Time) (mfa.CreatedPasskey, error) {
	return mfa.CreatedPasskey{Passkey: mfa.Passkey{ID: []byte("any")}}, nil
}

// The service itself must check that a ceremony has ended, at an enrolment as at a challenge.
func TestR8ANewKeyAfterItsTimeIsNotLeftToThePort(t *testing.T) {
	w := plain(t, nil)
	begun := begin(t, w, w.Fresh(), mfa.WebAuthn)
	late := created(t, begun.WebAuthn)
	w.Passkeys = anyKey{w.Passkeys}
	w.Clock.Advance(300 * time.Second)
	wantWrongCredential(t, finishKey(t, w, begun.ID, late), 4)
}

func TestAnEnrolmentBeginsThirtyCeremoniesAndNoMore(t *testing.T) {
	w := plain(t, nil)
	begun := begin(t, w, w.Fresh(), mfa.WebAuthn)
	options := begun.WebAuthn
	for range 29 {
		options = newOptions(t, w, begun.ID)
	}
	_, err := w.SendEnrolment(t.Context(), w.Fresh(), begun.ID)
	wantCode(t, err, mfa.TooManySends)
	if err := finishKey(t, w, begun.ID, created(t, options)); err != nil {
		t.Errorf("the thirtieth: %v", err)
	}
}

func TestWrongNewKeysEndTheEnrolmentAndLockNoCodes(t *testing.T) {
	w := plain(t, nil)
	for range 3 { // more wrong answers in all than the number of wrong codes that locks a user
		begun := begin(t, w, w.Fresh(), mfa.WebAuthn)
		other := begin(t, w, w.Fresh(), mfa.WebAuthn) // replaces the enrolment before it
		wrong := created(t, begun.WebAuthn)
		for left := 4; left >= 0; left-- {
			wantWrongCredential(t, finishKey(t, w, other.ID, wrong), left)
		}
		wantCode(t, finishKey(t, w, other.ID, created(t, other.WebAuthn)), mfa.EnrolmentInvalid)
	}
	if u := shown(t, w); u.LockedUntil != nil || len(u.Factors) > 0 {
		t.Errorf("got %+v, want nobody locked and nothing enrolled", u)
	}
	w.EnrolTOTP(t, w.Fresh(), org, ana().User)
}
