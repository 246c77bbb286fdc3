package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
)

// change turns the user's 2FA on or off with a portal token, and with what else the request has.
func (w *world) turn(on bool, token string, alterations ...alteration) reply {
	return w.do("PATCH", "/v1/orgs/acme/users/u-17", fmt.Sprintf(`{"enabled":%v}`, on), append([]alteration{as(token)}, alterations...)...)
}

func TestAUserInThePortalEnrolsAFactorAndTurnsTwoFactorOffAndOn(t *testing.T) {
	w := newWorld(t)
	w.wants("the user", w.do("PUT", "/v1/orgs/acme/users/u-17", `{"email":"ana@acme.example"}`), 200)
	token := w.usersSession("acme", "u-17")
	begun := w.wants("begin", w.do("POST", "/v1/enrolments", `{"kind":"totp","label":"My phone"}`, as(token)), 201)
	app := appUser{"acme", "u-17", begun.word("totp.secret")}
	other := w.usersSession("acme", "u-17")
	w.refused("by another session of the same user", w.do("POST", "/v1/enrolments/"+begun.word("id")+"/finish", w.shown(app.secret), as(other)), 404, mfa.EnrolmentInvalid, "")
	w.refused("by a key", w.do("POST", "/v1/enrolments/"+begun.word("id")+"/finish", w.shown(app.secret)), 404, mfa.EnrolmentInvalid, "")
	done := w.wants("finish", w.do("POST", "/v1/enrolments/"+begun.word("id")+"/finish", w.shown(app.secret), as(token)), 201)
	if codes, _ := done.at("recovery_codes").([]any); len(codes) != 10 {
		t.Errorf("got %d recovery codes, want 10", len(codes))
	}
	w.refused("without a proof", w.turn(false, token), 403, mfa.StepUpNeeded, "")
	stepUp := w.stepsUp(app, token)
	w.wants("off", w.turn(false, token, proof(stepUp)), 200)
	w.wants("on", w.turn(true, token, proof(stepUp)), 200)
	w.wants("rename", w.do("PATCH", "/v1/orgs/acme/users/u-17/factors/"+done.word("factor.id"), `{"label":"Phone"}`, as(token)), 200)
	w.wants("codes", w.do("POST", "/v1/orgs/acme/users/u-17/recovery-codes", "", as(token), proof(stepUp)), 201)
	w.wants("browsers", w.do("GET", "/v1/orgs/acme/users/u-17/browsers", "", as(token)), 200)
	w.wants("activity", w.do("GET", "/v1/orgs/acme/users/u-17/activity", "", as(token)), 200)
	w.refused("what an administrator decides", w.do("PATCH", "/v1/orgs/acme/users/u-17", `{"enforced":false}`, as(token), proof(stepUp)), 403, mfa.Forbidden, "")
}

func TestAPortalTokenIsFreshForTenMinutesAfterThePassword(t *testing.T) {
	w := newWorld(t)
	app := w.withApp("acme", "u-17")
	token := w.usersSession("acme", "u-17")
	w.clock.Advance(10*time.Minute - 30*time.Second)
	stepUp := w.stepsUp(app, token) // it advances half a minute
	w.wants("exactly ten minutes later", w.turn(true, token, proof(stepUp)), 200)
	w.clock.Advance(time.Second)
	w.refused("a second later", w.turn(true, token, proof(stepUp)), 403, mfa.ReauthenticationNeeded, "")
	w.refused("with a browser's word", w.turn(true, token, proof(stepUp), w.reauthenticated()), 403, mfa.ReauthenticationNeeded, "")
	w.refused("an enrolment", w.do("POST", "/v1/enrolments", `{"kind":"email"}`, as(token), proof(stepUp), w.reauthenticated()), 403, mfa.ReauthenticationNeeded, "")
	never := w.portal(`{"org":"acme","user":"u-17"}`)
	w.refused("in a session without a password check", w.turn(true, never, proof(stepUp), w.reauthenticated()), 403, mfa.ReauthenticationNeeded, "")
	w.wants("but it can be read", w.do("GET", "/v1/orgs/acme/users/u-17", "", as(never)), 200)
}

func TestAStepUpInThePortalSaysNothingOnAClientsWord(t *testing.T) {
	w := newWorld(t)
	w.withApp("acme", "u-17")
	token := w.usersSession("acme", "u-17")
	const begin = `{"org":"acme","purpose":"step_up","user":{"id":"u-17"`
	for param, body := range map[string]string{
		"user":         begin + `,"email":"thief@evil.example"}}`,
		"context":      begin + `},"context":{"ip":"203.0.113.9"}}`,
		"first_factor": begin + `},"first_factor":{"kind":"sso"}}`,
		"trust_token":  begin + `},"trust_token":"x"}`,
		"return_url":   begin + `},"return_url":"https://app.example/"}`,
		"action":       begin + `},"action":"pay"}`,
		"purpose":      strings.Replace(begin, "step_up", "sign_in", 1) + `}}`,
	} {
		w.refused(param, w.do("POST", "/v1/challenges", body, as(token)), 400, mfa.InvalidRequest, param)
	}
	w.wants("account", w.do("POST", "/v1/challenges", begin+`},"action":"account","nonce":"n"}`, as(token)), 201)
	for range 59 {
		w.wants("another", w.do("POST", "/v1/challenges", begin+`}}`, as(token)), 201)
	}
	w.refused("one too many", w.do("POST", "/v1/challenges", begin+`}}`, as(token)), 429, mfa.TooManyRequests, "")
	u := w.wants("the user", w.do("GET", "/v1/orgs/acme/users/u-17", ""), 200)
	if u.at("email") != nil {
		t.Errorf("got the address %v, want none", u.at("email"))
	}
}

func TestAnOldPortalTokenEnrolsNoFirstFactorByAStepUp(t *testing.T) {
	w := newWorld(t)
	w.wants("the policy", w.do("PUT", "/v1/orgs/acme/policy", `{"enrolment_proof":"none"}`, at("0")), 200)
	w.wants("the user", w.do("PUT", "/v1/orgs/acme/users/u-17", `{}`), 200)
	token := w.usersSession("acme", "u-17")
	const begin = `{"org":"acme","purpose":"step_up","user":{"id":"u-17"}}`
	if got := w.wants("fresh", w.do("POST", "/v1/challenges", begin, as(token)), 201); got.word("decision") != "enrol" {
		t.Errorf("got %s, want enrol", got.text)
	}
	w.clock.Advance(10*time.Minute + time.Second)
	w.refused("old", w.do("POST", "/v1/challenges", begin, as(token)), 403, mfa.ReauthenticationNeeded, "")
}

// TestAPortalTokenIsDeadAfterWhatEndsItsPersonsSessions also finds that missing, expired and dead tokens hear the same.
func TestAPortalTokenIsDeadAfterWhatEndsItsPersonsSessions(t *testing.T) {
	said := map[string]bool{}
	for what, end := range map[string]func(*world){
		"a reset": func(w *world) {
			w.wants("reset", w.do("POST", anasPath+"/reset", `{"actor":"olga","reason":"lost"}`), 200)
		},
		"a revocation": func(w *world) { w.wants("revoke", w.do("DELETE", anasPath+"/browsers", ""), 204) },
		"a sign-out":   func(w *world) { w.wants("events", w.do("POST", anasPath+"/events", `{"kind":"signed_out"}`), 200) },
		"a new password": func(w *world) {
			w.wants("events", w.do("POST", anasPath+"/events", `{"kind":"password_changed"}`), 200)
		},
		"another address":  func(w *world) { w.wants("put", w.do("PUT", anasPath, `{"email":"a@other.example"}`), 200) },
		"deprovisioning":   func(w *world) { w.wants("events", w.do("POST", anasPath+"/events", `{"kind":"deprovisioned"}`), 200) },
		"an erasure":       func(w *world) { w.wants("erase", w.do("DELETE", anasPath, ""), 204) },
		"an hour":          func(w *world) { w.clock.Advance(time.Hour) },
		"made again after": func(w *world) { w.do("DELETE", anasPath, ""); w.do("PUT", anasPath, `{}`) },
	} {
		for _, mine := range []bool{true, false} {
			w := newWorld(t)
			w.wants("the user", w.do("PUT", anasPath, `{"email":"ana@acme.example"}`), 200)
			w.withApp("acme", "u-17")
			token, path := w.usersSession("acme", "u-17"), anasPath
			if !mine {
				token, path = w.administrators("acme", "u-17"), "/v1/orgs/acme/policy"
			}
			w.wants("before", w.do("GET", path, "", as(token)), 200)
			end(w)
			got := w.do("GET", path, "", as(token), with("X-Request-Id", "same"))
			w.refused("after "+what, got, 401, mfa.Unauthenticated, "")
			said[got.text] = true
			w.refused("a write after "+what, w.do("POST", "/v1/challenges", `{"org":"acme","user":{"id":"u-17"},"purpose":"step_up"}`, as(token)), 401, mfa.Unauthenticated, "")
		}
	}
	if len(said) != 1 {
		t.Errorf("got %d different answers, want one: %v", len(said), said)
	}
}

func TestAPortalTokenIsDeadOnceAResetOfItsPersonIsDue(t *testing.T) {
	w := newWorld(t)
	w.wants("the policy", w.do("PUT", policy, `{"reset":{"hold_s":60}}`, at("0")), 200)
	w.withApp("acme", "olga")
	console := w.administrators("acme", "olga")
	w.wants("a reset", w.do("POST", "/v1/orgs/acme/users/olga/reset", `{"actor":"paul","reason":"lost"}`), 202)
	w.wants("while it waits", w.do("GET", policy, "", as(console)), 200)
	w.clock.Advance(61 * time.Second)
	w.refused("once it is due", w.do("GET", policy, "", as(console)), 401, mfa.Unauthenticated, "")
}

func TestAnAdministratorInThePortalStepsUpBeforeEveryChange(t *testing.T) {
	w := newWorld(t)
	olga := w.withApp("acme", "olga")
	w.withApp("acme", "u-17")
	w.withApp("acme", "u-18")
	console := w.administrators("acme", "olga")
	w.wants("the policy", w.do("PUT", policy, `{"pass":{"max_s":600},"reset":{"hold_s":60}}`, at("0")), 200)
	waits := w.wants("a reset", w.do("POST", "/v1/orgs/acme/users/u-18/reset", `{"actor":"paul","reason":"lost"}`), 202).word("id")
	on := func(method, path, body string, alterations ...alteration) reply {
		return w.do(method, path, body, append([]alteration{as(console)}, alterations...)...)
	}
	changes := map[string]func(...alteration) reply{
		"putPolicy": func(a ...alteration) reply {
			return on("PUT", policy, `{"pass":{"max_s":600},"reset":{"hold_s":60}}`, append(a, at("1"))...)
		},
		"putBrand": func(a ...alteration) reply {
			return on("PUT", "/v1/orgs/acme/brand", `{"name":"Acme"}`, append(a, at("0"))...)
		},
		"enforce":    func(a ...alteration) reply { return on("PATCH", anasPath, `{"enforced":true}`, a...) },
		"unlockUser": func(a ...alteration) reply { return on("POST", anasPath+"/unlock", `{"reason":"called"}`, a...) },
		"issuePass":  func(a ...alteration) reply { return on("POST", anasPath+"/passes", `{"reason":"forgot"}`, a...) },
		"revokePass": func(a ...alteration) reply { return on("DELETE", anasPath+"/passes", "", a...) },
		"resetUser":  func(a ...alteration) reply { return on("POST", anasPath+"/reset", `{"reason":"lost"}`, a...) },
		"cancelReset": func(a ...alteration) reply {
			return on("POST", "/v1/resets/"+waits+"/cancel", `{}`, a...)
		},
		"beginEnrolment": func(a ...alteration) reply {
			return on("POST", "/v1/enrolments", `{"org":"acme","user":{"id":"u-17"},"kind":"totp","on_behalf":{"reason":"new phone"}}`, a...)
		},
	}
	for what, change := range changes {
		w.refused(what+" without a proof", change(), 403, mfa.StepUpNeeded, "")
	}
	stepUp := proof(w.stepsUp(olga, console))
	for what, change := range changes {
		if got := change(stepUp); got.status >= 300 {
			t.Errorf("%s with a proof: got %d %s", what, got.status, got.text)
		}
	}
	w.clock.Advance(10*time.Minute + time.Second)
	for what, change := range changes {
		w.refused(what+" with an old proof", change(stepUp), 403, mfa.StepUpNeeded, "")
	}
	for what, path := range map[string]string{"policy": policy, "users": "/v1/orgs/acme/users", "brand": "/v1/orgs/acme/brand", "adoption": "/v1/orgs/acme/adoption", "activity": "/v1/orgs/acme/activity", "resets": "/v1/orgs/acme/resets", "reset": "/v1/resets/" + waits} {
		w.wants(what, on("GET", path, ""), 200)
	}
	w.wants("preview", on("POST", policy+"/preview", `{"require":"everyone"}`), 200)
}

func TestAnAdministratorsProofIsOfTheirOwnStepUp(t *testing.T) {
	w := newWorld(t)
	olga, ana := w.withApp("acme", "olga"), w.withApp("acme", "u-17")
	console, users := w.administrators("acme", "olga"), w.usersSession("acme", "u-17")
	brand := func(token, stepUp string) reply {
		return w.do("PUT", "/v1/orgs/acme/brand", `{"name":"Acme"}`, as(token), at("0"), proof(stepUp))
	}
	w.refused("another user's", brand(console, w.stepsUp(ana, users)), 403, mfa.StepUpNeeded, "")
	own := w.stepsUp(olga, console)
	begun := w.wants("by another client", w.do("POST", "/v1/portal-sessions", `{"org":"acme","administrator":{"org":"acme","user":"olga"}}`, as(w.keyOf("backoffice"))), 201)
	elsewhere := w.wants("handle", w.do("POST", "/v1/handles", `{"handle":"`+begun.word("url")[strings.LastIndex(begun.word("url"), "/")+1:]+`"}`, without("Authorization")), 200).word("token")
	w.refused("for another client", brand(elsewhere, own), 403, mfa.StepUpNeeded, "")
	w.wants("an administrator without a factor", w.do("PUT", "/v1/orgs/acme/users/paul", `{"email":"paul@acme.example"}`), 200)
	w.refused("without a factor", brand(w.administrators("acme", "paul"), ""), 403, mfa.StepUpNeeded, "")
	w.wants("the own one", brand(console, own), 200)
}

func TestAnAdministratorInThePortalIsTheActorWhateverTheBodySays(t *testing.T) {
	w := newWorld(t)
	w.service.Bus = nil
	olga := w.withApp("acme", "olga")
	w.withApp("acme", "u-17")
	console := w.administrators("acme", "olga")
	stepUp := proof(w.stepsUp(olga, console))
	for what, got := range map[string]reply{
		"unlock": w.do("POST", anasPath+"/unlock", `{"actor":"paul","reason":"called"}`, as(console), stepUp),
		"reset":  w.do("POST", anasPath+"/reset", `{"actor":"paul","reason":"lost"}`, as(console), stepUp),
	} {
		w.refused(what, got, 400, mfa.InvalidRequest, "actor")
	}
	w.refused("enrol", w.do("POST", "/v1/enrolments", `{"org":"acme","user":{"id":"u-17"},"kind":"totp","on_behalf":{"actor":"paul","reason":"new"}}`, as(console), stepUp), 400, mfa.InvalidRequest, "on_behalf.actor")
	w.refused("an address", w.do("POST", "/v1/enrolments", `{"org":"acme","user":{"id":"u-17","email":"x@evil.example"},"kind":"email","on_behalf":{"reason":"new"}}`, as(console), stepUp), 400, mfa.InvalidRequest, "user")
	w.refused("somebody new", w.do("POST", "/v1/enrolments", `{"org":"acme","user":{"id":"u-99"},"kind":"totp","on_behalf":{"reason":"new"}}`, as(console), stepUp), 404, mfa.NotFound, "")
	w.refused("their own account", w.do("POST", "/v1/orgs/acme/users/olga/reset", `{"reason":"lost"}`, as(console), stepUp), 403, mfa.Forbidden, "")
	w.wants("reset", w.do("POST", anasPath+"/reset", `{"actor":"olga","reason":"lost"}`, as(console), stepUp), 200)
}

func TestTwoAdministratorsInThePortalApproveAResetAndOneDoesNot(t *testing.T) {
	w := newWorld(t)
	w.wants("the policy", w.do("PUT", policy, `{"reset":{"second_approver":true}}`, at("0")), 200)
	people := map[string]appUser{}
	for _, id := range []string{"olga", "paul", "u-17"} {
		people[id] = w.withApp("acme", id)
	}
	ops := w.withApp("ops", "olga")
	consoles := map[string]string{}
	for id := range people {
		consoles[id] = w.administrators("acme", id)
	}
	consoles["the operator's olga"] = w.portal(`{"org":"acme","administrator":{"org":"ops","user":"olga"}}`)
	people["the operator's olga"] = ops
	steppedUp := map[string]alteration{}
	for id, token := range consoles {
		steppedUp[id] = proof(w.stepsUp(people[id], token))
	}
	key := as(w.make(apikey.Grant{Client: "portal", Scopes: apikey.Scopes()}))
	ask := func() string {
		return w.wants("ask", w.do("POST", anasPath+"/reset", `{"reason":"lost"}`, as(consoles["olga"]), steppedUp["olga"]), 202).word("id")
	}
	approve := func(id, who string) reply {
		return w.do("POST", "/v1/resets/"+id+"/approve", `{}`, as(consoles[who]), steppedUp[who])
	}
	id := ask()
	w.refused("who asked", approve(id, "olga"), 403, mfa.Forbidden, "")
	w.refused("by another session of who asked", w.do("POST", "/v1/resets/"+id+"/approve", `{}`, as(w.administrators("acme", "olga")), steppedUp["olga"]), 403, mfa.Forbidden, "")
	w.refused("the user", approve(id, "u-17"), 403, mfa.Forbidden, "")
	w.refused("a key of the same client", w.do("POST", "/v1/resets/"+id+"/approve", `{"actor":"paul"}`, key), 403, mfa.Forbidden, "")
	w.refused("a key that says it is the operator's", w.do("POST", "/v1/resets/"+id+"/approve", `{"actor":"olga"}`, as(w.keyOf("backoffice"))), 403, mfa.Forbidden, "")
	got := w.wants("a second administrator", approve(id, "paul"), 200)
	if got.word("state") != "done" || got.word("requested_by") != "olga" || got.word("approved_by") != "paul" {
		t.Errorf("got %s", got.text)
	}
	w.clock.Advance(30 * time.Second)
	w.withApp("acme", "u-17")
	got = w.wants("an administrator with the same id of another org", approve(ask(), "the operator's olga"), 200)
	if got.word("state") != "done" {
		t.Errorf("got %s", got.text)
	}
	w.withApp("acme", "u-17")
	byKey := w.wants("a key asks", w.do("POST", anasPath+"/reset", `{"actor":"x","reason":"lost"}`, key), 202).word("id")
	w.refused("a session of the same client", approve(byKey, "paul"), 403, mfa.Forbidden, "")
}

func TestARecoveryCodeOfAnAdministratorIsNoProofForTheirOrg(t *testing.T) {
	w := newWorld(t)
	begun := w.wants("begin", w.do("POST", "/v1/enrolments", `{"org":"acme","user":{"id":"olga"},"kind":"totp"}`, w.reauthenticated()), 201)
	done := w.wants("finish", w.do("POST", "/v1/enrolments/"+begun.word("id")+"/finish", w.shown(begun.word("totp.secret"))), 201)
	console := w.administrators("acme", "olga")
	began := w.wants("a step-up", w.do("POST", "/v1/challenges", `{"org":"acme","user":{"id":"olga"},"purpose":"step_up"}`, as(console)), 201)
	recovered := w.wants("recover", w.do("POST", "/v1/challenges/"+began.word("challenge.id")+"/recover", codeOf(done, 0), as(began.word("challenge.token"))), 200)
	brand := w.do("PUT", "/v1/orgs/acme/brand", `{"name":"Acme"}`, as(console), at("0"), proof(recovered.word("token")))
	w.refused("by a recovery code", brand, 403, mfa.StepUpNeeded, "")
}

func TestAPortalSessionBeginsTwentyEnrolmentsOfAUser(t *testing.T) {
	w := newWorld(t)
	w.wants("the user", w.do("PUT", anasPath, `{}`), 200)
	token := w.usersSession("acme", "u-17")
	for range 20 {
		w.wants("begin", w.do("POST", "/v1/enrolments", `{"kind":"totp"}`, as(token)), 201)
	}
	w.refused("one too many", w.do("POST", "/v1/enrolments", `{"kind":"totp"}`, as(token)), 429, mfa.TooManyRequests, "")
}
