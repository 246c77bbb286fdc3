package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// resendWait is how long users have to wait for the next code in the stories of S6.
const resendWait = 2 * time.Minute

func slowWorld(t *testing.T, story func(t *testing.T, w *world)) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", salto(doc{"challenge": doc{"resend_after_s": resendWait / time.Second}}))
		story(t, w)
	})
}

// resent fails the test unless the newest code that was sent in a place is valid, and the one before it isn't any more. answers
// gives a code there.
func (w *world) resent(t *testing.T, place, id, contact string, answers func(code string) answer) {
	t.Helper()
	old := w.code(t, contact)
	w.send(t, place, id, "").want(t, 429, "too_many_sends")
	w.advance(t, resendWait)
	if got := w.send(t, place, id, "").want(t, 200, ""); got.text("sent", "sequence") != "B" {
		t.Errorf("got %s", got.raw)
	}
	messages := w.messages(t, contact)
	last := messages[len(messages)-1]
	if text := strings.ToLower(last.text("text")); !strings.Contains(text, "code b") {
		t.Errorf("%s: got the message %q, want the letter of its code in it", contact, text)
	}
	if now := last.text("code"); now != old { // one time in a million they are the same
		answers(old).want(t, 422, "wrong_code")
	}
	if got := answers(last.text("code")); got.status/100 != 2 {
		t.Errorf("the newest code to %s: got %d %s", contact, got.status, got.raw)
	}
}

func TestS6AResentCodeKillsTheOneBefore(t *testing.T) {
	slowWorld(t, func(t *testing.T, w *world) {
		proof := ""
		for _, kind := range []string{"email", "sms"} {
			id, _ := w.beginCode(t, kind, proof)
			w.resent(t, "enrolments", id, contacts[kind], func(code string) answer { return w.finish(t, "", id, code) })
			if proof == "" {
				up := w.asked(t, ana, doc{"purpose": "step_up"})
				proof = w.verify(t, up.text("challenge", "id"), doc{"code": w.code(t, ana.email)}).want(t, 200, "").text("token")
			}
		}
		w.advance(t, time.Hour) // a number gets five codes in an hour
		for _, kind := range []string{"email", "sms"} {
			for _, purpose := range []string{"sign_in", "step_up"} {
				asked := w.asked(t, ana, doc{"method": kind, "purpose": purpose})
				if asked.text("challenge", "sent", "kind") != kind || asked.text("challenge", "sent", "sequence") != "A" {
					t.Fatalf("got %s", asked.raw)
				}
				id := asked.text("challenge", "id")
				w.resent(t, "challenges", id, contacts[kind], func(code string) answer { return w.verify(t, id, doc{"code": code}) })
			}
		}
	})
}

func TestS6ACodeToAnotherFactorKillsTheOneBeforeToo(t *testing.T) {
	slowWorld(t, func(t *testing.T, w *world) {
		p, _ := w.enrolThreeKinds(t)
		id := w.asked(t, ana, doc{"method": "sms"}).text("challenge", "id")
		texted := w.code(t, anasNumber)
		w.send(t, "challenges", id, p.factors["email"]).want(t, 429, "too_many_sends") // the wait holds for the whole challenge, not for each factor
		w.advance(t, resendWait)
		w.send(t, "challenges", id, p.factors["email"]).want(t, 200, "")
		mailed := w.code(t, ana.email)
		w.verify(t, id, doc{"factor": p.factors["sms"], "code": texted}).want(t, 422, "wrong_code")
		w.verify(t, id, doc{"factor": p.factors["sms"], "code": mailed}).want(t, 422, "wrong_code")
		w.verify(t, id, doc{"factor": p.factors["email"], "code": mailed}).want(t, 200, "")
	})
}

func TestS7ARecoveryCodeSignsInAndResets(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		p, proof := w.enrolThreeKinds(t)
		texted := w.asked(t, ana, doc{"method": "sms"})
		pending := w.begin(t, ana, "totp", proof).want(t, 201, "")
		asked := w.asked(t, ana, nil)
		if asked.at("challenge", "recovery") != true {
			t.Errorf("got %s", asked.raw)
		}
		code := p.codes[0].(string)
		typed := strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(code, "-", "  "), "0", "o"))
		got := w.recoverBy(t, asked.text("challenge", "id"), typed).want(t, 200, "")
		if got.text("effect") != "reset" || got.number("codes_left") != 0 || got.at("enrolment") != nil {
			t.Errorf("got %s", got.raw)
		}
		claims := w.claims(t, got.text("token"))
		if claims["verified"] != true || claims["acr"] != "aal1" {
			t.Errorf("claims: got %v", claims)
		}
		outcome := w.do(t, call{method: "GET", path: "/v1/challenges/" + asked.text("challenge", "id")}).want(t, 200, "")
		if outcome.text("state") != "verified" || outcome.text("outcome", "effect") != "reset" {
			t.Errorf("outcome: got %s", outcome.raw)
		}
		if account := w.wantKinds(t); account.at("enabled") != false || account.number("recovery", "codes_left") != 0 {
			t.Errorf("after: got %s", account.raw)
		}
		// Challenges that were open are dead, and the user is told on every channel.
		w.verify(t, texted.text("challenge", "id"), doc{"code": w.code(t, anasNumber)}).want(t, 404, "challenge_invalid")
		w.send(t, "challenges", texted.text("challenge", "id"), p.factors["sms"]).want(t, 404, "challenge_invalid")
		w.finish(t, "", pending.text("id"), app{secret: pending.text("totp", "secret")}.code(t, w)).want(t, 404, "enrolment_invalid")
		for _, to := range contacts {
			messages := w.messages(t, to)
			if last := messages[len(messages)-1]; last.text("code") != "" || !strings.Contains(last.text("text"), "recovery code") {
				t.Errorf("%s: got %v, want a notice", to, last)
			}
		}
		w.start(t, ana, nil).want(t, 200, "")
		w.advance(t, time.Hour) // until the number gets another code for an enrolment
		if again := w.enrolNumber(t, ana, anasNumber, ""); len(again.list("recovery_codes")) != 1 || again.list("recovery_codes")[0] == code {
			t.Errorf("set up again: got %s, want a new code", again.raw)
		}
		w.recoverBy(t, w.asked(t, ana, nil).text("challenge", "id"), code).want(t, 422, "wrong_code")
	})
}

func TestS7ARecoveryCodeAtAStepUpResetsToo(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		p, _ := w.enrolThreeKinds(t)
		up := w.asked(t, ana, doc{"purpose": "step_up"})
		got := w.recoverBy(t, up.text("challenge", "id"), p.codes[0].(string)).want(t, 200, "")
		if claims := w.claims(t, got.text("token")); got.text("effect") != "reset" || claims["purpose"] != "step_up" || claims["acr"] != "aal1" {
			t.Errorf("got %s with %v", got.raw, claims)
		}
		w.wantKinds(t)
		if again := w.start(t, ana, doc{"purpose": "step_up"}).want(t, 201, ""); again.text("decision") != "enrol" {
			t.Errorf("the next step-up: got %s", again.raw)
		}
	})
}

func TestS8OneFactorCanBeRemovedAndOffKeepsTheRest(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		p, proof := w.enrolThreeKinds(t)
		second, _ := w.enrolApp(t, ana, proof)
		w.do(t, call{method: "PATCH", path: ana.path("/factors/" + second.factor), body: doc{"label": "Tablet"}}).want(t, 200, "")
		texted := w.asked(t, ana, doc{"method": "sms"}).text("challenge", "id")
		for _, kind := range []string{"totp", "sms"} {
			w.remove(t, p.factors[kind], "").want(t, 403, "step_up_required")
			w.remove(t, p.factors[kind], proof).want(t, 204, "")
			w.remove(t, p.factors[kind], proof).want(t, 404, "not_found")
		}
		w.wantKinds(t, "totp", "email")
		sent := len(w.codes(t, anasNumber))
		w.verify(t, texted, doc{"factor": p.factors["sms"], "code": w.code(t, anasNumber)}).want(t, 404, "not_found")
		w.advance(t, 30*time.Second)
		w.send(t, "challenges", texted, p.factors["sms"]).want(t, 404, "not_found")
		asked := w.asked(t, ana, doc{"method": "sms"}) // this preference can't be met
		if kinds := kindsOf(asked); !slices.Equal(kinds, []string{"totp", "email"}) || len(w.codes(t, anasNumber)) != sent {
			t.Errorf("got %s, and %d codes to the removed number", asked.raw, len(w.codes(t, anasNumber))-sent)
		}
		w.start(t, ana, doc{"method": "sms", "purpose": "step_up"}).want(t, 403, "method_forbidden")
		id := asked.text("challenge", "id")
		w.verify(t, id, doc{"factor": p.app.factor, "code": p.app.next(t, w)}).want(t, 404, "not_found")
		w.verify(t, id, doc{"code": second.code(t, w)}).want(t, 200, "")

		p.app, p.factors["totp"] = second, second.factor
		w.advance(t, time.Hour) // until the number gets another code for an enrolment
		proof = w.stepUp(t, ana, second, nil)
		p.factors["sms"] = w.enrolNumber(t, ana, anasNumber, proof).text("factor", "id") // the same number can come back
		if off := w.turn(t, false, w.fresh(t, proof)).want(t, 200, ""); off.at("enabled") != false {
			t.Errorf("off: got %s", off.raw)
		}
		kept := w.wantKinds(t, codeKinds()...)
		if !strings.Contains(string(kept.raw), "Tablet") {
			t.Errorf("off: got %s", kept.raw)
		}
		w.start(t, ana, nil).want(t, 200, "")
		w.turn(t, true, w.fresh(t, "")).want(t, 200, "")
		for _, kind := range codeKinds() {
			w.answerBy(t, p, kind, w.asked(t, ana, doc{"method": kind}))
		}
	})
}

func TestS9WhileItIsOnItIsAskedAtEverySignIn(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", salto(doc{"trust": doc{"days": 30}}))
		p, _ := w.enrolThreeKinds(t)
		trusted := w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"code": p.app.next(t, w), "trust": doc{"name": "Firefox"}}).want(t, 200, "").text("trust_token")
		w.start(t, ana, doc{"trust_token": trusted}).want(t, 200, "")
		w.policy(t, "acme", salto(nil))
		for _, kind := range append(codeKinds(), codeKinds()...) {
			sso := doc{"kind": "sso", "amr": []string{"mfa"}}
			for _, more := range []doc{nil, {"trust_token": trusted}, {"first_factor": sso}} {
				asked := w.asked(t, ana, doc{"method": "totp"}.with(more))
				if asked.text("reason") != "enabled" || asked.at("challenge", "trust") != nil {
					t.Errorf("%v: got %s", more, asked.raw)
				}
			}
			asked := w.asked(t, ana, doc{"method": kind, "trust_token": trusted})
			code := w.codeFor(t, p, kind, asked)
			body := doc{"factor": p.factors[kind], "code": code, "trust": doc{"name": "Firefox"}}
			if answer := w.verify(t, asked.text("challenge", "id"), body).want(t, 200, ""); answer.at("trust_token") != nil {
				t.Errorf("trust was granted: %s", answer.raw)
			}
		}
	})
}
