package mfa_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// A rehearsal is an org whose users, policies and clock change at random.
type rehearsal struct {
	*testing.T
	*mfatest.World
	chance *rand.Rand
	now    mfa.OrgPolicy
}

// somebody returns one of eight users, who may not exist.
func (r *rehearsal) somebody() string { return fmt.Sprintf("u-%d", r.chance.IntN(8)) }

// some reports true as often as n times in ten.
func (r *rehearsal) some(n int) bool { return r.chance.IntN(10) < n }

// moment returns none, or a moment at most an hour before or after now.
func (r *rehearsal) moment() *time.Time {
	if r.some(3) {
		return nil
	}
	at := r.Clock.Now().Add(time.Duration(r.chance.IntN(120)-60) * time.Minute)
	return &at
}

// change changes something about a user, or lets time pass.
func (r *rehearsal) change() {
	r.Helper()
	id := r.somebody()
	who := mfa.Person{ID: id}
	var err error
	switch r.chance.IntN(8) {
	case 0:
		if r.some(5) {
			who.Email = mfa.Some(id + "@acme.example")
		} else {
			who.Email.Set = true
		}
		_, err = r.PutUser(r.Context(), r.Client, org, who)
	case 1, 2:
		kind := []mfa.Kind{mfa.TOTP, mfa.Email}[r.chance.IntN(2)]
		r.enrol(who, kind)
	case 3:
		enforced := r.some(5)
		_, err = r.Enforce(r.Context(), r.Client, org, id, mfa.Enforcement{Enforced: &enforced})
	case 4:
		_, err = r.Enforce(r.Context(), r.Client, org, id, mfa.Enforcement{GraceUntil: mfa.Optional[time.Time]{Set: true, Value: r.moment()}})
	case 5:
		_, err = r.StartChallenge(r.Context(), r.Client, mfa.StartRequest{Org: org, User: who}) // it may spend a skip
	case 6:
		if r.some(3) {
			err = r.EraseUser(r.Context(), r.Client, org, id)
		}
	case 7:
		r.Clock.Advance(time.Duration(r.chance.IntN(40)) * time.Minute)
		_, err = r.FanOut(r.Context())
	}
	switch mfa.AsError(err).Code {
	case mfa.Unavailable, mfa.Busy, mfa.InvalidRequest:
		if err != nil {
			r.Fatal(err)
		}
	}
}

// enrol has an administrator enrol a factor for a user, if there is room for it.
func (r *rehearsal) enrol(who mfa.Person, kind mfa.Kind) {
	r.Helper()
	if kind == mfa.Email {
		who.Email = mfa.Some(who.ID + "@acme.example")
	}
	begun, err := r.BeginEnrolment(r.Context(), r.Client, mfa.EnrolRequest{
		Org: org, User: &who, Kind: kind, OnBehalf: &mfa.Intervention{Actor: "olga", Reason: "asked"},
	})
	if err != nil {
		return
	}
	answer := mfa.Answer{}
	if kind == mfa.TOTP {
		a, err := mfatest.NewAuthenticator(begun.TOTP.URI.Reveal())
		if err != nil {
			r.Fatal(err)
		}
		answer.Code = r.Code(a)
	} else if !begun.Proven {
		answer.Code = r.Outbox.Code(r.T, *who.Email.Value)
	}
	if _, err := r.FinishEnrolment(r.Context(), r.Client, mfa.FinishRequest{Enrolment: begun.ID, Answer: answer}); err != nil {
		r.Fatal(err)
	}
}

// another returns a policy that may be saved.
func (r *rehearsal) another() mfa.Policy {
	for {
		p := r.now.Policy
		if r.some(5) {
			p.Require = []string{mfa.Nobody, mfa.Everyone}[r.chance.IntN(2)]
		}
		if r.some(4) {
			p.Methods.TOTP = []string{mfa.Allowed, mfa.NotAllowed}[r.chance.IntN(2)]
			p.Methods.Email = []string{mfa.Implicit, mfa.Enrolled, mfa.NotAllowed}[r.chance.IntN(3)]
			p.Methods.WebAuthn = mfa.NotAllowed
		}
		if r.some(5) {
			p.Effect = []string{mfa.NextSignIn, mfa.SignOutNow, mfa.SignOutNow}[r.chance.IntN(3)]
		}
		if r.some(5) {
			if p.GraceUntil, p.MaxSkips = r.moment(), nil; p.GraceUntil != nil && r.some(5) {
				skips := r.chance.IntN(4)
				p.MaxSkips = &skips
			}
		}
		if p.Check() == nil {
			return p
		}
	}
}

// save previews a policy and saves it, and returns the preview. It fails the test if the save asks for an acknowledgement although the
// preview says that nobody is signed out or asked, or shows another preview.
func (r *rehearsal) save(p mfa.Policy) mfa.Preview {
	r.Helper()
	said, err := r.PreviewPolicy(r.Context(), r.Client, org, p)
	if err != nil {
		r.Fatal(err)
	}
	change := mfa.PolicyChange{Policy: p, Version: &r.now.Version}
	put, err := r.PutPolicy(r.Context(), r.Client, org, change)
	if needed := len(said.Sample) > 0; needed != (err != nil) {
		r.Fatalf("got %v without an acknowledgement of %+v", err, said)
	} else if needed {
		if shown := wantCode(r.T, err, mfa.AcknowledgementRequired).Preview; fmt.Sprint(*shown) != fmt.Sprint(said) {
			r.Fatalf("the refusal shows %+v, the preview %+v", *shown, said)
		}
		change.Acknowledge = true
		if put, err = r.PutPolicy(r.Context(), r.Client, org, change); err != nil {
			r.Fatal(err)
		}
	}
	r.now = put
	return said
}

// What a preview says is what then happens, over thousands of random policies, factors, addresses, enforcements, grace and skips. The
// test asks start, introspect and the account, which go by the guard, and not the roster, which the preview reads.
func TestT2WhatAPreviewSaysIsWhatHappensInThousandsOfRandomCases(t *testing.T) {
	saves, signedOut, inGrace, enrol := 0, 0, 0, 0
	for seed := uint64(0); saves < 2000; seed++ {
		w := mfatest.New(t)
		r := &rehearsal{T: t, World: w, chance: rand.New(rand.NewPCG(seed, 7)), now: w.SetPolicy(t, org, "default", nil)}
		for range 100 {
			for range 1 + r.chance.IntN(6) {
				r.change()
			}
			w.Clock.Advance(time.Minute) // longer than the ends of earlier sessions lie ahead
			issued := w.Clock.Now()
			said := r.save(r.another())
			saves++
			var got mfa.Preview
			for i := range 8 {
				id := fmt.Sprintf("u-%d", i)
				user, err := w.GetUser(t.Context(), w.Client, org, id)
				if err != nil {
					continue
				}
				got.Users++
				decided, err := w.Decide(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: id}})
				must := decided.Decision == mfa.Enrol || err != nil
				if must {
					got.MustEnrol++
				}
				if is, why := active(t, w, id, issued); !is {
					got.SignedOut++
					if why != "signed_out_by_policy" || !must {
						t.Fatalf("seed %d, save %d: %s was signed out because of %s, and a start says %+v, %v", seed, saves, id, why, decided, err)
					}
				}
				grace := decided.Reason == mfa.Grace
				if grace {
					inGrace++
				}
				if (user.Status == mfa.InGrace) != grace || must && (!user.Required || user.Status != mfa.Unprotected) {
					t.Fatalf("seed %d, save %d: the account of %s says %+v, and a start %+v, %v", seed, saves, id, user, decided, err)
				}
			}
			if got.Users != said.Users || got.MustEnrol != said.MustEnrol || got.SignedOut != said.SignedOut {
				t.Fatalf("seed %d, save %d: the preview says %+v, and then happened %+v", seed, saves, said, got)
			}
			signedOut, enrol = signedOut+got.SignedOut, enrol+got.MustEnrol
		}
	}
	if signedOut < 200 || inGrace < 200 || enrol < 200 {
		t.Errorf("%d signed out, %d in grace and %d to enrol: the cases are too tame", signedOut, inGrace, enrol)
	}
	t.Logf("%d saves: %d signed out, %d in grace, %d to enrol", saves, signedOut, inGrace, enrol)
}
