package mfa_test

import (
	"slices"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// A program that reads the events knows for each user whether 2FA is on, whatever turned it on or off.
func TestEveryTurnOf2FAIsToldOnce(t *testing.T) {
	remove := func(t *testing.T, w *mfatest.World, call mfa.Call, id string) {
		if err := w.RemoveFactor(t.Context(), call, org, user, id); err != nil {
			t.Fatal(err)
		}
	}
	enable := func(t *testing.T, w *mfatest.World, call mfa.Call, on bool) {
		if _, err := w.SetEnabled(t.Context(), call, org, user, on); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		do   func(*testing.T, *mfatest.World, *mfatest.Authenticator)
		want []string
	}{
		"turned off": {func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			enable(t, w, stepUp(t, w, a), false)
		}, []string{mfa.UserDisabled}},
		"turned off, and on again": {func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			enable(t, w, stepUp(t, w, a), false)
			enable(t, w, w.Fresh(), true)
		}, []string{mfa.UserDisabled, mfa.UserEnabled}},
		"turned on while it is on": {func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			enable(t, w, stepUp(t, w, a), true)
		}, nil},
		"the last factor removed": {func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			remove(t, w, stepUp(t, w, a), a.Factor)
		}, []string{mfa.UserDisabled}},
		"one of two factors removed, and then the last": {func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			call := stepUp(t, w, a)
			byMail := enrolMail(t, w, call)
			remove(t, w, call, byMail.Factor.ID)
			if got := turns(t, w); len(got) != 1 {
				t.Errorf("with one of two removed: got %v, want nothing told since 2FA went on", got)
			}
			remove(t, w, call, a.Factor)
		}, []string{mfa.UserDisabled}},
		"turned off, and then the last factor removed": {func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			enable(t, w, stepUp(t, w, a), false)
			remove(t, w, w.Fresh(), a.Factor)
		}, []string{mfa.UserDisabled}},
		"the last factor removed, and one enrolled": {func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			remove(t, w, stepUp(t, w, a), a.Factor)
			enrolApp(t, w, w.Fresh())
		}, []string{mfa.UserDisabled, mfa.UserEnabled}},
		"reset by a recovery code": {func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			recoverBy(t, w, a, mfa.EffectReset)
		}, []string{mfa.UserDisabled}},
		"signed in by a recovery code": {func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			recoverBy(t, w, a, mfa.EffectSignIn)
		}, nil},
		"enrolled anew after a recovery": {func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			answer := recoverBy(t, w, a, mfa.EffectReenrol)
			w.EnrolTOTP(t, mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}, "", mfa.Person{})
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w, a := protected(t, nil)
			c.do(t, w, a)
			want := append([]string{mfa.UserEnabled}, c.want...) // the first factor turned 2FA on
			if got := turns(t, w); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if on := want[len(want)-1] == mfa.UserEnabled; shown(t, w).Enabled != on {
				t.Errorf("enabled: got %v, and the events say %v", !on, on)
			}
		})
	}
}

// turns returns the types of the events that say that 2FA was turned on or off.
func turns(t *testing.T, w *mfatest.World) []string {
	t.Helper()
	w.Drain(t)
	return slices.DeleteFunc(w.Events.Types(user), func(kind string) bool { return kind != mfa.UserEnabled && kind != mfa.UserDisabled })
}
