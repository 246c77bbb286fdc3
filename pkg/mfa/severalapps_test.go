package mfa_test

import (
	"slices"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// The app that was used last is listed first, and a code that names no factor is compared with it.
func TestOfSeveralAppsTheOneUsedLastIsAskedFor(t *testing.T) {
	w, first, _ := withApp(t, nil)
	second, _ := enrolApp(t, w, w.StepUp(t, org, user, first))
	for _, used := range []*mfatest.Authenticator{first, second, first} {
		w.Clock.Advance(time.Minute)
		id := started(t, w, ana()).ID
		if _, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: id, Factor: used.Factor, Answer: mfa.Answer{Code: w.Code(used)}}); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(time.Minute)
		ch := started(t, w, ana())
		if len(ch.Methods) != 2 || ch.Methods[0].Factor != used.Factor || *ch.Default != used.Factor {
			t.Errorf("got methods %+v and the default %v, want %s first", ch.Methods, *ch.Default, used.Factor)
		}
		at := slices.IndexFunc(shown(t, w).Factors, func(f mfa.Factor) bool { return f.ID == used.Factor })
		if got := shown(t, w).Factors[at].LastUsed; got == nil || !got.Equal(w.Clock.Now().Add(-time.Minute)) {
			t.Errorf("got last used %v, want a minute ago", got)
		}
		if _, err := verify(t, w, ch.ID, w.Code(used), false); err != nil {
			t.Errorf("without naming it: %v", err)
		}
	}
}
