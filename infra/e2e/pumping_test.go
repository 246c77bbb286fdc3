package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// next moves the clock to the beginning of the next hour or day in UTC. The shared budgets of text messages begin anew then.
func (w *world) next(t *testing.T, unit time.Duration) {
	t.Helper()
	now := w.now(t)
	w.advance(t, now.Truncate(unit).Add(unit).Sub(now)+time.Second)
}

// pumped returns the n-th account of an attacker. The numbers of the accounts differ only in the last two digits.
func pumped(n int) (person, string) {
	return person{"acme", fmt.Sprintf("bot-%02d", n), ""}, fmt.Sprintf("+336123456%02d", n)
}

// proven enrols a number for a person without an address, and returns the person and the number.
func (w *world) proven(t *testing.T, id, number string) (person, string) {
	t.Helper()
	p := person{"acme", id, ""}
	w.enrolNumber(t, p, number, "")
	return p, number
}

// byNumber starts a sign-in, or another purpose, of somebody who has a number. It fails the test unless the answer is a challenge
// for which a code was sent or, if why isn't empty, wasn't sent for that reason.
func (w *world) byNumber(t *testing.T, p person, purpose, why string) answer {
	t.Helper()
	asked := w.do(t, call{method: "POST", path: "/v1/challenges", body: p.bare(doc{"purpose": purpose})}).want(t, 201, "")
	if sent := asked.text("challenge", "sent", "kind") == "sms"; sent != (why == "") || asked.text("challenge", "send_error") != why || len(kindsOf(asked)) != 1 {
		t.Errorf("%s of %s: got %s, want the reason %q", purpose, p.id, asked.raw, why)
	}
	return asked
}

// wantBlocked fails the test unless n events say that messages to some of these users were held back by this budget.
func (w *world) wantBlocked(t *testing.T, n int, budget string, users ...string) {
	t.Helper()
	got := 0
	for _, user := range users {
		for _, e := range w.events(t, user, "delivery.blocked") {
			if got++; e.text("data", "budget") != budget || e.text("data", "channel") != "sms" || strings.Contains(fmt.Sprint(e), "612345") {
				t.Errorf("got the event %v, want one about the budget %s that has no number", e, budget)
			}
		}
	}
	if got != n {
		t.Errorf("got %d events delivery.blocked, want %d", got, n)
	}
}

func texting(more doc) doc {
	return salto(doc{"sms": doc{"countries": []string{"FR", "GB"}}.with(more)})
}

func TestM1NumbersNextToEachOtherKeepToTheCapOfTheirPrefix(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", texting(doc{"hourly_prefix_cap": 6, "min_conversion": 100}).with(doc{"require": "everyone"}))
		w.policy(t, "other", salto(nil))
		honest, number := w.proven(t, "u-1", "+33612345699")
		w.next(t, time.Hour)
		const attempts = 8
		var begins []call
		var users []string
		for n := range attempts {
			p, number := pumped(n)
			users = append(users, p.id)
			if n%2 == 0 {
				begins = append(begins, call{method: "POST", path: "/v1/enrolments", body: p.bare(doc{"kind": "sms", "phone": number}), header: w.fresh(t, "")})
				continue
			}
			start := doc{"org": p.org, "user": doc{"id": p.id, "phone": number}}
			asked := w.do(t, call{method: "POST", path: "/v1/challenges", body: start}).want(t, 201, "")
			if asked.text("decision") != "enrol" {
				t.Fatalf("got %s", asked.raw)
			}
			begins = append(begins, call{method: "POST", path: "/v1/enrolments", bearer: asked.text("enrolment", "token"), body: doc{"kind": "sms"}})
		}
		before := w.textsSent(t) // no start has sent anything
		answers := w.atOnce(t, attempts, func(i int) call { return begins[i] })
		if len(answers[201]) != 3 || len(answers[429]) != attempts-3 {
			t.Fatalf("got %v, want half of the cap of the prefix for enrolments", answers)
		}
		for _, refused := range answers[429] {
			if wait := refused.want(t, 429, "too_many_sends").number("retry_after_s"); wait < 3000 || wait > 3600 {
				t.Errorf("got %s, want a wait until the hour is over", refused.raw)
			}
		}
		if got := w.textsSent(t) - before; before != 1 || got != 3 {
			t.Errorf("got %d messages, %d of them before, want 3 and 1", got, before)
		}
		w.wantBlocked(t, attempts-3, "prefix", users...)
		for _, purpose := range []string{"sign_in", "step_up"} { // numbers that were proven still get codes
			id := w.byNumber(t, honest, purpose, "").text("challenge", "id")
			w.verify(t, id, doc{"code": w.code(t, number)}).want(t, 200, "")
		}
		late, closed := pumped(50)
		w.beginNumber(t, late, closed, "").want(t, 429, "too_many_sends")
		w.beginNumber(t, person{"acme", "u-2", ""}, "+33698765432", "").want(t, 201, "")
		w.beginNumber(t, person{"acme", "u-3", ""}, "+447400123456", "").want(t, 201, "")
		w.beginNumber(t, person{"other", late.id, ""}, closed, "").want(t, 201, "")
		w.next(t, time.Hour)
		w.beginNumber(t, late, closed, "").want(t, 201, "")
	})
}

func TestM1NothingIsSentToACountryThatIsNotOpen(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", texting(nil).with(doc{"require": "everyone"}))
		british, number := w.proven(t, "u-1", "+447400123456")
		german := doc{"kind": "sms", "phone": "+4915123456789"}
		before := w.textsSent(t)
		refused := func() {
			t.Helper()
			stranger := person{"acme", "u-2", ""}
			w.do(t, call{method: "POST", path: "/v1/enrolments", body: stranger.bare(german), header: w.fresh(t, "")}).want(t, 403, "country_forbidden")
			known := doc{"org": "acme", "user": doc{"id": "u-3", "phone": german["phone"]}}
			asked := w.do(t, call{method: "POST", path: "/v1/challenges", body: known}).want(t, 201, "")
			for _, body := range []doc{german, {"kind": "sms"}} {
				w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: asked.text("enrolment", "token"), body: body}).want(t, 403, "country_forbidden")
			}
		}
		refused()
		w.byNumber(t, british, "sign_in", "")
		pending := w.beginNumber(t, person{"acme", "u-4", ""}, "+447400123457", "").want(t, 201, "")
		open := w.byNumber(t, british, "step_up", "").text("challenge", "id")
		if got := w.textsSent(t) - before; got != 3 {
			t.Fatalf("got %d messages, want 3 to the country that is open", got)
		}
		// If a country is closed later, nothing is sent there any more. But users who have a number there are still asked for a
		// factor.
		w.policy(t, "acme", salto(doc{"sms": doc{"countries": []string{"FR"}}, "require": "everyone"}))
		w.advance(t, time.Minute)
		w.send(t, "enrolments", pending.text("id"), "").want(t, 403, "country_forbidden")
		w.send(t, "challenges", open, "").want(t, 403, "country_forbidden")
		for _, purpose := range []string{"sign_in", "step_up"} {
			asked := w.byNumber(t, british, purpose, "country_forbidden")
			w.send(t, "challenges", asked.text("challenge", "id"), "").want(t, 403, "country_forbidden")
		}
		w.policy(t, "acme", salto(doc{"sms": doc{"countries": []string{}}, "require": "everyone"}))
		refused()
		if got := w.textsSent(t) - before; got != 3 {
			t.Errorf("got %d messages, want none to a closed country", got-3)
		}
		w.verify(t, open, doc{"code": w.code(t, number)}).want(t, 200, "") // this code was sent before the country was closed
	})
}

func TestM1TheDayOfAnOrgEndsAtItsCap(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", texting(doc{"daily_cap": 4}))
		w.policy(t, "other", salto(nil))
		a, number := w.proven(t, "u-1", "+33611111111")
		b, _ := w.proven(t, "u-2", "+33622222222")
		w.next(t, 24*time.Hour)
		begin := func(id, number string) answer { return w.beginNumber(t, person{"acme", id, ""}, number, "") }
		begin("u-3", "+33633333333").want(t, 201, "")
		begin("u-4", "+447400123456").want(t, 201, "")
		if got := begin("u-5", "+33644444444").want(t, 429, "too_many_sends"); got.number("retry_after_s") < 23*3600 {
			t.Errorf("got %s, want a wait until the day is over", got.raw)
		}
		id := w.byNumber(t, a, "sign_in", "").text("challenge", "id")
		w.byNumber(t, b, "step_up", "")
		w.byNumber(t, b, "sign_in", "too_many_sends")
		asked := w.byNumber(t, a, "step_up", "too_many_sends")
		if asked.number("challenge", "retry_after_s") < 23*3600 || asked.at("challenge", "recovery") != true {
			t.Errorf("got %s, want a wait until the day is over, and another way in", asked.raw)
		}
		w.advance(t, time.Minute)
		w.send(t, "challenges", id, "").want(t, 429, "too_many_sends")
		w.wantBlocked(t, 4, "organisation", a.id, b.id, "u-5")
		if got := w.textsSent(t); got != 2+4 {
			t.Errorf("got %d messages, want 2 of the day before and the 4 of the cap", got)
		}
		w.beginNumber(t, person{"other", a.id, ""}, number, "").want(t, 201, "")
		w.next(t, 24*time.Hour)
		w.byNumber(t, a, "sign_in", "")
	})
}

func TestM1APrefixWhoseCodesAreNotAnsweredIsClosed(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", texting(doc{"hourly_prefix_cap": 4, "min_conversion": 50}))
		honest, number := w.proven(t, "u-1", "+33612345699")
		w.next(t, time.Hour)
		begin := func(n int) answer {
			p, number := pumped(n)
			return w.beginNumber(t, p, number, "")
		}
		for n := range 2 {
			p, number := pumped(n)
			w.enrolNumber(t, p, number, "")
		}
		w.events(t, honest.id, "") // this call hands on what was committed, so the answers are counted
		for n := 2; n < 4; n++ {   // both codes were answered, so two more may be sent
			begin(n).want(t, 201, "")
		}
		begin(4).want(t, 429, "too_many_sends")
		id := w.byNumber(t, honest, "sign_in", "").text("challenge", "id") // this budget doesn't hold for a proven number
		begin(5).want(t, 429, "too_many_sends")
		bots := []string{"bot-00", "bot-01", "bot-02", "bot-03", "bot-04", "bot-05"}
		w.wantBlocked(t, 2, "prefix", append(bots, honest.id)...)
		w.verify(t, id, doc{"code": w.code(t, number)}).want(t, 200, "")
		w.events(t, honest.id, "")
		begin(6).want(t, 201, "") // 3 of 6 messages were answered
		begin(7).want(t, 429, "too_many_sends")
	})
}
