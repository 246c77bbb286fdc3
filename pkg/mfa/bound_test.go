package mfa

import (
	"testing"

	"countersign/pkg/seal"
)

// A code can be used only for the purpose that it was sent for, because its digest covers everything that names this
// purpose. The service also checks most of these values before it compares the digest, so only this test shows that the
// digest alone would be enough.
func TestTheDigestOfACodeIsOfAllThatTheCodeWasSentFor(t *testing.T) {
	ring := seal.NewRing(morning)
	digest := func(change func(g *guard, e *binding, f *factor, sequence *int, code *string)) string {
		g, e := &guard{Org: "acme", User: "u-17"}, binding{id: "ch_1", purpose: SignIn}
		f, sequence, code := factor{factorRecord: &factorRecord{ID: "fa_1", Kind: Email, Contact: "ana@acme.example"}}, 1, "123456"
		change(g, &e, &f, &sequence, &code)
		return ring.Digest("code", e.codeFields(g, f, sequence, seal.NewSecret(code))...)
	}
	seen := map[string]string{}
	for name, change := range map[string]func(g *guard, e *binding, f *factor, sequence *int, code *string){
		"as it is":          func(*guard, *binding, *factor, *int, *string) {},
		"another org":       func(g *guard, _ *binding, _ *factor, _ *int, _ *string) { g.Org = "globex" },
		"another user":      func(g *guard, _ *binding, _ *factor, _ *int, _ *string) { g.User = "u-18" },
		"another challenge": func(_ *guard, e *binding, _ *factor, _ *int, _ *string) { e.id = "ch_2" },
		"another purpose":   func(_ *guard, e *binding, _ *factor, _ *int, _ *string) { e.purpose = StepUp },
		"another factor":    func(_ *guard, _ *binding, f *factor, _ *int, _ *string) { f.ID = "fa_2" },
		"another kind":      func(_ *guard, _ *binding, f *factor, _ *int, _ *string) { f.Kind = SMS },
		"another address":   func(_ *guard, _ *binding, f *factor, _ *int, _ *string) { f.Contact = "ana@other.example" },
		"another sequence":  func(_ *guard, _ *binding, _ *factor, sequence *int, _ *string) { *sequence = 2 },
		"another code":      func(_ *guard, _ *binding, _ *factor, _ *int, code *string) { *code = "123457" },
	} {
		made := digest(change)
		if other, ok := seen[made]; ok {
			t.Errorf("%s: the digest is that of %s", name, other)
		}
		seen[made] = name
	}

	purposes := map[string]string{}
	for name, e := range map[string]binding{
		"a sign-in":               (&challenge{Purpose: SignIn}).binding(),
		"a step-up":               (&challenge{Purpose: StepUp}).binding(),
		"a proof of an address":   (&challenge{Purpose: SignIn, Enrolment: "hash"}).binding(),
		"an enrolment":            (&enrolment{}).binding(),
		"that proof at a step-up": (&challenge{Purpose: StepUp, Enrolment: "hash"}).binding(),
	} {
		purposes[e.purpose] += name
	}
	if len(purposes) != 4 {
		t.Errorf("got %v, want a purpose each, and the same for a proof at a sign-in and at a step-up", purposes)
	}
}

// A new epoch ends everything that carries the old one, and renew leaves nothing that could be mistaken for something newer.
func TestARenewedGuardKeepsNothingThatWasOpen(t *testing.T) {
	g := &guard{Epoch: "old", TrustEpoch: "trust", Slots: []slot{{ID: "a"}}, EvictedUntil: morning, EnrolmentSlot: &slot{ID: "b"}}
	g.renew()
	if g.Epoch == "old" || g.browserEpoch() != g.Epoch || len(g.Slots) != 0 || !g.EvictedUntil.IsZero() || g.EnrolmentSlot != nil {
		t.Errorf("got %+v", g)
	}
}
