package mfa_test

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// A pump is an attacker who is paid for each message to numbers with certain prefixes, and who has as many accounts as they
// like. Each attempt is made by another user, with the next number of one of the prefixes. Half of the users sign in, and
// half enrol.
type pump struct {
	*mfatest.World
	services [2]*mfa.Service
	seen     int // messages that were sent before the last wave
}

// A wave is the attempts that are made at one time. They have the numbers from From up to To, without To itself.
type wave struct {
	Now      time.Time
	From, To int
	Prefixes int
}

// A pumped is the result of waves.
type pumped struct {
	Begun   int      // enrolments that were begun
	Refused int      // enrolments that were refused because no message was left for them
	Numbers []string // the numbers that got messages
	Wrong   string   // the first error that should not happen
}

func (p *pumped) add(more pumped) {
	p.Begun, p.Refused, p.Wrong = p.Begun+more.Begun, p.Refused+more.Refused, cmp.Or(p.Wrong, more.Wrong)
	p.Numbers = append(p.Numbers, more.Numbers...)
}

// make makes the attempts of a wave, several at a time.
func (p *pump) make(ctx context.Context, w wave) pumped {
	const clerks = 16
	var next, begun, refused atomic.Int32
	var wrong atomic.Pointer[string]
	atOnce(clerks, func(int) {
		for {
			i := w.From + int(next.Add(1)) - 1
			if i >= w.To {
				return
			}
			enrols, err := p.attempt(ctx, i, w.Prefixes)
			switch {
			case err == nil && enrols:
				begun.Add(1)
			case enrols && mfa.AsError(err).Code == mfa.TooManySends:
				refused.Add(1)
			case err != nil:
				text := err.Error()
				wrong.CompareAndSwap(nil, &text)
			}
		}
	})
	texts := p.Outbox.Texts("")
	all := pumped{Begun: int(begun.Load()), Refused: int(refused.Load())}
	for _, m := range texts[p.seen:] {
		all.Numbers = append(all.Numbers, m.To)
	}
	if text := wrong.Load(); text != nil {
		all.Wrong = *text
	}
	p.seen = len(texts)
	return all
}

func (p *pump) attempt(ctx context.Context, i, prefixes int) (enrols bool, err error) {
	id, number := fmt.Sprint("bot-", i), fmt.Sprintf("+33612%02d%04d", i%prefixes, i/prefixes%10_000)
	if i/prefixes%2 == 0 {
		said := mfa.Person{ID: id, Phone: mfa.Some(number)}
		_, err := p.services[i%2].StartChallenge(ctx, p.Client, mfa.StartRequest{Org: org, User: said})
		return false, err
	}
	said := mfa.Person{ID: id}
	_, err = p.services[i%2].BeginEnrolment(ctx, p.Fresh(), mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.SMS, Phone: &number})
	return true, err
}

// By default the attacker makes 1,000 attempts at two services in this process. With COUNTERSIGN_ROUNDS=full there are
// 100,000 attempts at services in four other processes, which share a table of DynamoDB Local.
func TestM1APumpSendsNoMoreThanTheBudgetsAndStopsNoSignIn(t *testing.T) {
	if at := pumpPlace(); at != nil {
		at.pump(t)
		return
	}
	const hours = 20
	attempts, prefixes, w := 1_000, 2, (*mfatest.World)(nil)
	var attack func(wave) pumped
	if mfatest.EveryRound() {
		attempts, prefixes = 100_000, 40
		w, attack = pumpedByProcesses(t, 4)
	} else {
		w = texting(t, nil)
		p := &pump{World: w, services: twice(w)}
		attack = func(of wave) pumped {
			p.seen = len(w.Outbox.Texts(""))
			return p.make(t.Context(), of)
		}
	}
	neighbour := phoning{"neighbour", "+33612009999"} // an honest user whose number has an attacked prefix
	neighbour.proves(t, w, org)
	for n := range 8 {
		british(n).proves(t, w, org)
	}
	w.Clock.Advance(14 * time.Hour) // to the beginning of a day

	byPrefixAndHour, all, honest, signIns, lastEnrolment := map[string]int{}, pumped{}, 0, 0, -1
	for hour := range hours {
		got := attack(wave{Now: w.Clock.Now(), From: attempts / hours * hour, To: attempts / hours * (hour + 1), Prefixes: prefixes})
		for _, number := range got.Numbers {
			byPrefixAndHour[fmt.Sprint(number[:8], " ", hour)]++
		}
		all.add(got)
		t.Logf("hour %d: %d messages to the attacker's numbers, and %d enrolments refused", hour, len(got.Numbers), got.Refused)
		if hour%2 == 0 { // a number gets at most ten codes in a day
			wantSent(t, neighbour.signsIn(t, w, org), "")
			honest++
		}
		for n := range 8 {
			if hour%4 == n%4 {
				wantSent(t, british(n).signsIn(t, w, org), "")
				signIns, honest = signIns+1, honest+1
			}
		}
		room := len(all.Numbers)+honest < 250 // half of what the policy allows an org in a day
		_, err := british(1000+hour).enrols(t, w.Service, w.Fresh(), org)
		if err == nil {
			lastEnrolment, honest = hour, honest+1
		}
		if (err == nil) != room || err != nil && mfa.AsError(err).Code != mfa.TooManySends {
			t.Errorf("hour %d: an enrolment in another country got %v, and half of the day had room: %t", hour, err, room)
		}
		w.Clock.Advance(time.Hour)
	}
	most := 0 // the most messages to one prefix in one hour
	for _, n := range byPrefixAndHour {
		most = max(most, n)
	}
	if all.Wrong != "" || all.Begun+all.Refused != attempts/2 {
		t.Errorf("got %d enrolments begun and %d refused of %d, and %q", all.Begun, all.Refused, attempts/2, all.Wrong)
	}
	if most > 10 {
		t.Errorf("got %d messages to one prefix in an hour, want half of the 20 of the policy at most", most)
	}
	if len(all.Numbers) > 250 || len(all.Numbers) != all.Begun {
		t.Errorf("got %d messages and %d enrolments begun, want half of the 500 of a day at most", len(all.Numbers), all.Begun)
	}
	for _, number := range all.Numbers {
		if !strings.HasPrefix(number, "+33612") {
			t.Errorf("got a message to %s", number)
		}
	}
	t.Logf("%d attempts in %d hours over %d prefixes: %d messages, %d to one prefix in one hour at most; the user in a pumped prefix "+
		"and %d sign-ins in another country got their codes; enrolments in another country did until hour %d",
		attempts, hours, prefixes, len(all.Numbers), most, signIns, lastEnrolment+1)
}
