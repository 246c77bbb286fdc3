package mfa_test

import (
	"strings"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// handleOf returns the handle in the address of a hosted page.
func handleOf(t *testing.T, address *seal.Secret, page string) seal.Secret {
	t.Helper()
	if address == nil {
		t.Fatal("there is no address of a hosted page")
	}
	_, handle, found := strings.Cut(address.Reveal(), page)
	if !found || !strings.HasPrefix(handle, seal.Handle) {
		t.Fatalf("got an address that isn't %s and a handle", page)
	}
	return seal.NewSecret(handle)
}

func TestTheLinkOfAChallengeIsRedeemedOnceForItsToken(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	handle := handleOf(t, ch.URL, w.Issuer+"/pages/challenge/")
	got, err := w.RedeemHandle(t.Context(), mfa.Call{}, handle)
	if err != nil || got.Kind != mfa.ChallengeToken || got.ID != ch.ID || !got.Token.Equal(*ch.Token) || !got.Expires.Equal(ch.Expires) {
		t.Fatalf("got %+v, %v, want the challenge's token", got, err)
	}
	_, err = w.RedeemHandle(t.Context(), mfa.Call{}, handle)
	wantCode(t, err, mfa.NotFound)
	if state, err := w.LookAtChallenge(t.Context(), mfa.Call{Bearer: got.Token.Reveal()}, got.ID); err != nil || state.Challenge.URL != nil {
		t.Errorf("got %+v, %v, want the challenge without another link", state, err)
	}
}

func TestTheLinkOfAChallengeIsGoodForTenMinutes(t *testing.T) {
	w := kls(t, nil)
	early, late := started(t, w, ana()), started(t, w, ana())
	w.Clock.Advance(10*time.Minute - time.Second)
	if _, err := w.RedeemHandle(t.Context(), mfa.Call{}, handleOf(t, early.URL, "/pages/challenge/")); err != nil {
		t.Error(err)
	}
	w.Clock.Advance(time.Second)
	_, err := w.RedeemHandle(t.Context(), mfa.Call{}, handleOf(t, late.URL, "/pages/challenge/"))
	wantCode(t, err, mfa.NotFound)
}

func TestTheLinkOfAnotherChallengeOpensNothing(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	forged := seal.NewSecret(w.Forged(t, seal.Handle, rawID(t, ch.ID)))
	_, err := w.RedeemHandle(t.Context(), mfa.Call{}, forged)
	wantCode(t, err, mfa.NotFound)
	if _, err := w.RedeemHandle(t.Context(), mfa.Call{}, handleOf(t, ch.URL, "/pages/challenge/")); err != nil {
		t.Error("after a forged handle its own isn't good:", err)
	}
}
