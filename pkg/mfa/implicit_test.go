package mfa_test

import (
	"slices"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// An enrolled address that an implicit policy also makes a factor is listed once. The user's other factors are listed too,
// in whichever order the store returns them.
func TestAnEnrolledAddressThatIsImplicitHidesNoOtherFactor(t *testing.T) {
	for range 12 { // the factors are read in the order of their random ids
		w := mfatest.New(t)
		put(t, w, mfa.Person{ID: user, Email: mfa.Some(mail)})
		for _, kind := range []mfa.Kind{mfa.Email, mfa.TOTP} {
			if err := w.PutFactor(t.Context(), org, user, kind, map[mfa.Kind]string{mfa.Email: mail}[kind]); err != nil {
				t.Fatal(err)
			}
		}
		w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Methods.Email = mfa.Implicit })
		var kinds []mfa.Kind
		for _, m := range started(t, w, ana()).Methods {
			kinds = append(kinds, m.Kind)
		}
		if !slices.Equal(kinds, []mfa.Kind{mfa.TOTP, mfa.Email}) {
			t.Fatalf("got %v, want the app, and the address once", kinds)
		}
	}
}
