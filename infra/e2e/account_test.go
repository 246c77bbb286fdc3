package main

import (
	"strings"
	"testing"
	"time"
)

// appWorld runs a story with an org under the default policy. Its users may enrol an app or their address.
func appWorld(t *testing.T, story func(t *testing.T, w *world)) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"trust": doc{"days": 30}})
		story(t, w)
	})
}

func TestB6AnAccountIsChangedOnlyWithAProofOfItsOwn(t *testing.T) {
	appWorld(t, func(t *testing.T, w *world) {
		bob := person{"acme", "u-18", "bob@acme.example"}
		namesake := person{"other", ana.id, "ana@other.example"}
		mine, done := w.enrolApp(t, ana, "")
		his, _ := w.enrolApp(t, bob, "")
		w.policy(t, "other", doc{"trust": doc{"days": 30}})
		theirs, _ := w.enrolApp(t, namesake, "")
		allowed := w.start(t, person{"acme", "u-19", "eve@acme.example"}, nil).want(t, 200, "").text("token")
		signedIn := w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"code": mine.next(t, w)}).want(t, 200, "").text("token")
		up := w.start(t, ana, doc{"purpose": "step_up"}).want(t, 201, "").text("challenge", "id")
		recovered := w.recoverBy(t, up, done.list("recovery_codes")[0].(string)).want(t, 200, "").text("token")
		otherKey := w.do(t, call{method: "POST", path: "/local/keys", body: doc{"scopes": []string{"sign_in", "manage"}, "client": "another"}}).text("key")
		proof := w.stepUp(t, ana, mine, doc{"action": "account"})

		remove := func(bearer, proof string) answer {
			return w.do(t, call{method: "DELETE", path: ana.path("/factors/" + mine.factor), bearer: bearer, header: w.fresh(t, proof)})
		}
		for name, bad := range map[string]string{
			"none": "", "junk": "eyJhbGciOiJub25lIn0.e30.", "another user's": w.stepUp(t, bob, his, nil), "another org's": w.stepUp(t, namesake, theirs, nil),
			"an allow's": allowed, "a sign-in's": signedIn, "a recovery's": recovered, "another action's": w.stepUp(t, ana, mine, doc{"action": "payment"}),
			"altered": proof[:len(proof)-2] + strings.Map(func(r rune) rune { return r ^ 1 }, proof[len(proof)-2:]),
		} {
			if got := remove("", bad); got.status != 403 || got.text("code") != "step_up_required" {
				t.Errorf("%s: got %d %s", name, got.status, got.raw)
			}
		}
		remove(otherKey, proof).want(t, 403, "step_up_required")
		w.do(t, call{method: "POST", path: "/v1/enrolments", body: ana.signIn(doc{"kind": "totp"}), header: w.fresh(t, "")}).want(t, 403, "step_up_required")
		w.do(t, call{method: "DELETE", path: ana.path("/factors/" + his.factor), header: w.fresh(t, proof)}).want(t, 404, "not_found")
		old := w.stepUp(t, ana, mine, nil)
		w.advance(t, 10*time.Minute+time.Second)
		remove("", old).want(t, 403, "step_up_required")
		revoked := w.stepUp(t, ana, mine, nil)
		w.do(t, call{method: "DELETE", path: ana.path("/browsers")}).want(t, 204, "")
		remove("", revoked).want(t, 403, "step_up_required")
		remove("", w.stepUp(t, ana, mine, nil)).want(t, 204, "")
	})
}

func TestB7AndB8AnothersFactorOrRecoveryCodeIsNoAnswer(t *testing.T) {
	appWorld(t, func(t *testing.T, w *world) {
		bob := person{"acme", "u-18", "bob@acme.example"}
		w.enrolApp(t, ana, "")
		his, done := w.enrolApp(t, bob, "")
		code := done.list("recovery_codes")[0].(string)
		id := w.asked(t, ana, nil).text("challenge", "id")
		w.verify(t, id, doc{"factor": his.factor, "code": his.next(t, w)}).want(t, 404, "not_found")
		w.recoverBy(t, id, code).want(t, 422, "wrong_code")
		w.recoverBy(t, w.asked(t, bob, nil).text("challenge", "id"), code).want(t, 200, "")
	})
}

func TestB9WhatHasExpiredIsRefusedWhileItIsStillStored(t *testing.T) {
	appWorld(t, func(t *testing.T, w *world) {
		a, done := w.enrolApp(t, ana, "")
		late := w.asked(t, ana, nil)
		w.advanceTo(t, late.time(t, "challenge", "expires"))
		w.verify(t, late.text("challenge", "id"), doc{"code": a.code(t, w)}).want(t, 404, "challenge_invalid")
		w.recoverBy(t, late.text("challenge", "id"), done.list("recovery_codes")[0].(string)).want(t, 404, "challenge_invalid")

		begun := w.begin(t, ana, "totp", w.stepUp(t, ana, a, nil)).want(t, 201, "")
		w.advanceTo(t, begun.time(t, "expires"))
		w.finish(t, "", begun.text("id"), app{secret: begun.text("totp", "secret")}.code(t, w)).want(t, 404, "enrolment_invalid")
		w.do(t, call{method: "POST", path: "/v1/enrolments/" + begun.text("id") + "/send", body: doc{}}).want(t, 404, "enrolment_invalid")

		w.policy(t, "acme", doc{"require": "everyone", "enrolment_proof": "none"})
		_, token := w.toEnrol(t, person{"acme", "u-20", "new@acme.example"})
		w.advance(t, 15*time.Minute)
		w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: doc{"kind": "totp"}}).want(t, 404, "enrolment_invalid")
	})
}

func TestAForcedEnrolmentFirstProvesTheKnownAddress(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"require": "everyone"})
		_, token := w.toEnrol(t, ana)
		begin := func(kind string) answer {
			return w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: token, body: doc{"kind": kind}})
		}
		prove := func(code string) answer {
			return w.do(t, call{method: "POST", path: "/v1/enrolments/prove", bearer: token, body: doc{"code": code}})
		}
		asked := begin("totp").want(t, 201, "")
		if asked.text("prove", "sent", "hint") != "a***@acme.example" || asked.at("totp") != nil || asked.at("id") != nil {
			t.Fatalf("got %s, want a code to the known address and nothing else", asked.raw)
		}
		code := w.code(t, ana.email)
		prove("12345").want(t, 400, "invalid_request")
		prove(wrong(code)).want(t, 422, "wrong_code")
		begin("totp").want(t, 429, "too_many_sends")
		w.advance(t, 30*time.Second)
		begin("totp").want(t, 201, "")
		again := w.code(t, ana.email)
		if again != code {
			prove(code).want(t, 422, "wrong_code")
		}
		prove(again).want(t, 200, "")
		prove(again).want(t, 404, "enrolment_invalid")
		begun := begin("totp").want(t, 201, "")
		a := app{secret: begun.text("totp", "secret")}
		if done := w.finish(t, token, begun.text("id"), a.code(t, w)).want(t, 201, ""); done.text("token") == "" || len(done.list("recovery_codes")) != 10 {
			t.Errorf("got %s", done.raw)
		}

		// Enrolling the address itself needs no second proof. If a user has no address, an administrator has to enrol the user.
		bob := person{"acme", "u-18", "bob@acme.example"}
		_, token = w.toEnrol(t, bob)
		if got := begin("email").want(t, 201, ""); got.text("sent", "hint") != "b***@acme.example" || got.at("prove") != nil {
			t.Errorf("got %s", got.raw)
		}
		nobody := w.do(t, call{method: "POST", path: "/v1/challenges", body: person{"acme", "u-21", ""}.bare(nil)}).want(t, 201, "")
		token = nobody.text("enrolment", "token")
		begin("totp").want(t, 409, "nothing_to_send")
	})
}

func TestH6AnAdministratorSetsAUserUp(t *testing.T) {
	appWorld(t, func(t *testing.T, w *world) {
		key := w.do(t, call{method: "POST", path: "/local/keys", body: doc{"scopes": []string{"admin"}}}).text("key")
		body := ana.signIn(doc{"kind": "totp", "on_behalf": doc{"actor": "staff-7", "reason": "new phone"}})
		plain := w.do(t, call{method: "POST", path: "/local/keys", body: doc{"scopes": []string{"manage"}}}).text("key")
		w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: plain, body: body}).want(t, 403, "forbidden")
		begun := w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: key, body: body}).want(t, 201, "")
		a := app{secret: begun.text("totp", "secret")}
		done := w.finish(t, key, begun.text("id"), a.code(t, w)).want(t, 201, "")
		if done.at("recovery_codes") != nil {
			t.Errorf("an administrator was shown recovery codes: %s", done.raw)
		}
		told := w.events(t, ana.id, "factor.enrolled")
		if len(told) != 1 || told[0].text("actor", "kind") != "administrator" || told[0].text("actor", "id") != "staff-7" || told[0].text("data", "reason") != "new phone" {
			t.Errorf("events: got %v", told)
		}
		first := w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"code": a.next(t, w)}).want(t, 200, "")
		if len(first.list("recovery_codes")) != 10 {
			t.Errorf("the user's first verify: got %s, want recovery codes", first.raw)
		}
		second := w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"code": a.next(t, w)}).want(t, 200, "")
		if second.at("recovery_codes") != nil {
			t.Errorf("the second: got %s", second.raw)
		}
	})
}

func TestE2ASecretIsShownOnceAndBeginningAgainKillsThePendingOne(t *testing.T) {
	appWorld(t, func(t *testing.T, w *world) {
		first := w.begin(t, ana, "totp", "").want(t, 201, "")
		second := w.begin(t, ana, "totp", "").want(t, 201, "")
		if first.text("totp", "secret") == second.text("totp", "secret") {
			t.Error("one secret was shown twice")
		}
		old, fresh := app{secret: first.text("totp", "secret")}, app{secret: second.text("totp", "secret")}
		w.finish(t, "", first.text("id"), old.code(t, w)).want(t, 404, "enrolment_invalid")
		w.finish(t, "", second.text("id"), old.code(t, w)).want(t, 422, "wrong_code")
		w.finish(t, "", second.text("id"), fresh.code(t, w)).want(t, 201, "")
		for _, seen := range []answer{w.account(t, ana), w.do(t, call{method: "GET", path: ana.path("/activity")}).want(t, 200, "")} {
			if strings.Contains(string(seen.raw), fresh.secret) {
				t.Errorf("the secret is shown again: %s", seen.raw)
			}
		}
	})
}

func TestE8TheLastFactorOfWhoMustHaveOneStays(t *testing.T) {
	appWorld(t, func(t *testing.T, w *world) {
		a, _ := w.enrolApp(t, ana, "")
		w.policy(t, "acme", doc{"require": "everyone"})
		proof := w.stepUp(t, ana, a, nil)
		w.do(t, call{method: "DELETE", path: ana.path("/factors/" + a.factor), header: w.fresh(t, proof)}).want(t, 409, "last_factor")
		w.do(t, call{method: "PATCH", path: ana.path(""), body: doc{"enabled": false}, header: w.fresh(t, proof)}).want(t, 409, "required_by_policy")
	})
}

func TestE12AnothersEnrolmentCantBeFinished(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.policy(t, "acme", doc{"require": "everyone", "enrolment_proof": "none"})
		_, anas := w.toEnrol(t, ana)
		_, bobs := w.toEnrol(t, person{"acme", "u-18", "bob@acme.example"})
		begun := w.do(t, call{method: "POST", path: "/v1/enrolments", bearer: anas, body: doc{"kind": "totp"}}).want(t, 201, "")
		code := app{secret: begun.text("totp", "secret")}.code(t, w)
		missing := w.finish(t, bobs, "en_AAAA", code).want(t, 404, "enrolment_invalid")
		foreign := w.finish(t, bobs, begun.text("id"), code).want(t, 404, "enrolment_invalid")
		delete(missing.doc, "request_id")
		delete(foreign.doc, "request_id")
		if len(missing.doc) != len(foreign.doc) || missing.text("detail") != foreign.text("detail") {
			t.Errorf("got %s and %s, want the same", missing.raw, foreign.raw)
		}
		w.finish(t, "", begun.text("id"), code).want(t, 404, "enrolment_invalid")
		w.do(t, call{method: "GET", path: ana.path(""), bearer: anas}).want(t, 401, "unauthenticated")
		w.finish(t, anas, begun.text("id"), code).want(t, 201, "")
	})
}

func TestTB2TrustDiesOfWhatTheClientReportsAndOfTheUsersOwnChanges(t *testing.T) {
	appWorld(t, func(t *testing.T, w *world) {
		a, _ := w.enrolApp(t, ana, "")
		trust := func() string {
			id := w.asked(t, ana, nil).text("challenge", "id")
			return w.verify(t, id, doc{"code": a.next(t, w), "trust": doc{"name": "Firefox"}}).want(t, 200, "").text("trust_token")
		}
		reason := func(token string) string {
			return w.do(t, call{method: "POST", path: "/v1/decisions", body: ana.signIn(doc{"trust_token": token})}).want(t, 200, "").text("reason")
		}
		for _, kind := range []string{"password_changed", "email_changed", "phone_changed", "signed_out", "deprovisioned"} {
			token := trust()
			if got := reason(token); got != "trusted_browser" {
				t.Fatalf("%s, before: got %s", kind, got)
			}
			died := w.do(t, call{method: "POST", path: ana.path("/events"), body: doc{"kind": kind}}).want(t, 200, "")
			if died.number("trusted_browsers") != 1 {
				t.Errorf("%s: got %s", kind, died.raw)
			}
			if kind == "deprovisioned" {
				w.start(t, ana, nil).want(t, 403, "forbidden")
				w.do(t, call{method: "PUT", path: ana.path(""), body: doc{}}).want(t, 200, "")
			}
			if got := reason(token); got != "new_browser" {
				t.Errorf("%s, after: got %s", kind, got)
			}
		}
		w.do(t, call{method: "POST", path: ana.path("/events"), body: doc{"kind": "promoted"}}).want(t, 400, "invalid_request")

		token := trust()
		listed := w.do(t, call{method: "GET", path: ana.path("/browsers")}).want(t, 200, "").list("items")
		if len(listed) != 1 {
			t.Fatalf("got %v, want one browser", listed)
		}
		browser := doc(listed[0].(map[string]any))
		if browser.text("name") != "Firefox" {
			t.Errorf("got %v", browser)
		}
		w.do(t, call{method: "DELETE", path: ana.path("/browsers/" + browser.text("id"))}).want(t, 204, "")
		w.do(t, call{method: "DELETE", path: ana.path("/browsers/" + browser.text("id"))}).want(t, 404, "not_found")
		if got := reason(token); got != "new_browser" {
			t.Errorf("revoked: got %s", got)
		}
		token = trust()
		second, _ := w.enrolApp(t, ana, w.stepUp(t, ana, a, nil))
		if got := reason(token); got != "trusted_browser" {
			t.Errorf("a factor was added: got %s", got)
		}
		w.do(t, call{method: "DELETE", path: ana.path("/factors/" + second.factor), header: w.fresh(t, w.stepUp(t, ana, a, nil))}).want(t, 204, "")
		if got := reason(token); got != "new_browser" {
			t.Errorf("a factor was removed: got %s", got)
		}
	})
}

func TestG5OneLockCountsGuessesOverEmailAndAppTogether(t *testing.T) {
	appWorld(t, func(t *testing.T, w *world) {
		a, done := w.enrolApp(t, ana, "")
		byMail := w.enrolMail(t, ana, w.stepUp(t, ana, a, nil)).text("factor", "id")
		guess := func(factor string, n int) {
			id := w.asked(t, ana, doc{"method": "email"}).text("challenge", "id")
			for range n {
				w.verify(t, id, doc{"factor": factor, "code": wrong(a.code(t, w))}).want(t, 422, "wrong_code")
			}
		}
		guess(a.factor, 5)
		guess(byMail, 4)
		id := w.asked(t, ana, nil).text("challenge", "id")
		if left := w.verify(t, id, doc{"factor": a.factor, "code": wrong(a.code(t, w))}).want(t, 422, "wrong_code").number("attempts_left"); left != 0 {
			t.Errorf("the tenth: %d attempts left, want none", left)
		}
		w.verify(t, id, doc{"code": a.next(t, w)}).want(t, 429, "locked")
		w.do(t, call{method: "POST", path: "/v1/challenges/" + id + "/send", body: doc{"factor": byMail}}).want(t, 429, "locked")
		locked := w.start(t, ana, nil).want(t, 201, "")
		if len(locked.list("challenge", "methods")) != 0 || locked.at("challenge", "recovery") != true || locked.at("challenge", "default") != nil {
			t.Errorf("locked: got %s, want recovery codes alone", locked.raw)
		}
		// Recovery codes have a budget of their own. They give no new guesses at codes.
		w.recoverBy(t, locked.text("challenge", "id"), done.list("recovery_codes")[0].(string)).want(t, 200, "")
		w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"code": a.next(t, w)}).want(t, 429, "locked")
		w.advance(t, 15*time.Minute)
		w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"code": a.next(t, w)}).want(t, 200, "")
	})
}

func TestG6WrongRecoveryCodesAreCountedOverSignIns(t *testing.T) {
	appWorld(t, func(t *testing.T, w *world) {
		a, done := w.enrolApp(t, ana, "")
		junk := strings.Repeat("0", 24)
		for n := range 5 {
			id := w.asked(t, ana, nil).text("challenge", "id")
			if left := w.recoverBy(t, id, junk).want(t, 422, "wrong_code").number("attempts_left"); left != 4-n {
				t.Errorf("after %d: %d left", n+1, left)
			}
		}
		asked := w.asked(t, ana, nil)
		if asked.at("challenge", "recovery") != false {
			t.Errorf("got %s", asked.raw)
		}
		w.recoverBy(t, asked.text("challenge", "id"), done.list("recovery_codes")[0].(string)).want(t, 429, "locked")
		w.verify(t, asked.text("challenge", "id"), doc{"code": a.next(t, w)}).want(t, 200, "")
		w.advance(t, 15*time.Minute)
		w.recoverBy(t, w.asked(t, ana, nil).text("challenge", "id"), done.list("recovery_codes")[0].(string)).want(t, 200, "")
	})
}
