package functions

import (
	"encoding/json"
	"net/http"
	"time"

	"countersign/pkg/passkey/passkeytest"
)

// keys is the part of the story in which a user of hooli loses a security key, in each way in which that can happen.
func (d *deployment) keys() {
	t := d.t
	kim := person("kim", "kim@hooli.example")
	const path = "/v1/orgs/hooli/users/kim"
	set := func(version, effect string) {
		d.call("PUT", "/v1/orgs/hooli/policy", object{"recovery": object{"effect": effect}}, "if-match", `"`+version+`"`).want(t, http.StatusOK)
	}
	recover := func(code any) answer {
		id := d.begin(kim, object{"org": "hooli"}).want(t, http.StatusCreated).text("challenge", "id")
		return d.call("POST", "/v1/challenges/"+id+"/recover", object{"code": code}).want(t, http.StatusOK)
	}
	key := &passkeytest.Authenticator{}
	set("0", "reset")
	codes := d.enrolKey(kim, key).object["recovery_codes"].([]any)
	recover(codes[0])

	d.enrolKey(kim, key)
	d.call("POST", path+"/reset", object{"actor": "olga", "reason": "lost the key"}).want(t, http.StatusOK)
	d.call("PUT", "/v1/orgs/hooli/policy", object{"reset": object{"hold_s": 60}}, "if-match", `"1"`).want(t, http.StatusOK)
	for _, step := range []func(){func() { d.begin(kim, object{"org": "hooli"}).want(t, http.StatusOK) }, d.sweep} {
		d.enrolKey(kim, key)
		d.call("POST", path+"/reset", object{"actor": "olga", "reason": "lost the key"}).want(t, http.StatusAccepted)
		d.advance(time.Hour)
		step()
	}
	set("2", "reset")

	enrolled := d.enrolKey(kim, key)
	up := d.begin(kim, object{"org": "hooli", "purpose": "step_up"}).want(t, http.StatusCreated)
	given := object{"credential": d.touch(up.object["challenge"].(object)["webauthn"], key.Get)}
	proof := d.call("POST", "/v1/challenges/"+up.text("challenge", "id")+"/verify", given).want(t, http.StatusOK).text("token")
	d.call("DELETE", path+"/factors/"+enrolled.text("factor", "id"), nil, d.fresh("countersign-proof", proof)...).want(t, http.StatusNoContent)

	codes = d.enrolKey(kim, key).object["recovery_codes"].([]any)
	set("3", "reenrol")
	bearer := []string{"authorization", "Bearer " + recover(codes[0]).text("enrolment", "token")}
	begun := d.call("POST", "/v1/enrolments", object{"kind": "totp"}, bearer...).want(t, http.StatusCreated)
	d.finish(begun.text("id"), d.shown(begun.text("totp", "secret"), 0), bearer...).want(t, http.StatusCreated)
}

// enrolKey enrols a security key for a user of hooli.
func (d *deployment) enrolKey(user object, key *passkeytest.Authenticator) answer {
	d.t.Helper()
	return d.enrolKeyIn("hooli", user, key)
}

// enrolKeyIn enrols a security key for a user of an org.
func (d *deployment) enrolKeyIn(org string, user object, key *passkeytest.Authenticator) answer {
	d.t.Helper()
	begun := d.call("POST", "/v1/enrolments", object{"org": org, "user": user, "kind": "webauthn"}, d.fresh()...).want(d.t, http.StatusCreated)
	given := object{"credential": d.touch(begun.object["webauthn"], key.Create)}
	return d.call("POST", "/v1/enrolments/"+begun.text("id")+"/finish", given).want(d.t, http.StatusCreated)
}

// touch returns what a security key answers on a page that belongs to the deployment.
func (d *deployment) touch(options any, answers func(json.RawMessage, string) (json.RawMessage, error)) json.RawMessage {
	d.t.Helper()
	text, err := json.Marshal(options)
	if err != nil {
		d.t.Fatal(err)
	}
	response, err := answers(text, "https://countersign.example")
	if err != nil {
		d.t.Fatal(err)
	}
	return response
}
