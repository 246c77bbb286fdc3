package mfa_test

import (
	"fmt"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store/fault"
)

// A phoning is a person with a phone number.
type phoning struct{ id, number string }

// neighbour returns the n-th of many people whose numbers differ in the last four digits only.
func neighbour(n int) phoning { return phoning{fmt.Sprint("n-", n), fmt.Sprintf("+3361234%04d", n)} }

// british returns the n-th of many people in another country.
func british(n int) phoning { return phoning{fmt.Sprint("gb-", n), fmt.Sprintf("+447400%06d", n)} }

func (p phoning) person() mfa.Person { return mfa.Person{ID: p.id} }

// enrols begins an enrolment of the person's number.
func (p phoning) enrols(t *testing.T, s *mfa.Service, call mfa.Call, in string) (string, error) {
	t.Helper()
	said := p.person()
	begun, err := s.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Org: in, User: &said, Kind: mfa.SMS, Phone: &p.number})
	if err == nil && begun.Sent == nil {
		t.Errorf("got %+v, want a code that was sent", begun)
	}
	return begun.ID, err
}

// proves makes the number a factor of the person.
func (p phoning) proves(t *testing.T, w *mfatest.World, in string) {
	t.Helper()
	if _, err := w.PutUser(t.Context(), w.Client, in, p.person()); err != nil {
		t.Fatal(err)
	}
	if err := w.PutFactor(t.Context(), in, p.id, mfa.SMS, p.number); err != nil {
		t.Fatal(err)
	}
}

// signsIn starts a sign-in, and returns its challenge.
func (p phoning) signsIn(t *testing.T, w *mfatest.World, in string) *mfa.ChallengeToAnswer {
	t.Helper()
	return started(t, w, mfa.StartRequest{Org: in, User: p.person()})
}

// wantSent fails the test unless the sign-in sent a code or, if why is not empty, sent none for that reason.
func wantSent(t *testing.T, ch *mfa.ChallengeToAnswer, why mfa.ErrorCode) {
	t.Helper()
	if (ch.Sent != nil) != (why == "") || ch.SendError != why || ch.Default == nil {
		t.Errorf("got the code %+v and %q, want %q", ch.Sent, ch.SendError, why)
	}
}

// blocked returns how often each budget was full, by the events about a user.
func blocked(t *testing.T, w *mfatest.World, of string) map[any]int {
	t.Helper()
	w.Drain(t)
	by := map[any]int{}
	for _, e := range w.Events.All() {
		if e.Type == mfa.DeliveryBlocked && e.User == of {
			if e.Data["channel"] != "sms" || e.Data["sequence"] == nil {
				t.Errorf("got the event %+v", e)
			}
			by[e.Data["budget"]]++
		}
	}
	return by
}

func TestM1NeighboursWhoDontAnswerCloseTheirPrefix(t *testing.T) {
	w := texting(t, nil)
	w.Clock.Advance(20 * time.Minute)
	for n := range 10 {
		if _, err := neighbour(n).enrols(t, w.Service, w.Fresh(), org); err != nil {
			t.Fatalf("enrolment %d: %v", n+1, err)
		}
	}
	for n := 10; n < 14; n++ {
		_, err := neighbour(n).enrols(t, w.Service, w.Fresh(), org)
		if e := wantCode(t, err, mfa.TooManySends); e.RetryAfter != 40*time.Minute {
			t.Errorf("got a wait of %v, want until the hour is over", e.RetryAfter)
		}
	}
	if by := blocked(t, w, "n-13"); by["prefix"] != 1 || len(by) != 1 {
		t.Errorf("got the events %v, want one about the prefix", by)
	}
	if got := len(w.Outbox.Texts("")); got != 10 {
		t.Errorf("got %d messages, want half of sms.hourly_prefix_cap", got)
	}
	if _, err := (phoning{"other", "+33698765432"}).enrols(t, w.Service, w.Fresh(), org); err != nil {
		t.Errorf("another prefix: %v", err)
	}
	if _, err := british(1).enrols(t, w.Service, w.Fresh(), org); err != nil {
		t.Errorf("another country: %v", err)
	}
	w.SetPolicy(t, "other", "salto", func(p *mfa.Policy) { p.SMS.Countries = []string{"FR"} })
	if _, err := neighbour(1).enrols(t, w.Service, w.Fresh(), "other"); err != nil {
		t.Errorf("another organisation: %v", err)
	}
	w.Clock.Advance(40 * time.Minute)
	if _, err := neighbour(20).enrols(t, w.Service, w.Fresh(), org); err != nil {
		t.Errorf("the next hour: %v", err)
	}
}

func TestM1AProvenNumberOfAClosedPrefixStillGetsItsCodes(t *testing.T) {
	w := texting(t, nil)
	honest := neighbour(9999)
	honest.proves(t, w, org)
	for n := range 12 {
		neighbour(n).enrols(t, w.Service, w.Fresh(), org)
	}
	if got := len(w.Outbox.Texts("")); got != 10 {
		t.Fatalf("got %d messages, want the prefix closed", got)
	}
	ch := honest.signsIn(t, w, org)
	wantSent(t, ch, "")
	if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, honest.number), false); err != nil {
		t.Error(err)
	}
}

func TestM1APrefixWhoseCodesAreAnsweredStaysOpen(t *testing.T) {
	for _, c := range []struct{ answered, conversion, more int }{
		{0, 20, 0},
		{2, 20, 0}, // of the 10 that were sent
		{3, 20, 5},
		{5, 20, 15},
		{5, 50, 0},
		{0, 0, 20},
		{10, 100, 0},
	} {
		w := texting(t, func(p *mfa.Policy) { p.SMS.MinConversion = c.conversion })
		for n := range 10 {
			id, err := neighbour(n).enrols(t, w.Service, w.Fresh(), org)
			if err != nil {
				t.Fatal(err)
			}
			if n < c.answered {
				if _, err := finish(t, w, w.Client, id, w.Outbox.Code(t, neighbour(n).number)); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.Drain(t)
		more := 0
		for n := 10; n < 30; n++ {
			if _, err := neighbour(n).enrols(t, w.Service, w.Fresh(), org); err == nil {
				more++
			}
		}
		if more != c.more {
			t.Errorf("%d of 10 answered, at least %d %% wanted: got %d more messages, want %d", c.answered, c.conversion, more, c.more)
		}
	}
}

func TestM1AnAnswerAtASignInCountsForTheHourInWhichItsCodeWasSent(t *testing.T) {
	w := texting(t, nil)
	honest := []phoning{neighbour(9990), neighbour(9991), neighbour(9992)}
	w.Clock.Advance(59 * time.Minute)
	for _, p := range honest {
		p.proves(t, w, org)
		ch := p.signsIn(t, w, org)
		w.Clock.Advance(2 * time.Minute)
		if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, p.number), false); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(-2 * time.Minute)
	}
	w.Drain(t)
	sent := 0
	for n := range 20 {
		if _, err := neighbour(n).enrols(t, w.Service, w.Fresh(), org); err == nil {
			sent++
		}
	}
	if sent != 12 {
		t.Errorf("got %d more messages, want 15 in all for 3 answers and 20 %%", sent)
	}
	w.Clock.Advance(time.Minute)
	sent = 0
	for n := 20; n < 40; n++ {
		if _, err := neighbour(n).enrols(t, w.Service, w.Fresh(), org); err == nil {
			sent++
		}
	}
	if sent != 10 {
		t.Errorf("the next hour: got %d messages, want 10, because no code of it was answered", sent)
	}
}

func TestM1ANumberGetsFiveCodesInAnHourAndTenInADayWhoeverAsks(t *testing.T) {
	w := texting(t, nil)
	shared := "+33612340000"
	people := []phoning{{"a", shared}, {"b", shared}, {"c", shared}}
	for _, p := range people {
		p.proves(t, w, org)
	}
	day := 0
	for hour := range 3 {
		want := []int{5, 5, 0}[hour]
		for n := range 8 {
			why := mfa.TooManySends
			if n < want {
				why = ""
			}
			ch := people[n%3].signsIn(t, w, org)
			wantSent(t, ch, why)
			if wait := []int{3600, 13 * 3600, 12 * 3600}[hour]; why != "" && ch.RetryAfterS != wait {
				t.Errorf("hour %d: got a wait of %d s, want %d", hour+1, ch.RetryAfterS, wait)
			}
		}
		day += want
		if got := len(w.Outbox.Texts(shared)); got != day {
			t.Errorf("hour %d: got %d messages, want %d", hour+1, got, day)
		}
		w.Clock.Advance(time.Hour)
	}
	w.Clock.Advance(11 * time.Hour)
	wantSent(t, people[0].signsIn(t, w, org), "")
	if by := blocked(t, w, "a"); by["number"] == 0 || len(by) != 1 {
		t.Errorf("got the events %v, want some about the number", by)
	}
}

func TestM1ANumberThatIsEnrolledGetsHalfAsManyCodes(t *testing.T) {
	w := texting(t, nil)
	sent := 0
	for n := range 4 {
		if _, err := (phoning{fmt.Sprint("u-", n), number}).enrols(t, w.Service, w.Fresh(), org); err == nil {
			sent++
		}
	}
	if sent != 2 {
		t.Errorf("got %d messages in an hour, want half of 5", sent)
	}
	owner := phoning{"owner", number}
	owner.proves(t, w, org)
	wantSent(t, owner.signsIn(t, w, org), "")
}

func TestM1AnOrgsDayEndsAtItsCapAndEnrolmentsAtHalfOfIt(t *testing.T) {
	w := texting(t, func(p *mfa.Policy) { p.SMS.DailyCap = 6 })
	for n := range 5 {
		_, err := neighbour(n).enrols(t, w.Service, w.Fresh(), org)
		if n < 3 && err != nil {
			t.Fatal(err)
		}
		if n >= 3 {
			if e := wantCode(t, err, mfa.TooManySends); e.RetryAfter != 14*time.Hour {
				t.Errorf("got a wait of %v, want until midnight", e.RetryAfter)
			}
		}
	}
	for n := range 5 {
		british(n).proves(t, w, org)
		why := mfa.TooManySends
		if n < 3 {
			why = ""
		}
		wantSent(t, british(n).signsIn(t, w, org), why)
	}
	if by := blocked(t, w, "gb-4"); by["organisation"] != 1 || len(by) != 1 {
		t.Errorf("got the events %v, want one about the organisation", by)
	}
	w.Clock.Advance(14 * time.Hour)
	wantSent(t, british(4).signsIn(t, w, org), "")
}

func TestM1AUsersOwnBudgetComesFirstAndEnrolmentsGetHalfOfIt(t *testing.T) {
	w := texting(t, func(p *mfa.Policy) { p.SMS.UserDailyCap = 4 })
	many := phoning{"many", ""}
	begin := func(n int) error {
		many.number = neighbour(n * 1000).number
		_, err := many.enrols(t, w.Service, w.Fresh(), org)
		return err
	}
	for n := range 2 {
		if err := begin(n); err != nil {
			t.Fatal(err)
		}
	}
	w.Faults.Reset()
	wantCode(t, begin(3), mfa.TooManySends)
	if got := w.Faults.Counts().Count; got != 0 {
		t.Errorf("got %d counts asked, want none: the user's own budget comes first", got)
	}
	many.number = number
	many.proves(t, w, org)
	for n := range 4 {
		why := mfa.TooManySends
		if n < 2 {
			why = ""
		}
		wantSent(t, many.signsIn(t, w, org), why)
	}
	w.Clock.Advance(24 * time.Hour)
	wantSent(t, many.signsIn(t, w, org), "")
}

func TestM1AUserGetsTenCodesInAnHourAndThirtyInADay(t *testing.T) {
	w := texting(t, func(p *mfa.Policy) { p.SMS.UserDailyCap, p.Challenge.ResendAfterS = 1000, 10 })
	p := phoning{"many", ""}
	for n := range 7 { // so that no number reaches its own limit
		p.number = neighbour(n).number
		p.proves(t, w, org)
	}
	for hour, want := range []int{10, 20, 30, 30} {
		for n := range 20 {
			ch := p.signsIn(t, w, org)
			w.Clock.Advance(10 * time.Second)
			w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID, Factor: ch.Methods[n%7].Factor})
		}
		if got := len(w.Outbox.Texts("")); got != want {
			t.Errorf("hour %d: got %d messages, want %d", hour+1, got, want)
		}
		w.Clock.Advance(time.Hour)
	}
}

func TestM1WhatWasNotSentIsInNoBudget(t *testing.T) {
	w := texting(t, func(p *mfa.Policy) { p.SMS.DailyCap = 4 })
	p := british(1)
	p.proves(t, w, org)
	w.Outbox.Fail(errRefused, false)
	for range 7 { // more than the limits of the number and of the day
		wantSent(t, p.signsIn(t, w, org), mfa.DeliveryFailed)
	}
	w.Outbox.Fail(nil, false)
	for range 4 {
		wantSent(t, p.signsIn(t, w, org), "")
	}
	wantSent(t, p.signsIn(t, w, org), mfa.TooManySends)
	if got := len(w.Outbox.Texts("")); got != 4 {
		t.Errorf("got %d messages, want 4", got)
	}
}

func TestM1WhatMayHaveBeenSentIsInEveryBudget(t *testing.T) {
	w := texting(t, func(p *mfa.Policy) { p.SMS.DailyCap = 4 })
	p := british(1)
	p.proves(t, w, org)
	w.Outbox.Fail(errProvider, true)
	for range 4 {
		wantSent(t, p.signsIn(t, w, org), mfa.DeliveryFailed)
	}
	w.Outbox.Fail(nil, false)
	wantSent(t, p.signsIn(t, w, org), mfa.TooManySends)
	if got := len(w.Outbox.Texts("")); got != 4 {
		t.Errorf("got %d messages, want 4", got)
	}
}

func TestM1WhatOneBudgetRefusesIsInNoOther(t *testing.T) {
	w := texting(t, func(p *mfa.Policy) { p.SMS.DailyCap = 12 })
	p := british(1)
	p.proves(t, w, org)
	for n := range 15 {
		why := mfa.TooManySends
		if n < 5 {
			why = ""
		}
		wantSent(t, p.signsIn(t, w, org), why) // the limit of the number refuses ten of these
	}
	q := british(2)
	q.proves(t, w, org)
	wantSent(t, q.signsIn(t, w, org), "")
	if got := len(w.Outbox.Texts("")); got != 6 {
		t.Errorf("got %d messages, want 5 and 1", got)
	}
	for n := range 6 { // the org has room for exactly these in the day
		r := british(10 + n)
		r.proves(t, w, org)
		wantSent(t, r.signsIn(t, w, org), "")
	}
	wantSent(t, q.signsIn(t, w, org), mfa.TooManySends)
}

func TestI7NoMessageIsSentThatCouldNotBeCounted(t *testing.T) {
	for name, c := range map[string]struct {
		passes, befalls int // how many calls succeed first, and how many calls after them get the fault
		fault           fault.Fault
		left            int // how many messages the number can still get afterwards
	}{
		"one read fails":           {0, 1, fault.Fail(nil), 5},
		"all reads fail":           {0, 4, fault.Fail(nil), 5},
		"one is not counted":       {4, 1, fault.Fail(nil), 5},
		"none is counted":          {4, 4, fault.Fail(nil), 5},
		"the answers are lost":     {4, 4, fault.Lose(nil), 4},
		"one can't be taken back":  {4, 8, fault.Lose(nil), 4},
		"all is lost but the read": {0, 12, fault.Lose(nil), 5},
	} {
		t.Run(name, func(t *testing.T) {
			w := texting(t, nil)
			p := british(1)
			p.proves(t, w, org)
			w.Faults.Inject(fault.Count, c.passes, fault.Fault{})
			w.Faults.Inject(fault.Count, c.befalls, c.fault)
			wantSent(t, p.signsIn(t, w, org), mfa.DeliveryFailed)
			if got := len(w.Outbox.Texts("")); got != 0 {
				t.Errorf("got %d messages, want none", got)
			}
			w.Faults.Clear()
			for range 6 {
				p.signsIn(t, w, org)
			}
			if got := len(w.Outbox.Texts("")); got != c.left {
				t.Errorf("got %d messages after it, want %d", got, c.left)
			}
		})
	}
}

func TestANumberThatSendsNothingLeavesNoTrace(t *testing.T) {
	w := texting(t, nil)
	p := british(1)
	p.proves(t, w, org)
	w.Service.Text = nil // as in a function that sends no text messages
	wantSent(t, p.signsIn(t, w, org), mfa.DeliveryFailed)
	w.Service.Text = w.Outbox
	for range 5 {
		wantSent(t, p.signsIn(t, w, org), "")
	}
}
