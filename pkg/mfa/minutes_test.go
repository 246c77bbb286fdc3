package mfa_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// A code lasts as long as the policy says, but never longer than the challenge or enrolment that it answers. The answer to
// the client and the message to the user say the same, whatever the code is sent for.
func TestACodeSaysForHowLongItIsGood(t *testing.T) {
	starting := func(t *testing.T, w *mfatest.World, wait time.Duration) *mfa.Sent {
		t.Helper()
		ch := started(t, w, ana())
		if wait == 0 {
			return ch.Sent
		}
		w.Clock.Advance(wait)
		again, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID})
		if err != nil {
			t.Fatal(err)
		}
		return again.Sent
	}
	enrolling := func(t *testing.T, w *mfatest.World, wait time.Duration) *mfa.Sent {
		t.Helper()
		who := ana().User
		begun, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &who, Kind: mfa.Email})
		if err != nil {
			t.Fatal(err)
		}
		if wait == 0 {
			return begun.Sent
		}
		w.Clock.Advance(wait)
		again, err := w.SendEnrolment(t.Context(), w.Client, begun.ID)
		if err != nil {
			t.Fatal(err)
		}
		return again.Sent
	}
	proving := func(t *testing.T, w *mfatest.World, wait time.Duration) *mfa.Sent {
		t.Helper()
		answer, err := w.StartChallenge(t.Context(), w.Client, ana())
		if err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(wait)
		begun, err := w.BeginEnrolment(t.Context(), mfa.Call{Bearer: answer.Enrolment.Token.Reveal()}, mfa.EnrolRequest{Kind: mfa.TOTP})
		if err != nil {
			t.Fatal(err)
		}
		return begun.Prove.Sent
	}
	implicit := func(p *mfa.Policy) { p.Methods.Email, p.Require = mfa.Implicit, mfa.Everyone }
	required := func(p *mfa.Policy) { p.Require = mfa.Everyone }
	for name, c := range map[string]struct {
		policy  func(*mfa.Policy)
		seconds int
		send    func(*testing.T, *mfatest.World, time.Duration) *mfa.Sent
		wait    time.Duration
		minutes int
	}{
		"a sign-in":                           {implicit, 300, starting, 0, 5},
		"a sign-in, sent again":               {implicit, 300, starting, 9 * time.Minute, 5},
		"a sign-in, sent again near its end":  {implicit, 300, starting, 12 * time.Minute, 3},
		"a sign-in, code as long as it":       {implicit, 900, starting, 0, 15},
		"an enrolment":                        {nil, 300, enrolling, 0, 5},
		"an enrolment, code longer than it":   {nil, 900, enrolling, 0, 10},
		"an enrolment, sent again near it":    {nil, 900, enrolling, 8 * time.Minute, 2},
		"a proof":                             {required, 300, proving, 0, 5},
		"a proof near the end of its sign-in": {required, 300, proving, 14 * time.Minute, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := mfatest.New(t)
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) {
				if p.Challenge.EmailCodeS = c.seconds; c.policy != nil {
					c.policy(p)
				}
			})
			sent := c.send(t, w, c.wait)
			if got := sent.Expires.Sub(w.Clock.Now()); got != time.Duration(c.minutes)*time.Minute {
				t.Errorf("got a code that is good for %v, want %d minutes", got, c.minutes)
			}
			want := fmt.Sprintf("It is valid for %d minutes.", c.minutes)
			if c.minutes == 1 {
				want = "It is valid for 1 minute."
			}
			messages := w.Outbox.To(mail)
			if got := messages[len(messages)-1].Text; !strings.Contains(got, want) {
				t.Errorf("got the message %q, want it to say %q", got, want)
			}
		})
	}
}
