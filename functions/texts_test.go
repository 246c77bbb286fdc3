package functions

import (
	"net/http"
	"time"

	"countersign/infra/emulator/template"
)

// texts is the part of the story in which a user of another org, initech, enrols a phone number and signs in with it. provider
// is the one that sends the text messages.
func (d *deployment) texts(provider, number string) {
	t := d.t
	d.smsProvider = provider
	d.restart()
	user := person("gus-"+provider, "gus@initech.example")
	policy := d.call("GET", "/v1/orgs/initech/policy", nil).want(t, http.StatusOK)
	if template.Of(policy.object, "version") == 0.0 {
		allowed := object{"profile": "salto", "sms": object{"countries": []string{"GB"}}}
		d.call("PUT", "/v1/orgs/initech/policy", allowed, "if-match", `"0"`).want(t, http.StatusOK)
	}
	begun := d.call("POST", "/v1/enrolments", object{"org": "initech", "user": user, "kind": "sms", "phone": number}, d.fresh()...).want(t, http.StatusCreated)
	d.finish(begun.text("id"), d.textCode(number)).want(t, http.StatusCreated)
	id := d.begin(user, object{"org": "initech"}).want(t, http.StatusCreated).text("challenge", "id")
	d.verify(id, d.textCode(number), nil).want(t, http.StatusOK)
	// The user is told by SMS about a change of the phone. The first phone that the client gives is not a change.
	for _, phone := range []string{"+447400000001", "+447400000002"} {
		d.call("PUT", "/v1/orgs/initech/users/gus-"+provider, object{"phone": phone}).want(t, http.StatusOK)
	}
	d.publish()
	d.advance(time.Hour) // the limits count the numbers of each hour
	d.begin(user, object{"org": "initech"}).want(t, http.StatusCreated)
	d.smsProvider = ""
	d.restart()
}

// textCode returns the code that was sent to a number last.
func (d *deployment) textCode(to string) string {
	d.t.Helper()
	m, _ := d.account.LastText(to)
	if m.Code() == "" {
		d.t.Errorf("no code was sent by SMS")
		return "000000"
	}
	return m.Code()
}
