package mfa_test

import (
	"slices"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// An address is one factor, whether the user enrolled it, the account has it, or both. An enrolled factor keeps the address
// that was proven.
func TestAnAddressIsOneFactorHoweverItCameToBeOne(t *testing.T) {
	const moved = "ana@other.example"
	for name, c := range map[string]struct {
		email   string
		moves   bool
		methods []string      // the addresses that are offered, beginning with the one that is asked for
		enrol   mfa.ErrorCode // the refusal of an enrolment of the account's address; empty if it may be enrolled
	}{
		"enrolled":                           {mfa.Enrolled, false, []string{mail}, mfa.AlreadyExists},
		"enrolled, and the account moved":    {mfa.Enrolled, true, []string{mail}, ""},
		"both":                               {mfa.Implicit, false, []string{mail}, mfa.MethodForbidden},
		"enrolled, the account's is another": {mfa.Implicit, true, []string{mail, moved}, mfa.MethodForbidden},
		"forbidden":                          {mfa.NotAllowed, false, nil, mfa.MethodForbidden},
		"forbidden, and the account moved":   {mfa.NotAllowed, true, nil, mfa.MethodForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			w := mfatest.New(t)
			w.SetPolicy(t, org, "default", nil)
			enrolled := enrolMail(t, w, w.Fresh())
			if !enrolled.Factor.Created.Equal(w.Clock.Now()) || len(shown(t, w).Factors) != 1 || !shown(t, w).Factors[0].Created.Equal(w.Clock.Now()) {
				t.Errorf("got %+v, want a factor made now", enrolled.Factor)
			}
			q := mfa.StartRequest{Org: org, User: mfa.Person{ID: user}}
			if c.moves {
				if _, err := w.PutUser(t.Context(), w.Client, org, mfa.Person{ID: user, Email: mfa.Some(moved)}); err != nil {
					t.Fatal(err)
				}
			}
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Methods.Email = c.email })
			w.Clock.Advance(time.Hour)
			answer, err := w.StartChallenge(t.Context(), w.Client, q)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			implicit := 0
			if answer.Challenge != nil {
				for _, m := range answer.Challenge.Methods {
					before := map[string]int{mail: len(w.Outbox.To(mail)), moved: len(w.Outbox.To(moved))}
					w.Clock.Advance(time.Minute)
					if _, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: answer.Challenge.ID, Factor: m.Factor}); err != nil {
						t.Fatal(err)
					}
					for _, to := range []string{mail, moved} {
						if len(w.Outbox.To(to)) > before[to] {
							got = append(got, to)
						}
					}
					if m.Factor != enrolled.Factor.ID {
						implicit++
					}
				}
			}
			slices.Sort(got)
			slices.Sort(c.methods)
			if !slices.Equal(got, c.methods) {
				t.Errorf("got codes to %v, want %v", got, c.methods)
			}
			if want := map[string]int{mfa.Implicit: 1}[c.email]; implicit != want {
				t.Errorf("got %d factors that were not enrolled, want %d", implicit, want)
			}
			_, err = w.BeginEnrolment(t.Context(), w.Client, mfa.EnrolRequest{Org: org, User: &q.User, Kind: mfa.Email, OnBehalf: &mfa.Intervention{Actor: "olaf", Reason: "asked for it"}})
			if got := codeOf(err); got != c.enrol {
				t.Errorf("to enrol the account's address: got %v, want %q", err, c.enrol)
			}
		})
	}
}
