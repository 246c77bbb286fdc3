package main

import (
	"fmt"
	"testing"
	"time"
)

// racing runs the rounds of a race in each kind of world, each round for another person.
func racing(t *testing.T, settings doc, round func(t *testing.T, w *world, p person)) {
	t.Parallel()
	for store, n := range raceRounds() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := worldOn(t, store)
			w.policy(t, "acme", settings)
			for i := range n {
				round(t, w, person{"acme", fmt.Sprintf("u-%d", i), fmt.Sprintf("u%d@acme.example", i)})
			}
		})
	}
}

// all makes the same call many times at once: 64 times in a full run, and otherwise 32 times, because all tests run together
// then, and a busy machine would miss the deadline of the calls.
func (w *world) all(t *testing.T, c call) map[int][]answer {
	t.Helper()
	times := 32
	if fullRun() {
		times = 64
	}
	answers := w.atOnce(t, times, func(int) call { return c })
	for status, some := range answers {
		switch status {
		case 200, 201, 404, 409, 422, 429:
		default:
			t.Fatalf("%d answers of %d, such as %s", len(some), status, some[0].raw)
		}
	}
	return answers
}

func TestR4SixtyFourRightAppCodesAtOnceGetOneToken(t *testing.T) {
	racing(t, doc{}, func(t *testing.T, w *world, p person) {
		a, _ := w.enrolApp(t, p, "")
		first, second := w.asked(t, p, nil).text("challenge", "id"), w.asked(t, p, nil).text("challenge", "id")
		code := a.next(t, w)
		answers := w.atOnce(t, 64, func(i int) call {
			return call{method: "POST", path: "/v1/challenges/" + []string{first, second}[i%2] + "/verify", body: doc{"code": code}}
		})
		onlyOrderly(t, answers)
		if got := len(answers[200]); got != 1 {
			t.Fatalf("%d tokens for one code on two challenges, want 1", got)
		}
	})
}

func TestR8ManyFinishesAtOnceEnrolOneFactor(t *testing.T) {
	racing(t, doc{}, func(t *testing.T, w *world, p person) {
		begun := w.begin(t, p, "totp", "").want(t, 201, "")
		code := app{secret: begun.text("totp", "secret")}.code(t, w)
		answers := w.all(t, call{method: "POST", path: "/v1/enrolments/" + begun.text("id") + "/finish", body: doc{"code": code}})
		if got := len(answers[201]); got != 1 {
			t.Fatalf("%d finished, want 1", got)
		}
		if got := w.account(t, p); len(got.list("factors")) != 1 || got.number("recovery", "codes_left") != 10 {
			t.Fatalf("got %s", got.raw)
		}
		id := w.asked(t, p, nil).text("challenge", "id")
		w.recoverBy(t, id, answers[201][0].list("recovery_codes")[9].(string)).want(t, 200, "")
	})
}

func TestR5SixtyFourOfOneRecoveryCodeAtOnceGetOneToken(t *testing.T) {
	racing(t, doc{}, func(t *testing.T, w *world, p person) {
		_, done := w.enrolApp(t, p, "")
		code := done.list("recovery_codes")[0]
		first, second := w.asked(t, p, nil).text("challenge", "id"), w.asked(t, p, nil).text("challenge", "id")
		answers := w.atOnce(t, 64, func(i int) call {
			return call{method: "POST", path: "/v1/challenges/" + []string{first, second}[i%2] + "/recover", body: doc{"code": code}}
		})
		onlyOrderly(t, answers)
		if got := len(answers[200]); got != 1 {
			t.Fatalf("%d tokens, want 1", got)
		}
		if left := w.account(t, p).number("recovery", "codes_left"); left != 9 {
			t.Fatalf("%d codes left, want 9", left)
		}
	})
}

func TestE7OfManyNewSetsAtOnceOneIsGood(t *testing.T) {
	racing(t, doc{"recovery": doc{"count": 1}}, func(t *testing.T, w *world, p person) {
		a, done := w.enrolApp(t, p, "")
		c := call{method: "POST", path: p.path("/recovery-codes"), header: w.fresh(t, w.stepUp(t, p, a, nil))}
		codes := []any{done.list("recovery_codes")[0]}
		for _, made := range w.all(t, c)[201] {
			codes = append(codes, made.list("recovery_codes")[0])
		}
		if len(codes) < 2 {
			t.Fatal("no set was made")
		}
		good := 0
		for i, code := range codes {
			if i%4 == 3 {
				w.advance(t, 24*time.Hour) // all wrong codes of the day are used up
			}
			a := w.recoverBy(t, w.asked(t, p, nil).text("challenge", "id"), code.(string))
			switch {
			case a.status == 200:
				good++
			case a.text("code") != "wrong_code" && a.text("code") != "method_forbidden":
				t.Fatalf("got %s", a.raw)
			}
		}
		if good != 1 {
			t.Fatalf("%d sets of %d are good, want 1", good, len(codes))
		}
	})
}

func TestTB4NoBrowserIsTrustedOnceItsRevokeHasAnswered(t *testing.T) {
	racing(t, doc{}, func(t *testing.T, w *world, p person) {
		a, _ := w.enrolApp(t, p, "")
		id := w.asked(t, p, nil).text("challenge", "id")
		token := w.verify(t, id, doc{"code": a.next(t, w), "trust": doc{"name": "Firefox"}}).want(t, 200, "").text("trust_token")
		start := call{method: "POST", path: "/v1/challenges", body: p.signIn(doc{"trust_token": token})}
		browser := doc(w.account(t, p).list("trusted_browsers")[0].(map[string]any)).text("id")
		revoke := call{method: "DELETE", path: p.path("/browsers/" + browser)}
		answers := w.atOnce(t, 64, func(i int) call {
			if i%8 == 7 {
				return revoke
			}
			return start
		})
		if len(answers[204]) == 0 {
			t.Fatal("no revoke did it")
		}
		if got := len(w.all(t, start)[200]); got != 0 {
			t.Fatalf("%d let in after the revoke had answered", got)
		}
	})
}
