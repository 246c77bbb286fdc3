package main

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"
)

// bomb starts sign-ins and step-ups of ana by a kind, with keys of two clients. It first starts many at once, and then one by one
// until a start sends nothing. It returns that start.
func (w *world) bomb(t *testing.T, keys []string, kind string) answer {
	t.Helper()
	start := func(i int) call {
		purpose := []string{"sign_in", "step_up"}[i/2%2]
		return call{method: "POST", path: "/v1/challenges", bearer: keys[i%2], body: ana.signIn(doc{"method": kind, "purpose": purpose})}
	}
	answers := w.atOnce(t, 6, start)
	for status := range answers {
		if status != 201 && status != 409 { // a start may meet too many others
			t.Fatalf("got %v", answers)
		}
	}
	for i := range 12 {
		if a := w.do(t, start(i)).want(t, 201, ""); a.at("challenge", "sent") == nil {
			return a
		}
	}
	t.Fatal("every start sends a code")
	return answer{}
}

// twoClients returns the key of the world, and one of another client.
func (w *world) twoClients(t *testing.T) []string {
	t.Helper()
	other := w.do(t, call{method: "POST", path: "/local/keys", body: doc{"client": "another"}}).want(t, 200, "")
	return []string{w.key, other.text("key")}
}

func TestM2ABombedUserGetsNoMoreThanTheBudgets(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", texting(doc{"user_daily_cap": 8}))
		p, _ := w.enrolThreeKinds(t)
		keys := w.twoClients(t)
		w.advance(t, 24*time.Hour) // the user's own budgets begin anew after a day
		w.next(t, time.Hour)
		first := map[string]int{"sms": len(w.codes(t, anasNumber)), "email": len(w.codes(t, ana.email))}
		got := func(kind string) int { return len(w.codes(t, contacts[kind])) - first[kind] }
		// A number gets five codes in an hour, and a user ten by email, until the user's budgets for the day are used up. Requests
		// that are made at the same time may hinder each other, or a code may not be handed over in time. So there may be fewer
		// messages.
		for hour, most := range []map[string]int{{"sms": 5, "email": 10}, {"sms": 8, "email": 20}, {"email": 30}, {"email": 30}} {
			for kind, total := range most {
				unsent := w.bomb(t, keys, kind)
				if n := got(kind); n > total || n < 2 {
					t.Errorf("hour %d: got %d codes by %s, want at most %d", hour+1, n, kind, total)
				}
				if unsent.text("challenge", "send_error") != "too_many_sends" || unsent.number("challenge", "retry_after_s") < 1 {
					t.Errorf("got %s", unsent.raw)
				}
				w.send(t, "challenges", unsent.text("challenge", "id"), p.factors[kind]).want(t, 429, "too_many_sends")
			}
			w.advance(t, time.Hour)
		}
		// The app still signs in, and enrolling brings no more messages either.
		proof := w.stepUp(t, ana, p.app, nil)
		w.beginNumber(t, ana, "+33698765432", proof).want(t, 429, "too_many_sends")
		if n := got("sms"); n > 8 || len(w.codes(t, "+33698765432")) != 0 {
			t.Errorf("got %d codes, want no more than 8", n)
		}
	})
}

func TestM2AnswersToABombedUserDifferOnlyInWhatWasSent(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", texting(doc{"user_daily_cap": 3}))
		w.enrolThreeKinds(t)
		for _, kind := range []string{"sms", "email"} {
			var sent, unsent answer
			for range 12 {
				a := w.asked(t, ana, doc{"method": kind})
				if a.at("challenge", "sent") == nil {
					unsent = a
					break
				}
				sent = a
			}
			if sent.doc == nil || unsent.doc == nil {
				t.Fatalf("%s: got no start that sends a code, or none that doesn't", kind)
			}
			mine, theirs := maps.Clone(sent.at("challenge").(map[string]any)), maps.Clone(unsent.at("challenge").(map[string]any))
			for _, name := range []string{"send_error", "retry_after_s"} {
				if theirs[name] == nil || mine[name] != nil {
					t.Errorf("%s: got %s and %s", kind, sent.raw, unsent.raw)
				}
				delete(theirs, name)
			}
			for _, c := range []map[string]any{mine, theirs} {
				for _, name := range []string{"id", "token", "url", "expires", "sent"} {
					if _, there := c[name]; !there {
						t.Errorf("%s: an answer has no %s", kind, name)
					}
					c[name] = nil
				}
			}
			if !reflect.DeepEqual(mine, theirs) {
				t.Errorf("%s: got %v and %v", kind, mine, theirs)
			}
		}
	})
}

func TestM2OneChallengeSendsOneCodeInItsWait(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		const wait = 5 * time.Minute
		w.policy(t, "acme", salto(doc{"challenge": doc{"resend_after_s": wait / time.Second}}))
		// once fails the test unless many requests at once bring one code after the wait, and none before.
		once := func(place, id, kind string) {
			t.Helper()
			send := func(int) call { return call{method: "POST", path: "/v1/" + place + "/" + id + "/send", body: doc{}} }
			before := len(w.codes(t, contacts[kind]))
			if answers := w.atOnce(t, 4, send); len(answers[429]) != 4 {
				t.Fatalf("%s by %s, before the wait is over: got %d refusals, want 4", place, kind, len(answers[429]))
			}
			w.advance(t, wait)
			answers := w.atOnce(t, 6, send)
			if len(answers[200]) != 1 || len(answers[429])+len(answers[409]) != 5 {
				t.Errorf("%s by %s: got %d codes and %d refusals, want one code", place, kind, len(answers[200]), len(answers[429])+len(answers[409]))
			}
			if got := len(w.codes(t, contacts[kind])) - before; got != 1 {
				t.Errorf("%s by %s: got %d messages, want one", place, kind, got)
			}
		}
		a, _ := w.enrolApp(t, ana, "")
		for _, kind := range []string{"email", "sms"} {
			id, _ := w.beginCode(t, kind, w.stepUp(t, ana, a, nil))
			once("enrolments", id, kind)
			w.finish(t, "", id, w.code(t, contacts[kind])).want(t, 201, "")
		}
		w.advance(t, time.Hour)
		for _, kind := range []string{"email", "sms"} {
			once("challenges", w.asked(t, ana, doc{"method": kind}).text("challenge", "id"), kind)
		}
	})
}

func TestM2EnrollingBombsNobody(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		// The number of another user gets half of its five codes, whoever asks for them.
		victim := "+33611111111"
		var answers []int
		for _, id := range []string{"u-1", "u-2", "u-3", "u-4"} {
			answers = append(answers, w.beginNumber(t, person{"acme", id, ""}, victim, "").status)
		}
		if !slices.Equal(answers, []int{201, 201, 429, 429}) || len(w.codes(t, victim)) != 2 {
			t.Errorf("got %v, and %d codes", answers, len(w.codes(t, victim)))
		}
		// An address gets ten codes in an hour, however often its enrolment is begun.
		for n := range 12 {
			want := 201
			if n >= 10 {
				want = 429
			}
			w.begin(t, ana, "email", "").want(t, want, "")
		}
		if got := len(w.codes(t, ana.email)); got != 10 {
			t.Errorf("got %d codes, want 10", got)
		}
	})
}
