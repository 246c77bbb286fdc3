package api_test

import (
	"strings"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
)

const anasPath = "/v1/orgs/acme/users/u-17"

func TestAUserTurns2FAOffAndOnAgainKeepingWhatThereIs(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolled()
	token := w.steppedUp(secret, `"account"`)
	w.refused("off, unproven", w.do("PATCH", anasPath, `{"enabled":false}`, w.reauthenticated()), 403, mfa.StepUpNeeded, "")
	off := w.wants("off", w.do("PATCH", anasPath, `{"enabled":false}`, w.reauthenticated(), proof(token)), 200)
	if off.at("enabled") != false || off.word("status") != "unprotected" || len(off.at("factors").([]any)) != 1 || off.at("recovery.codes_left") != 10.0 {
		t.Errorf("off: got %s", off.text)
	}
	w.wants("a sign-in", w.do("POST", "/v1/challenges", ana), 200)
	w.refused("on, stale", w.do("PATCH", anasPath, `{"enabled":true}`), 403, mfa.ReauthenticationNeeded, "")
	if on := w.wants("on", w.do("PATCH", anasPath, `{"enabled":true}`, w.reauthenticated()), 200); on.at("enabled") != true {
		t.Errorf("on: got %s", on.text)
	}
	w.wants("everyone", w.do("PUT", policy, `{"require":"everyone","email_backup":"pinned","acknowledge":true}`, at("0")), 200)
	w.refused("off, where it is required", w.do("PATCH", anasPath, `{"enabled":false}`, w.reauthenticated(), proof(token)), 409, mfa.RequiredByPolicy, "")
	user := w.do("GET", anasPath, "")
	factor := user.at("factors").([]any)[0].(map[string]any)["id"].(string)
	w.refused("the last factor", w.do("DELETE", anasPath+"/factors/"+factor, "", w.reauthenticated(), proof(token)), 409, mfa.LastFactor, "")

	begun := w.wants("an email too", w.do("POST", "/v1/enrolments", strings.Replace(anasApp, "totp", "email", 1), w.reauthenticated(), proof(token)), 201)
	mailed := w.wants("finish", w.do("POST", "/v1/enrolments/"+begun.word("id")+"/finish", `{"code":"`+w.mail.last()+`"}`), 201)
	w.refused("it twice", w.do("POST", "/v1/enrolments", strings.Replace(anasApp, "totp", "email", 1), w.reauthenticated(), proof(token)), 409, mfa.AlreadyExists, "")
	w.refused("it again", w.do("DELETE", anasPath+"/factors/"+mailed.word("factor.id"), "", w.reauthenticated(), proof(token)), 409, mfa.EmailPinned, "")
}

func TestH4WhatAnAdministratorDecidesAboutAUserIsApartFromWhatTheUserDecides(t *testing.T) {
	w := newWorld(t)
	w.wants("a user", w.do("PUT", anasPath, `{}`), 200)
	for body, param := range map[string]string{
		`{}`: "enabled", `{"enabled":true,"enforced":true}`: "enabled", `{"enabled":false,"grace_until":null}`: "enabled",
		`{"enabled":null}`: "enabled", `{"enabled":"true"}`: "enabled", `{"email":"a@b.example"}`: "email",
		`{"enforced":null}`: "enforced", `{"enforced":1}`: "enforced", `{"grace_until":"soon"}`: "grace_until", `{"grace_until":7}`: "grace_until",
	} {
		w.refused(body, w.do("PATCH", anasPath, body, w.reauthenticated()), 400, mfa.InvalidRequest, param)
	}
	enforced := w.wants("enforced", w.do("PATCH", anasPath, `{"enforced":true,"grace_until":"2031-01-01T00:00:00+01:00"}`), 200)
	if enforced.at("enforced") != true || enforced.at("required") != true || enforced.word("status") != "grace" || enforced.word("grace_until") != "2030-12-31T23:00:00Z" {
		t.Errorf("enforced: got %s", enforced.text)
	}
	due := w.wants("no more grace", w.do("PATCH", anasPath, `{"grace_until":null}`), 200)
	if due.at("enforced") != true || due.word("status") != "unprotected" || due.at("grace_until") != nil {
		t.Errorf("no more grace: got %s", due.text)
	}
	w.refused("by another key", w.do("PATCH", anasPath, `{"enforced":false}`, with("Authorization", "Bearer "+w.newKey([]apikey.Scope{apikey.SignIn, apikey.Manage}, ""))), 403, mfa.Forbidden, "")
	w.refused("nobody", w.do("PATCH", anasPath+"8", `{"enabled":true}`, w.reauthenticated()), 404, mfa.NotFound, "")
}

func TestANewSetOfRecoveryCodesReplacesTheOneBefore(t *testing.T) {
	w := newWorld(t)
	path := anasPath + "/recovery-codes"
	w.wants("a user", w.do("PUT", anasPath, `{}`), 200)
	w.refused("without a factor", w.do("POST", path, "", w.reauthenticated()), 403, mfa.MethodForbidden, "")
	secret, finished := w.enrolled()
	token := w.steppedUp(secret, "null")
	w.refused("unproven", w.do("POST", path, "", w.reauthenticated()), 403, mfa.StepUpNeeded, "")
	made := w.wants("without a body", w.do("POST", path, "", w.reauthenticated(), proof(token)), 201)
	if codes, _ := made.at("recovery_codes").([]any); len(codes) != 10 || made.word("created") == "" || strings.Contains(made.text, "[secret]") {
		t.Errorf("got %s", made.text)
	}
	recover := "/v1/challenges/" + w.start().word("challenge.id") + "/recover"
	w.refused("a code of the set before", w.do("POST", recover, codeOf(finished, 0)), 422, mfa.WrongCode, "")
	w.wants("a code of the new set", w.do("POST", recover, codeOf(made, 0)), 200)

	for _, c := range []struct{ kind, body string }{{"application/json", ""}, {"application/json", "{}"}, {"application/json", " {} "}, {"text/plain", ""}} {
		w.wants(c.kind+" "+c.body, w.do("POST", path, c.body, with("Content-Type", c.kind), w.reauthenticated(), proof(token)), 201)
	}
	w.refused("undeclared", w.do("POST", path, "{}", without("Content-Type"), w.reauthenticated()), 415, "unsupported_media_type", "")
	w.refused("too large", w.do("POST", path, strings.Repeat(" ", 64<<10+1), w.reauthenticated()), 413, "too_large", "")
	w.refused("a field", w.do("POST", path, `{"count":3}`, w.reauthenticated()), 400, mfa.InvalidRequest, "count")
	w.refused("a list", w.do("POST", path, `[]`, w.reauthenticated()), 400, mfa.InvalidRequest, "body")
	w.refused("space", w.do("POST", path, ` `, w.reauthenticated()), 400, mfa.InvalidRequest, "body")
	first := w.wants("with a key", w.do("POST", path, "", w.reauthenticated(), proof(token), once("k")), 201)
	if again := w.wants("again", w.do("POST", path, "", once("k")), 201); again.text != first.text {
		t.Errorf("again: got %s, want %s", again.text, first.text)
	}
	w.clock.Advance(10 * time.Minute)
	if late := w.wants("late", w.do("POST", path, "", once("k")), 201); late.at("recovery_codes") != nil || late.word("created") != first.word("created") {
		t.Errorf("late: got %s", late.text)
	}
}

// trusted signs Ana in, makes her browser trusted, and returns the answer.
func (w *world) trusted(name string) reply {
	w.t.Helper()
	verify := "/v1/challenges/" + w.start().word("challenge.id") + "/verify"
	return w.wants("verify", w.do("POST", verify, `{"code":"`+w.mail.last()+`","trust":{"name":"`+name+`"}}`), 200)
}

func TestTrustedBrowsersAreListedAndRevoked(t *testing.T) {
	w := newWorld(t)
	w.asks()
	path := anasPath + "/browsers"
	w.refused("nobody's", w.do("GET", path, ""), 404, mfa.NotFound, "")
	var browsers []reply
	for _, name := range []string{"one", "two", "three"} {
		browsers = append(browsers, w.trusted(name))
	}
	count := func() int {
		got := w.wants("list", w.do("GET", path, ""), 200)
		if _, there := got.body["cursor"]; !there {
			t.Errorf("a list without a cursor: %s", got.text)
		}
		return len(got.at("items").([]any))
	}
	if got := count(); got != 3 {
		t.Errorf("got %d browsers, want 3", got)
	}
	one := path + "/" + browsers[0].word("trusted_browser.id")
	w.wants("revoke one", w.do("DELETE", one, ""), 204)
	w.refused("revoke it again", w.do("DELETE", one, ""), 404, mfa.NotFound, "")
	for _, odd := range []string{"tb_", "x", "..", "%20", "~YQ"} {
		w.refused("revoke "+odd, w.do("DELETE", path+"/"+odd, ""), 404, mfa.NotFound, "")
	}
	again := func(b reply) string {
		return w.do("POST", "/v1/decisions", strings.Replace(ana, `{"org"`, `{"trust_token":"`+b.word("trust_token")+`","org"`, 1)).word("decision")
	}
	if revoked, kept := again(browsers[0]), again(browsers[1]); revoked != "challenge" || kept != "allow" {
		t.Errorf("got %s and %s, want challenge and allow", revoked, kept)
	}
	w.wants("revoke all", w.do("DELETE", path, ""), 204)
	if got := count(); got != 0 {
		t.Errorf("got %d browsers, want none", got)
	}
	w.refused("a body", w.do("DELETE", path, "{}"), 400, mfa.InvalidRequest, "body")
}

func TestWhatAClientReportsEndsTrustAndSaysSo(t *testing.T) {
	w := newWorld(t)
	w.asks()
	path := anasPath + "/events"
	w.refused("of nobody", w.do("POST", path, `{"kind":"signed_out"}`), 404, mfa.NotFound, "")
	for _, kind := range []string{"password_changed", "email_changed", "phone_changed", "signed_out", "deprovisioned"} {
		w.clock.Advance(time.Hour)
		w.trusted("n")
		open := "/v1/challenges/" + w.start().word("challenge.id") + "/verify"
		got := w.wants(kind, w.do("POST", path, `{"kind":"`+kind+`"}`), 200)
		if got.word("kind") != kind || got.at("trusted_browsers") != 1.0 || got.at("challenges") != true {
			t.Errorf("got %s", got.text)
		}
		w.refused("what was open", w.do("POST", open, `{"code":"123456"}`), 404, mfa.ChallengeInvalid, "")
	}
	w.refused("a start", w.do("POST", "/v1/challenges", ana), 403, mfa.Forbidden, "")
	w.wants("put again", w.do("PUT", anasPath, `{}`), 200)
	w.start()
}

func TestAFactorThatTheUserDoesNotHaveIsNotFound(t *testing.T) {
	w := newWorld(t)
	secret, finished := w.enrolled()
	fresh := []alteration{w.reauthenticated(), proof(w.steppedUp(secret, "null"))}
	for _, id := range []string{"fa_", "x", ".", "%20", "~YQ", finished.word("factor.id") + "A", strings.Repeat("a", 4000)} {
		w.refused("remove "+id, w.do("DELETE", anasPath+"/factors/"+id, "", fresh...), 404, mfa.NotFound, "")
		w.refused("rename "+id, w.do("PATCH", anasPath+"/factors/"+id, `{"label":"n"}`), 404, mfa.NotFound, "")
	}
	w.wants("another user", w.do("PUT", anasPath+"8", `{}`), 200)
	w.refused("another user's", w.do("DELETE", anasPath+"8/factors/"+finished.word("factor.id"), "", fresh...), 404, mfa.NotFound, "")
	rename := anasPath + "/factors/" + finished.word("factor.id")
	w.wants("no label", w.do("PATCH", rename, `{"label":""}`), 200)
	w.refused("too long a label", w.do("PATCH", rename, `{"label":"`+strings.Repeat("é", 51)+`"}`), 400, mfa.InvalidRequest, "label")
}

func TestAPreviewSaysWhatAPutWouldDoAndDoesNothing(t *testing.T) {
	w := newWorld(t)
	w.wants("a user", w.do("PUT", anasPath, `{"email":"ana@acme.example"}`), 200)
	got := w.wants("preview", w.do("POST", policy+"/preview", `{"require":"everyone"}`), 200)
	if got.at("users") != 1.0 || got.at("must_enrol") != 1.0 || got.at("sample").([]any)[0] != "u-17" {
		t.Errorf("got %s", got.text)
	}
	put := w.do("PUT", policy, `{"require":"everyone"}`, at("0"))
	w.refused("a PUT of the same", put, 409, mfa.AcknowledgementRequired, "")
	if put.at("preview.must_enrol") != got.at("must_enrol") {
		t.Errorf("the PUT says %s, and the preview %s", put.text, got.text)
	}
	for _, body := range []string{`{}`, `{"profile":"kls","acknowledge":true}`, w.do("GET", policy, "").text} {
		w.wants(body, w.do("POST", policy+"/preview", body, once("k")), 200)
		w.wants(body, w.do("POST", policy+"/preview", body, with("If-Match", "x")), 200)
	}
	w.refused("a setting that isn't there", w.do("POST", policy+"/preview", `{"trust":{"weeks":1}}`), 400, mfa.InvalidRequest, "trust.weeks")
	w.refused("one out of bounds", w.do("POST", policy+"/preview", `{"trust":{"days":91}}`), 400, mfa.InvalidRequest, "trust.days")
	w.refused("without the scope", w.do("POST", policy+"/preview", `{}`, as(w.newKey([]apikey.Scope{apikey.Manage}, ""))), 403, mfa.Forbidden, "")
	if after := w.do("GET", policy, ""); after.at("version") != 0.0 {
		t.Errorf("the policy after it: got %s", after.text)
	}
}
