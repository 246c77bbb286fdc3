package mfa_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// inRoster returns ana's line in the roster of her org, and an empty string if she has none.
func inRoster(t *testing.T, w *mfatest.World) string {
	t.Helper()
	sum := sha256.Sum256(seal.Join(org))
	for shard := range 16 {
		page, err := w.Store.Query(t.Context(), store.Query{Partition: fmt.Sprintf("roster#%s#%x", base64.RawURLEncoding.EncodeToString(sum[:16]), shard)})
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			var line struct {
				User           string
				Email, Enabled bool
				Kinds          []mfa.Kind
			}
			look(t, item, &line)
			if line.User == user {
				return rosterLine(line.Email, line.Enabled, line.Kinds)
			}
		}
	}
	return ""
}

func rosterLine(address, on bool, kinds []mfa.Kind) string {
	return fmt.Sprintf("address %v, on %v, %v", address, on, kinds)
}

// Every commit that changes one of the facts in the line also writes the line.
func TestTheRosterSaysOfAUserWhatTheAccountSays(t *testing.T) {
	w := mfatest.New(t)
	w.SetPolicy(t, org, "default", nil)
	agree := func(after string) {
		t.Helper()
		u := shown(t, w)
		var kinds []mfa.Kind
		for _, f := range u.Factors {
			if !slices.Contains(kinds, f.Kind) {
				kinds = append(kinds, f.Kind)
			}
		}
		slices.SortFunc(kinds, func(a, b mfa.Kind) int { return slices.Index(mfa.Kinds(), a) - slices.Index(mfa.Kinds(), b) })
		if got, want := inRoster(t, w), rosterLine(u.Email != nil, u.Enabled, kinds); got != want {
			t.Errorf("after %s: got %s, want %s", after, got, want)
		}
	}
	put := func(address mfa.Optional[string]) {
		t.Helper()
		if _, err := w.PutUser(t.Context(), w.Client, org, mfa.Person{ID: user, Email: address}); err != nil {
			t.Fatal(err)
		}
	}
	enable := func(call mfa.Call, on bool) {
		t.Helper()
		if _, err := w.SetEnabled(t.Context(), call, org, user, on); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(call mfa.Call, id string) {
		t.Helper()
		if err := w.RemoveFactor(t.Context(), call, org, user, id); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}}); err != nil {
		t.Fatal(err)
	}
	agree("a first sight at a start")
	if _, err := w.StartChallenge(t.Context(), w.Client, ana()); err != nil {
		t.Fatal(err)
	}
	agree("an address that came with a start")
	put(mfa.Optional[string]{Set: true})
	agree("an address that was cleared")
	put(mfa.Some(mail))
	agree("an address that was put")
	a, _ := enrolApp(t, w, w.Fresh())
	agree("an app")
	call := stepUp(t, w, a)
	second, _ := enrolApp(t, w, call)
	agree("another app")
	byMail := enrolMail(t, w, call)
	agree("an enrolled address")
	remove(call, second.Factor)
	agree("one of two apps removed")
	remove(stepUp(t, w, a), byMail.Factor.ID)
	agree("the address removed")
	enable(stepUp(t, w, a), false)
	agree("2FA turned off")
	enable(w.Fresh(), true)
	agree("2FA turned on")
	answer := recoverBy(t, w, a, mfa.EffectReenrol)
	a, _ = w.EnrolTOTP(t, mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}, "", mfa.Person{})
	agree("an enrolment after a recovery")
	recoverBy(t, w, a, mfa.EffectReset)
	agree("a reset by recovery")
	a, _ = enrolApp(t, w, w.Fresh())
	agree("an app after the reset")
	remove(stepUp(t, w, a), a.Factor)
	agree("the last factor removed")
	put(mfa.Optional[string]{Set: true})
	if _, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &mfa.Person{ID: user, Email: mfa.Some(mail)}, Kind: mfa.TOTP}); err != nil {
		t.Fatal(err)
	}
	agree("an address that came with the beginning of an enrolment")
	if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	if got := inRoster(t, w); got != "" {
		t.Errorf("after an erasure: got %s, want no line", got)
	}
}
