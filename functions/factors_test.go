package functions

import (
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"
)

// fresh returns the header that says that the user's password was checked now, followed by more headers.
func (d *deployment) fresh(more ...string) []string {
	return append([]string{"countersign-reauthenticated-at", time.Now().Add(d.offset).UTC().Format(time.RFC3339)}, more...)
}

// shown returns the code that an authenticator app shows now, or some time steps later.
func (d *deployment) shown(secret string, later int) string {
	d.t.Helper()
	code, err := totp.GenerateCode(secret, time.Now().Add(d.offset).Add(time.Duration(later)*30*time.Second))
	if err != nil {
		d.t.Error(err)
	}
	return code
}

// enrol begins an enrolment for a user of globex.
func (d *deployment) enrol(user, more object, headers ...string) answer {
	d.t.Helper()
	body := object{"org": "globex", "user": user, "kind": "totp"}
	maps.Copy(body, more)
	return d.call("POST", "/v1/enrolments", body, d.fresh(headers...)...)
}

func (d *deployment) finish(enrolment, code string, headers ...string) answer {
	d.t.Helper()
	return d.call("POST", "/v1/enrolments/"+enrolment+"/finish", object{"code": code}, headers...)
}

// recovery begins a sign-in of a user of globex, and answers it with a recovery code.
func (d *deployment) recovery(user object, code any, headers ...string) answer {
	d.t.Helper()
	id := d.begin(user, object{"org": "globex"}).want(d.t, http.StatusCreated).text("challenge", "id")
	return d.call("POST", "/v1/challenges/"+id+"/recover", object{"code": code}, headers...)
}

// setGlobex replaces the policy of globex.
func (d *deployment) setGlobex(version string, policy object) answer {
	d.t.Helper()
	return d.call("PUT", "/v1/orgs/globex/policy", policy, "if-match", `"`+version+`"`)
}

// speak changes the language of a user of globex. That changes the user's guard, and not the roster.
func (d *deployment) speak(user, locale string) {
	d.t.Helper()
	d.call("PUT", "/v1/orgs/globex/users/"+user, object{"locale": locale}).want(d.t, http.StatusOK)
}

// factors is the part of the story in which users of another org, globex, enrol and use factors.
func (d *deployment) factors() {
	t := d.t
	dora := person("dora", "dora@globex.example")
	const path = "/v1/orgs/globex/users/dora"

	// A new user begins two enrolments at once, and the profile changes just when one of them is finished.
	d.account.beforeNextWrite("enrol", func() { d.enrol(dora, nil).want(t, http.StatusCreated) })
	begun := d.enrol(dora, nil, "idempotency-key", "begin").want(t, http.StatusCreated)
	secret := begun.text("totp", "secret")
	d.account.beforeNextWrite("enrol", func() { d.speak("dora", "en-GB") })
	finished := d.finish(begun.text("id"), d.shown(secret, 0), "idempotency-key", "finish").want(t, http.StatusCreated)

	// A user who has a factor changes the account.
	up := d.begin(dora, object{"org": "globex", "purpose": "step_up"}).want(t, http.StatusCreated).text("challenge", "id")
	proof := d.verify(up, d.shown(secret, 1), nil).want(t, http.StatusOK).text("token")
	proven := d.fresh("countersign-proof", proof)
	d.call("PATCH", path, object{"enabled": true}, proven...).want(t, http.StatusOK)
	codes := d.call("POST", path+"/recovery-codes", nil, append(proven, "idempotency-key", "codes")...).
		want(t, http.StatusCreated).object["recovery_codes"].([]any)
	d.call("PATCH", path+"/factors/"+finished.text("factor", "id"), object{"label": "Phone"}).want(t, http.StatusOK)

	// The provider refuses a code by email, so the remembered answer is corrected.
	more := object{"kind": "email"}
	d.account.mailWorks(false)
	d.enrol(dora, more, "countersign-proof", proof, "idempotency-key", "email").want(t, http.StatusBadGateway)
	d.account.mailWorks(true)
	email := d.enrol(dora, more, "countersign-proof", proof, "idempotency-key", "email").want(t, http.StatusCreated)
	d.finish(email.text("id"), d.code("dora@globex.example")).want(t, http.StatusCreated)
	d.call("DELETE", path+"/factors/"+finished.text("factor", "id"), nil, proven...).want(t, http.StatusNoContent)

	// Recovery codes are used with each effect, also while the user is changed or erased.
	d.recovery(dora, codes[0], "idempotency-key", "recover").want(t, http.StatusOK)
	d.call("POST", "/v1/orgs/globex/policy/preview", object{"require": "everyone"}).want(t, http.StatusOK)
	d.setGlobex("0", object{"recovery": object{"effect": "reenrol"}}).want(t, http.StatusOK)
	token := d.recovery(dora, codes[1]).want(t, http.StatusOK).text("enrolment", "token")
	begun = d.call("POST", "/v1/enrolments", object{"kind": "totp"}, "authorization", "Bearer "+token).want(t, http.StatusCreated)
	codes = d.finish(begun.text("id"), d.shown(begun.text("totp", "secret"), 0), "authorization", "Bearer "+token).
		want(t, http.StatusCreated).object["recovery_codes"].([]any)
	d.setGlobex("1", object{"recovery": object{"effect": "reset"}}).want(t, http.StatusOK)
	d.account.beforeNextWrite("recover", func() { d.speak("dora", "en-CA") })
	d.recovery(dora, codes[0]).want(t, http.StatusOK)
	begun = d.enrol(dora, nil).want(t, http.StatusCreated)
	d.finish(begun.text("id"), d.shown(begun.text("totp", "secret"), 0)).want(t, http.StatusCreated)
	d.setGlobex("2", object{"pass": object{"max_s": 3600}, "recovery": object{"effect": "reset"}}).want(t, http.StatusOK)
	pass := d.call("POST", path+"/passes", object{"actor": "olga", "reason": "forgot the phone"}, "idempotency-key", "pass").want(t, http.StatusCreated)
	d.recovery(dora, pass.text("pass")).want(t, http.StatusOK)
	d.call("DELETE", path+"/passes", nil).want(t, http.StatusNoContent)
	lost := object{"actor": "olga", "reason": "lost the phone"}
	d.account.beforeNextWrite("admin", func() { d.speak("dora", "en-GB") })
	d.call("POST", path+"/reset", lost, "idempotency-key", "reset").want(t, http.StatusOK)
	d.waitingResets(path)
	begun = d.enrol(dora, nil).want(t, http.StatusCreated)
	codes = d.finish(begun.text("id"), d.shown(begun.text("totp", "secret"), 1)).want(t, http.StatusCreated).object["recovery_codes"].([]any)
	d.account.beforeNextWrite("recover", func() { d.call("DELETE", path, nil).want(t, http.StatusNoContent) })
	d.recovery(dora, codes[0]).want(t, http.StatusNotFound)

	// A user who has to enrol first proves that the known address is theirs.
	d.call("PUT", path, dora).want(t, http.StatusOK)
	d.setGlobex("6", object{"require": "everyone"}).want(t, http.StatusConflict)
	d.setGlobex("6", object{"require": "everyone", "acknowledge": true}).want(t, http.StatusOK)
	token = d.begin(dora, object{"org": "globex"}).want(t, http.StatusCreated).text("enrolment", "token")
	asTold := []string{"authorization", "Bearer " + token}
	d.call("POST", "/v1/enrolments", object{"kind": "totp"}, asTold...).want(t, http.StatusCreated)
	d.call("POST", "/v1/enrolments/prove", object{"code": d.code("dora@globex.example")}, asTold...).want(t, http.StatusOK)
	d.call("POST", path+"/events", object{"kind": "signed_out"}).want(t, http.StatusOK)
	d.call("GET", path+"/browsers", nil).want(t, http.StatusOK)
	d.call("DELETE", path+"/browsers", nil).want(t, http.StatusNoContent)
}

// notices is the part of the story in which a user of globex can't be told about everything on one day. Two notices wait, and
// the sweep tells the user once there is room.
func (d *deployment) notices() {
	fay := person("fay", "fay@globex.example")
	begun := d.enrol(fay, nil).want(d.t, http.StatusCreated)
	secret := begun.text("totp", "secret")
	d.finish(begun.text("id"), d.shown(secret, 0)).want(d.t, http.StatusCreated)
	up := d.begin(fay, object{"org": "globex", "purpose": "step_up"}).want(d.t, http.StatusCreated).text("challenge", "id")
	proof := d.verify(up, d.shown(secret, 1), nil).want(d.t, http.StatusOK).text("token")
	for range 22 {
		d.call("POST", "/v1/orgs/globex/users/fay/recovery-codes", nil, d.fresh("countersign-proof", proof)...).want(d.t, http.StatusCreated)
		d.publish()
	}
	d.advance(25 * time.Hour)
	d.sweep()
	d.publish()
	if last := d.account.lastMail("fay@globex.example"); !strings.Contains(last, "3 times, the last time on") {
		d.t.Errorf("got %q, want what waited summed up", last)
	}
}
