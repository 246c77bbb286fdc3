package main

import (
	"fmt"
	"testing"
	"time"
)

// textsToFrance returns settings that allow codes by SMS to France.
func textsToFrance() doc {
	return doc{"methods": doc{"sms": "allowed"}, "sms": doc{"countries": []string{"FR"}}, "trust": doc{"days": 0}}
}

// numberOf returns the i-th number for the person of a round. Each round has as many numbers of its own as each says.
func numberOf(t *testing.T, p person, each, i int) string {
	t.Helper()
	var round int
	if _, err := fmt.Sscanf(p.id, "u-%d", &round); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("+3361234%04d", round*each+i)
}

// enrolment returns the call that begins to enrol a number.
func (w *world) enrolment(t *testing.T, p person, number string) call {
	t.Helper()
	return call{method: "POST", path: "/v1/enrolments", body: p.signIn(doc{"kind": "sms", "phone": number}), header: w.fresh(t, "")}
}

func TestI1ManyOfOneCodeBySMSAtOnceEnrolOneNumberAndGetOneToken(t *testing.T) {
	racing(t, textsToFrance(), func(t *testing.T, w *world, p person) {
		w.advance(t, time.Hour)
		number := numberOf(t, p, 1, 0)
		begun := w.do(t, w.enrolment(t, p, number)).want(t, 201, "")
		answers := w.all(t, call{method: "POST", path: "/v1/enrolments/" + begun.text("id") + "/finish", body: doc{"code": w.code(t, number)}})
		if got := w.account(t, p); len(answers[201]) != 1 || len(got.list("factors")) != 1 || got.number("recovery", "codes_left") != 10 {
			t.Fatalf("%d finished, and got %s", len(answers[201]), got.raw)
		}
		id := w.asked(t, p, nil).text("challenge", "id")
		code := w.code(t, number)
		answers = w.all(t, call{method: "POST", path: "/v1/challenges/" + id + "/verify", body: doc{"code": code}})
		if got := len(answers[200]); got != 1 {
			t.Fatalf("%d tokens for one code by SMS, want 1", got)
		}
		w.verify(t, id, doc{"code": code}).want(t, 404, "challenge_invalid")
	})
}

func TestM1ManyEnrolmentsAtOncePassNoBudgetOfTheirPrefix(t *testing.T) {
	const half = 10 // half of the messages that the policy allows for a prefix in an hour
	racing(t, textsToFrance(), func(t *testing.T, w *world, p person) {
		w.advance(t, time.Hour)
		calls := make([]call, 16) // more of them would miss their deadline on a busy machine
		for i := range calls {
			who := person{p.org, fmt.Sprint(p.id, "-", i), fmt.Sprint(i, p.email)}
			calls[i] = w.enrolment(t, who, numberOf(t, p, len(calls), i))
		}
		before := w.texts(t, calls)
		answers := w.atOnce(t, len(calls), func(i int) call { return calls[i] })
		for status, some := range answers {
			if status != 201 && status != 429 {
				t.Fatalf("%d answers of %d, such as %s", len(some), status, some[0].raw)
			}
		}
		if len(answers[201]) != half || len(answers[429]) != len(calls)-half {
			t.Fatalf("%d enrolments were begun and %d refused, want %d and %d", len(answers[201]), len(answers[429]), half, len(calls)-half)
		}
		for _, refused := range answers[429] {
			refused.want(t, 429, "too_many_sends")
		}
		if sent := w.texts(t, calls) - before; sent != half {
			t.Fatalf("%d messages were sent, want %d", sent, half)
		}
	})
}

// texts counts the messages to the numbers of some calls.
func (w *world) texts(t *testing.T, calls []call) (n int) {
	t.Helper()
	for _, c := range calls {
		n += len(w.messages(t, c.body.(doc).text("phone")))
	}
	return n
}
