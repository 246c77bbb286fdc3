package main

import (
	"testing"
	"time"
)

// recoverWith answers a new sign-in of a person with a recovery code or a pass.
func (w *world) recoverWith(t *testing.T, p person, code string) answer {
	t.Helper()
	return w.recoverBy(t, w.asked(t, p, nil).text("challenge", "id"), code)
}

func TestI1APassIsGoodOnceAndForItsTime(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, ana.org, doc{"pass": doc{"max_s": 3600}})
		a, _ := w.enrolApp(t, ana, "")
		why := doc{"actor": "olga", "reason": "left the phone at home"}
		issue := func() string {
			t.Helper()
			return w.do(t, call{method: "POST", path: ana.path("/passes"), body: why}).want(t, 201, "").text("pass")
		}
		first := issue()
		pass := issue()
		w.recoverWith(t, ana, first).want(t, 422, "wrong_code")
		in := w.recoverWith(t, ana, pass).want(t, 200, "")
		claims := w.claims(t, in.text("token"))
		if in.text("effect") != "pass" || claims["acr"] != "aal1" || claims["verified"] != true {
			t.Errorf("got %s with %v, want an effect pass and aal1", in.raw, claims)
		}
		for _, method := range claims["amr"].([]any) {
			if method == "mfa" {
				t.Errorf("got amr %v, want none of mfa", claims["amr"])
			}
		}
		w.recoverWith(t, ana, pass).want(t, 422, "wrong_code")
		w.do(t, call{method: "DELETE", path: ana.path("/factors/" + w.account(t, ana).list("factors")[0].(map[string]any)["id"].(string)),
			header: w.fresh(t, in.text("token"))}).want(t, 403, "step_up_required")

		taken := issue()
		w.do(t, call{method: "DELETE", path: ana.path("/passes")}).want(t, 204, "")
		w.recoverWith(t, ana, taken).want(t, 422, "wrong_code")
		late := issue()
		w.advance(t, time.Hour+time.Second)
		w.recoverWith(t, ana, late).want(t, 422, "wrong_code")
		w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"code": a.next(t, w)}).want(t, 200, "")
		if got := len(w.events(t, ana.id, "user.pass_used")); got != 1 {
			t.Errorf("got %d events of a pass that was used, want 1", got)
		}
		if got := len(w.messages(t, ana.email)); got < 5 { // four were issued, and one was used
			t.Errorf("got %d messages, want the user told of each", got)
		}
	})
}

func TestI1SixtyFourUsesOfOnePassAtOnceGetOneToken(t *testing.T) {
	racing(t, doc{"pass": doc{"max_s": 3600}}, func(t *testing.T, w *world, p person) {
		w.enrolApp(t, p, "")
		pass := w.do(t, call{method: "POST", path: p.path("/passes"), body: doc{"actor": "olga", "reason": "forgot"}}).want(t, 201, "").text("pass")
		first, second := w.asked(t, p, nil).text("challenge", "id"), w.asked(t, p, nil).text("challenge", "id")
		answers := w.atOnce(t, 64, func(i int) call {
			return call{method: "POST", path: "/v1/challenges/" + []string{first, second}[i%2] + "/recover", body: doc{"code": pass}}
		})
		onlyOrderly(t, answers)
		if got := len(answers[200]); got != 1 {
			t.Fatalf("%d tokens for one pass, want 1", got)
		}
	})
}
