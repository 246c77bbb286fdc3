package e2e

import (
	"strings"
	"testing"
	"time"
)

func saltoWorld(t *testing.T, story func(t *testing.T, w *world)) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"profile": "salto"})
		story(t, w)
	})
}

func TestS1TurningItOnAndOffNeedsAFreshPassword(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		w.do(t, call{method: "PUT", path: ana.path(""), body: doc{"email": ana.email}}).want(t, 200, "")
		turn := func(on bool, header map[string]string) answer {
			return w.do(t, call{method: "PATCH", path: ana.path(""), body: doc{"enabled": on}, header: header})
		}
		stale := map[string]string{"Countersign-Reauthenticated-At": w.now(t).Add(-10*time.Minute - 2*time.Second).Format(time.RFC3339)}
		early := map[string]string{"Countersign-Reauthenticated-At": w.now(t).Add(2 * time.Minute).Format(time.RFC3339)}
		for _, header := range []map[string]string{nil, stale, early, {"Countersign-Reauthenticated-At": "just now"}} {
			turn(true, header).want(t, 403, "reauthentication_required")
			w.do(t, call{method: "POST", path: "/v1/enrolments", body: ana.signIn(doc{"kind": "totp"}), header: header}).want(t, 403, "reauthentication_required")
		}
		w.start(t, ana, nil).want(t, 200, "")
		a, _ := w.enrolApp(t, ana, "")
		if got := w.account(t, ana); got.at("enabled") != true || got.text("status") != "protected" {
			t.Fatalf("enrolled: got %s", got.raw)
		}
		turn(false, w.fresh(t, "")).want(t, 403, "step_up_required")
		turn(false, w.fresh(t, w.stepUp(t, ana, a, nil))).want(t, 200, "")
		w.start(t, ana, nil).want(t, 200, "")
		turn(true, nil).want(t, 403, "reauthentication_required")
		if got := turn(true, w.fresh(t, "")).want(t, 200, ""); got.at("enabled") != true {
			t.Errorf("got %s", got.raw)
		}
		w.asked(t, ana, nil)
	})
}

func TestS2TheUserPicksAmongTheirFactors(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		a, first := w.enrolApp(t, ana, "")
		second := w.enrolMail(t, ana, w.stepUp(t, ana, a, nil)).text("factor", "id")
		if kinds := first.list("offer", "kinds"); len(kinds) != 1 || kinds[0] != "email" {
			t.Errorf("offered after the first factor: got %s", first.raw)
		}
		asked := w.asked(t, ana, nil)
		methods := asked.list("challenge", "methods")
		if len(methods) != 2 || doc(methods[0].(map[string]any)).text("kind") != "totp" || doc(methods[1].(map[string]any)).text("hint") != "a***@acme.example" {
			t.Fatalf("methods: got %s", asked.raw)
		}
		if asked.text("challenge", "default") != a.factor || asked.at("challenge", "sent") != nil {
			t.Errorf("the strongest comes first, and nothing is sent for it: got %s", asked.raw)
		}
		id := asked.text("challenge", "id")
		send := func(factor string) answer {
			return w.do(t, call{method: "POST", path: "/v1/challenges/" + id + "/send", body: doc{"factor": factor}})
		}
		send(a.factor).want(t, 409, "nothing_to_send")
		if got := send(second).want(t, 200, ""); got.text("sent", "factor") != second {
			t.Errorf("got %s", got.raw)
		}
		// A request that names no factor is for the factor that a code was last sent for.
		claims := w.claims(t, w.verify(t, id, doc{"code": w.code(t, ana.email)}).want(t, 200, "").text("token"))
		if claims["acr"] != "aal1" {
			t.Errorf("by email: got %v", claims)
		}
		preferred := w.asked(t, ana, doc{"method": "email"})
		if preferred.text("challenge", "default") != second || preferred.text("challenge", "sent", "kind") != "email" {
			t.Errorf("email preferred: got %s", preferred.raw)
		}
		id = preferred.text("challenge", "id")
		claims = w.claims(t, w.verify(t, id, doc{"factor": a.factor, "code": a.next(t, w)}).want(t, 200, "").text("token"))
		if claims["acr"] != "aal2" {
			t.Errorf("by app: got %v", claims)
		}
	})
}

func TestS3TheAddressIsAFactorOnlyOnceItIsProven(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		begun := w.begin(t, ana, "email", "").want(t, 201, "")
		if got := w.account(t, ana); len(got.list("factors")) != 0 || got.text("status") != "unprotected" {
			t.Errorf("before: got %s", got.raw)
		}
		w.start(t, ana, nil).want(t, 200, "")
		code := w.code(t, ana.email)
		w.finish(t, "", begun.text("id"), wrong(code)).want(t, 422, "wrong_code")
		done := w.finish(t, "", begun.text("id"), code).want(t, 201, "")
		if done.text("factor", "kind") != "email" || done.text("factor", "hint") != "a***@acme.example" {
			t.Errorf("got %s", done.raw)
		}
		w.finish(t, "", begun.text("id"), code).want(t, 404, "enrolment_invalid")
		if asked := w.asked(t, ana, nil); asked.text("reason") != "enabled" || asked.text("challenge", "sent", "kind") != "email" {
			t.Errorf("got %s", asked.raw)
		}
		w.do(t, call{method: "POST", path: "/v1/enrolments", body: person{"acme", "u-9", ""}.bare(doc{"kind": "email"}), header: w.fresh(t, "")}).want(t, 409, "nothing_to_send")
	})
}

// bare returns a body that has only the id of a person. The fields of more are added.
func (p person) bare(more doc) doc {
	body := doc{"org": p.org, "user": doc{"id": p.id}}
	for name, value := range more {
		body[name] = value
	}
	return body
}

func TestS4EmailAsTheBackupCantBeRemovedOnItsOwn(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		a, _ := w.enrolApp(t, ana, "")
		backup := w.enrolMail(t, ana, w.stepUp(t, ana, a, nil)).text("factor", "id")
		proof := w.stepUp(t, ana, a, nil)
		remove := func(factor, proof string) answer {
			return w.do(t, call{method: "DELETE", path: ana.path("/factors/" + factor), header: w.fresh(t, proof)})
		}
		remove(backup, proof).want(t, 409, "email_pinned")
		w.do(t, call{method: "PATCH", path: ana.path(""), body: doc{"enabled": false}, header: w.fresh(t, proof)}).want(t, 200, "")
		remove(backup, "").want(t, 409, "email_pinned")
		remove(a.factor, "").want(t, 204, "")
		if got := w.account(t, ana).list("factors"); len(got) != 1 {
			t.Errorf("got %v", got)
		}
	})
}

func TestS5TheRecoveryCodeIsShownOnce(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		a, done := w.enrolApp(t, ana, "")
		codes := done.list("recovery_codes")
		if len(codes) != 1 {
			t.Fatalf("got %s, want one code", done.raw)
		}
		code := strings.ReplaceAll(codes[0].(string), "-", "")
		if len(code) != 24 {
			t.Errorf("a code of %d characters, want 24 (120 bits)", len(code))
		}
		account := w.account(t, ana)
		if account.number("recovery", "codes_left") != 1 || strings.Contains(string(account.raw), codes[0].(string)) {
			t.Errorf("got %s", account.raw)
		}
		proof := w.stepUp(t, ana, a, nil)
		second := w.enrolMail(t, ana, proof)
		if second.at("recovery_codes") != nil {
			t.Errorf("a second factor brought codes: %s", second.raw)
		}
		fresh := w.do(t, call{method: "POST", path: ana.path("/recovery-codes"), header: w.fresh(t, proof)}).want(t, 201, "").list("recovery_codes")
		if len(fresh) != 1 || fresh[0] == codes[0] {
			t.Errorf("a new set: got %v", fresh)
		}
		id := w.asked(t, ana, nil).text("challenge", "id")
		w.recoverBy(t, id, codes[0].(string)).want(t, 422, "wrong_code")
	})
}

func TestS6AResentCodeKillsTheOneBefore(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		begun := w.begin(t, ana, "email", "").want(t, 201, "")
		old := w.code(t, ana.email)
		again := call{method: "POST", path: "/v1/enrolments/" + begun.text("id") + "/send", body: doc{}}
		w.do(t, again).want(t, 429, "too_many_sends")
		w.advance(t, 30*time.Second)
		if got := w.do(t, again).want(t, 200, ""); got.text("sent", "sequence") != "B" {
			t.Errorf("got %s", got.raw)
		}
		code := w.code(t, ana.email)
		if old != code {
			w.finish(t, "", begun.text("id"), old).want(t, 422, "wrong_code")
		}
		w.finish(t, "", begun.text("id"), code).want(t, 201, "")
	})
}

func TestS7ARecoveryCodeSignsInAndResets(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		_, done := w.enrolApp(t, ana, "")
		code := done.list("recovery_codes")[0].(string)
		asked := w.asked(t, ana, nil)
		if asked.at("challenge", "recovery") != true {
			t.Errorf("got %s", asked.raw)
		}
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
		account := w.account(t, ana)
		if len(account.list("factors")) != 0 || account.at("enabled") != false || account.number("recovery", "codes_left") != 0 {
			t.Errorf("after: got %s", account.raw)
		}
		w.start(t, ana, nil).want(t, 200, "")
		if _, again := w.enrolApp(t, ana, ""); len(again.list("recovery_codes")) != 1 || again.list("recovery_codes")[0] == code {
			t.Errorf("set up again: got %s, want a new code", again.raw)
		}
	})
}

func TestS8OneFactorCanBeRemovedAndOffKeepsTheRest(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		first, _ := w.enrolApp(t, ana, "")
		second, _ := w.enrolApp(t, ana, w.stepUp(t, ana, first, nil))
		proof := w.stepUp(t, ana, second, nil)
		w.do(t, call{method: "PATCH", path: ana.path("/factors/" + second.factor), body: doc{"label": "Tablet"}}).want(t, 200, "")
		w.do(t, call{method: "DELETE", path: ana.path("/factors/" + first.factor), header: w.fresh(t, "")}).want(t, 403, "step_up_required")
		w.do(t, call{method: "DELETE", path: ana.path("/factors/" + first.factor), header: w.fresh(t, proof)}).want(t, 204, "")
		id := w.asked(t, ana, nil).text("challenge", "id")
		w.verify(t, id, doc{"factor": first.factor, "code": first.next(t, w)}).want(t, 404, "not_found")
		w.verify(t, id, doc{"code": second.code(t, w)}).want(t, 200, "")
		turn := func(on bool) answer {
			return w.do(t, call{method: "PATCH", path: ana.path(""), body: doc{"enabled": on}, header: w.fresh(t, proof)}).want(t, 200, "")
		}
		if off := turn(false); len(off.list("factors")) != 1 || doc(off.list("factors")[0].(map[string]any)).text("label") != "Tablet" {
			t.Errorf("off: got %s", off.raw)
		}
		w.start(t, ana, nil).want(t, 200, "")
		turn(true)
		w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"code": second.next(t, w)}).want(t, 200, "")
	})
}

func TestS9WhileItIsOnItIsAskedAtEverySignIn(t *testing.T) {
	saltoWorld(t, func(t *testing.T, w *world) {
		a, _ := w.enrolApp(t, ana, "")
		for range 3 {
			asked := w.asked(t, ana, nil)
			if asked.text("reason") != "enabled" || asked.at("challenge", "trust") != nil {
				t.Errorf("got %s", asked.raw)
			}
			answer := w.verify(t, asked.text("challenge", "id"), doc{"code": a.next(t, w), "trust": doc{"name": "Firefox"}}).want(t, 200, "")
			if answer.at("trust_token") != nil {
				t.Errorf("trust was granted: %s", answer.raw)
			}
		}
	})
}
