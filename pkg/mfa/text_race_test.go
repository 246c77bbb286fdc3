package mfa_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

func TestM1ManyAtOnceExceedNoBudget(t *testing.T) {
	onBothStoresWithoutFeed(t, func(t *testing.T, w *mfatest.World) {
		allowsTexts(t, w, nil)
		services := twice(w)
		begin := func(p func(int) phoning) (sent int) {
			var c tally
			atOnce(64, func(i int) {
				_, err := p(i).enrols(t, services[i%2], w.Fresh(), org)
				c.add(err)
			})
			c.wantOnly(t, "", mfa.TooManySends)
			return c.heard[""]
		}
		if sent := begin(neighbour); sent != 10 || len(w.Outbox.Texts("")) != 10 {
			t.Errorf("neighbours: got %d codes and %d messages, want 10", sent, len(w.Outbox.Texts("")))
		}
		one := func(i int) phoning { return phoning{fmt.Sprint("one-", i), "+33698765432"} }
		// The hour and the day of a number are counted at the same time. Of many concurrent calls, one can be counted in the
		// hour and another in the day, so that both are refused. Both counts are then given back, so that the next call gets
		// what is left.
		sent := begin(one)
		for i := sent; i < 2; i++ {
			if _, err := one(100+i).enrols(t, w.Service, w.Fresh(), org); err != nil {
				t.Errorf("one number, after %d codes: %v", i, err)
			}
		}
		if sent > 2 || len(w.Outbox.Texts("+33698765432")) != 2 {
			t.Errorf("one number: got %d codes at once and %d messages in all, want 2", sent, len(w.Outbox.Texts("+33698765432")))
		}
		if _, err := one(102).enrols(t, w.Service, w.Fresh(), org); mfa.AsError(err).Code != mfa.TooManySends {
			t.Errorf("one number, after 2 codes: got %v, want %s", err, mfa.TooManySends)
		}
		w.Clock.Advance(time.Hour)
		if sent := begin(func(i int) phoning { return neighbour(100 + i) }); sent != 10 {
			t.Errorf("the next hour: got %d codes, want 10: nothing of before may stay counted", sent)
		}
	})
}

func TestM1ManySignInsAtOnceKeepToTheOrgsDayAndTheNumbersHour(t *testing.T) {
	onBothStoresWithoutFeed(t, func(t *testing.T, w *mfatest.World) {
		allowsTexts(t, w, func(p *mfa.Policy) { p.SMS.DailyCap = 20 })
		services := twice(w)
		for n := range 32 {
			british(n).proves(t, w, org)
		}
		same := "+33612345678"
		for n := range 8 {
			phoning{fmt.Sprint("same-", n), same}.proves(t, w, org)
		}
		start := func(s *mfa.Service, id string) mfa.ErrorCode {
			answer, err := s.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: id}})
			if err != nil {
				return mfa.AsError(err).Code
			}
			return answer.Challenge.SendError
		}
		atOnce(64, func(i int) { start(services[i%2], fmt.Sprint("same-", i%8)) })
		if got := len(w.Outbox.Texts(same)); got != 5 {
			t.Errorf("got %d messages to one number, want 5", got)
		}
		atOnce(32, func(i int) { start(services[i%2], fmt.Sprint("gb-", i)) })
		if got := len(w.Outbox.Texts("")); got != 20 {
			t.Errorf("got %d messages in a day, want 20", got)
		}
	})
}

func TestI1OneCodeBySMSManyTimesAtOnceIsOneSuccess(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		allowsTexts(t, w, nil)
		services := twice(w)
		p := british(1)
		p.proves(t, w, org)
		ch := p.signsIn(t, w, org)
		code := w.Outbox.Code(t, p.number)
		var c tally
		atOnce(64, func(i int) {
			call := []mfa.Call{w.Client, {Bearer: ch.Token.Reveal()}}[i/2%2]
			_, err := services[i%2].Verify(t.Context(), call, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: code}})
			c.add(err)
		})
		c.wantOnly(t, "", mfa.ChallengeInvalid, mfa.Busy)
		if c.heard[""] != 1 {
			t.Errorf("got %d successes, want 1", c.heard[""])
		}
		_, err := verify(t, w, ch.ID, code, false)
		wantCode(t, err, mfa.ChallengeInvalid)
	})
}

func TestR8ManyFinishesWithOneCodeBySMSAtOnceAreOneFactor(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *mfatest.World) {
		allowsTexts(t, w, nil)
		p := british(1)
		id, err := p.enrols(t, w.Service, w.Fresh(), org)
		if err != nil {
			t.Fatal(err)
		}
		code, services := w.Outbox.Code(t, p.number), twice(w)
		var c tally
		var one sync.Mutex
		var codes []seal.Secret
		atOnce(64, func(i int) {
			done, err := services[i%2].FinishEnrolment(t.Context(), w.Fresh(), mfa.FinishRequest{Enrolment: id, Answer: mfa.Answer{Code: code}})
			if c.add(err); err == nil {
				one.Lock()
				defer one.Unlock()
				codes = append(codes, done.RecoveryCodes...)
			}
		})
		c.wantOnly(t, "", mfa.EnrolmentInvalid, mfa.Busy)
		u, err := w.GetUser(t.Context(), w.Client, org, p.id)
		if err != nil {
			t.Fatal(err)
		}
		if c.heard[""] != 1 || len(u.Factors) != 1 || len(codes) != u.Recovery.CodesLeft {
			t.Errorf("got %v heard, %d codes, %+v, want one factor", c.heard, len(codes), u)
		}
		if got := len(events(t, w, mfa.FactorEnrolled)); got != 1 {
			t.Errorf("got %d factor.enrolled, want 1", got)
		}
	})
}
