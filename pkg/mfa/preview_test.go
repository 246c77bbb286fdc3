package mfa_test

import (
	"fmt"
	"slices"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// A member is a user of an org, and what they can answer with.
type member struct {
	id      string
	address bool // the client knows the user's address
	app     bool
	byMail  bool // the user has enrolled the address
	off     bool // the user has turned 2FA off
}

// kinds returns with how many kinds of factor a policy lets the member answer.
func (who member) kinds(p *mfa.Policy) (n int) {
	if who.app && p.Methods.TOTP == mfa.Allowed {
		n++
	}
	if who.byMail && p.Methods.Email == mfa.Enrolled || who.address && p.Methods.Email == mfa.Implicit {
		n++
	}
	return n
}

func (who member) status(p *mfa.Policy) string {
	on := who.kinds(p) > 0 && (p.Require == mfa.Everyone || (who.app || who.byMail) && !who.off)
	if on || who.address && p.Methods.Email == mfa.Implicit {
		return mfa.Protected
	}
	return mfa.Unprotected
}

func everybody() []member {
	return []member{
		{id: "u-1"}, {id: "u-2", address: true}, {id: "u-3", app: true}, {id: "u-4", address: true, app: true},
		{id: "u-5", address: true, byMail: true}, {id: "u-6", address: true, app: true, byMail: true}, {id: "u-7", address: true, app: true, off: true},
	}
}

// settled creates all members, and enrols the factors that each of them has.
func settled(t *testing.T, w *mfatest.World) []member {
	t.Helper()
	w.SetPolicy(t, org, "default", nil)
	for _, who := range everybody() {
		said := mfa.Person{ID: who.id}
		if who.address {
			said.Email = mfa.Some(who.id + "@acme.example")
		}
		if _, err := w.PutUser(t.Context(), w.Client, org, said); err != nil {
			t.Fatal(err)
		}
		var a *mfatest.Authenticator
		if who.app {
			a, _ = w.EnrolTOTP(t, w.Fresh(), org, said)
			w.Clock.Advance(mfatest.Step)
		}
		if who.byMail {
			call := w.Fresh()
			if who.app {
				call = w.StepUp(t, org, who.id, a)
			}
			w.EnrolEmail(t, call, org, said, *said.Email.Value)
		}
		if who.off {
			if _, err := w.SetEnabled(t.Context(), w.StepUp(t, org, who.id, a), org, who.id, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	return everybody()
}

// What a preview says comes true, whatever the policies before and after the change. A change that needs no acknowledgement
// must not force anyone to answer or to enrol who didn't have to before.
func TestWhatAPreviewSaysIsWhatThenHappens(t *testing.T) {
	w := mfatest.New(t)
	people := settled(t, w)
	var policies []mfa.Policy
	for _, require := range []string{mfa.Nobody, mfa.Everyone} {
		for _, totp := range []string{mfa.Allowed, mfa.NotAllowed} {
			for _, email := range []string{mfa.Implicit, mfa.Enrolled, mfa.NotAllowed} {
				p := mfa.DefaultPolicy()
				p.Require, p.Methods.TOTP, p.Methods.Email = require, totp, email
				if p.Check() == nil {
					policies = append(policies, p)
				}
			}
		}
	}
	// stuck reports whether the member would have to enrol if they were asked.
	stuck := func(who member) bool {
		decided, err := w.Decide(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: who.id}})
		return err != nil || decided.Decision == mfa.Enrol
	}
	forced := 0
	for _, from := range policies {
		for _, to := range policies {
			name := fmt.Sprintf("from %s %+v to %s %+v", from.Require, from.Methods, to.Require, to.Methods)
			now := w.SetPolicy(t, org, "default", func(p *mfa.Policy) { *p = from })
			want := mfa.Preview{Users: len(people)}
			stuckBefore := map[string]bool{}
			for _, who := range people {
				stuckBefore[who.id] = stuck(who)
				if who.kinds(&to) == 0 {
					want.WithoutFactor++
					if who.kinds(&from) == 1 {
						want.LosingOnlyKind++
					}
				}
			}
			got, err := w.PreviewPolicy(t.Context(), w.Client, org, to)
			if err != nil {
				t.Fatal(err)
			}
			change := mfa.PolicyChange{Policy: to, Version: &now.Version}
			_, unseen := w.PutPolicy(t.Context(), w.Client, org, change)
			if unseen != nil {
				if seen := wantCode(t, unseen, mfa.AcknowledgementRequired).Preview; fmt.Sprint(*seen) != fmt.Sprint(got) {
					t.Errorf("%s: the refusal shows %+v, the preview %+v", name, *seen, got)
				}
				change.Acknowledge = true
				if _, err := w.PutPolicy(t.Context(), w.Client, org, change); err != nil {
					t.Fatal(err)
				}
			}
			for _, who := range people {
				is := stuck(who)
				if to.Require == mfa.Everyone && is {
					want.MustEnrol++
				}
				if to.Require == mfa.Everyone && (from.Require != mfa.Everyone || is && !stuckBefore[who.id]) {
					want.Sample = append(want.Sample, who.id)
				}
				if u, err := w.GetUser(t.Context(), w.Client, org, who.id); err != nil || u.Status != who.status(&to) {
					t.Errorf("%s, then %s: got status %s, %v, want %s", name, who.id, u.Status, err, who.status(&to))
				}
			}
			if got.Users != want.Users || got.WithoutFactor != want.WithoutFactor || got.MustEnrol != want.MustEnrol ||
				got.LosingOnlyKind != want.LosingOnlyKind || !slices.Equal(got.Sample, want.Sample) {
				t.Errorf("%s: got %+v, and then happened %+v", name, got, want)
			}
			if needs := len(want.Sample) > 0; needs != (unseen != nil) {
				t.Errorf("%s: got %v without an acknowledgement, want it needed: %v", name, unseen, needs)
			} else if needs {
				forced++
			}
		}
	}
	if forced < 20 {
		t.Errorf("got %d changes that force somebody, want some of each sort", forced)
	}
}
