package mfa_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// A pump is an attacker who is paid for each message to numbers of some prefixes, and has as many accounts as they like.
// Every attempt is by another user, with the next number of one of the prefixes: half of them sign in, and half enrol.
type pump struct {
	*mfatest.World
	services [2]*mfa.Service
	prefixes int
	begun    atomic.Int32 // how many enrolments were begun
}

func (p *pump) attempt(t *testing.T, i int) {
	id, number := fmt.Sprint("bot-", i), fmt.Sprintf("+33612%02d%04d", i%p.prefixes, i/p.prefixes%10_000)
	if i/p.prefixes%2 == 0 {
		said := mfa.Person{ID: id, Phone: mfa.Some(number)}
		if _, err := p.services[i%2].StartChallenge(t.Context(), p.Client, mfa.StartRequest{Org: org, User: said}); err != nil {
			t.Error(err)
		}
		return
	}
	said := mfa.Person{ID: id}
	_, err := p.services[i%2].BeginEnrolment(t.Context(), p.Fresh(), mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.SMS, Phone: &number})
	switch {
	case err == nil:
		p.begun.Add(1)
	case mfa.AsError(err).Code != mfa.TooManySends:
		t.Error(err)
	}
}

func TestM1APumpSendsNoMoreThanTheBudgetsAndStopsNoSignIn(t *testing.T) {
	attempts, prefixes := 1_000, 2
	if mfatest.EveryRound() {
		attempts, prefixes = 100_000, 40
	}
	const hours, clerks = 20, 16
	w := texting(t, nil)
	p := &pump{World: w, services: twice(w), prefixes: prefixes}
	neighbour := phoning{"neighbour", "+33612009999"} // of a prefix that is pumped
	neighbour.proves(t, w, org)
	for n := range 8 {
		british(n).proves(t, w, org)
	}
	w.Clock.Advance(14 * time.Hour) // to the beginning of a day

	byPrefixAndHour, signIns, lastEnrolment := map[string]int{}, 0, -1
	seen := 0
	for hour := range hours {
		var next atomic.Int32
		atOnce(clerks, func(int) {
			for {
				n := int(next.Add(1)) - 1
				if n >= attempts/hours {
					return
				}
				p.attempt(t, hour*(attempts/hours)+n)
			}
		})
		texts := w.Outbox.Texts("")
		for _, m := range texts[seen:] {
			byPrefixAndHour[fmt.Sprint(m.To[:8], " ", hour)]++
		}
		if hour%2 == 0 { // a number gets ten codes in a day
			wantSent(t, neighbour.signsIn(t, w, org), "")
		}
		for n := range 8 {
			if hour%4 == n%4 {
				wantSent(t, british(n).signsIn(t, w, org), "")
				signIns++
			}
		}
		if _, err := british(1000+hour).enrols(t, w.Service, w.Fresh(), org); err == nil {
			lastEnrolment = hour
		}
		seen = len(w.Outbox.Texts(""))
		w.Clock.Advance(time.Hour)
	}
	pumped, most := 0, 0 // messages to the attacker's numbers
	for _, n := range byPrefixAndHour {
		pumped, most = pumped+n, max(most, n)
	}
	if most > 10 {
		t.Errorf("got %d messages to one prefix in an hour, want half of the 20 of the policy at most", most)
	}
	if pumped > 250 || pumped != int(p.begun.Load()) {
		t.Errorf("got %d messages and %d enrolments begun, want half of the 500 of a day at most", pumped, p.begun.Load())
	}
	for _, m := range w.Outbox.Texts("") {
		if !strings.HasPrefix(m.To, "+33") && !strings.HasPrefix(m.To, "+44") {
			t.Errorf("got a message to %s", m.To)
		}
	}
	t.Logf("%d attempts in %d hours over %d prefixes: %d messages, %d to one prefix in one hour at most; the user in a pumped prefix "+
		"and %d sign-ins in another country got their codes; enrolments in another country did until hour %d",
		attempts, hours, prefixes, pumped, most, signIns, lastEnrolment+1)
}
