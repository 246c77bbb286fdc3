package functions

import (
	"net/http"
	"strings"
	"time"
)

// waitingResets is the part of the story in which a reset of a user of globex, at that path, waits for an approver, or for its time. The
// first step on the account after that carries it out, in each function that can.
func (d *deployment) waitingResets(path string) {
	t := d.t
	dora := person("dora", "dora@globex.example")
	why := object{"actor": "olga", "reason": "lost the phone"}
	d.setGlobex("3", object{"reset": object{"second_approver": true}}).want(t, http.StatusOK)
	id := d.call("POST", path+"/reset", why, "idempotency-key", "waits").want(t, http.StatusAccepted).text("id")
	d.call("POST", "/v1/resets/"+id+"/approve", object{"actor": "paul"}).want(t, http.StatusForbidden)
	d.call("GET", "/v1/resets/"+id, nil).want(t, http.StatusOK)
	d.call("GET", "/v1/orgs/globex/resets", nil).want(t, http.StatusOK)
	d.account.beforeNextWrite("admin", func() { d.speak("dora", "en-IE") })
	d.call("POST", "/v1/resets/"+id+"/cancel", object{"actor": "olga"}, "idempotency-key", "cancels").want(t, http.StatusOK)

	d.setGlobex("4", object{"reset": object{"hold_s": 60}}).want(t, http.StatusOK)
	for _, step := range []func(){
		func() { d.begin(dora, object{"org": "globex"}).want(t, http.StatusOK) },
		func() { d.enrol(dora, nil).want(t, http.StatusCreated) },
		func() { d.call("GET", path, nil).want(t, http.StatusOK) },
		func() {
			d.account.beforeNextWriteTo("sweep", "u#", func([]string) { d.call("DELETE", path, nil).want(t, http.StatusNoContent) })
			d.sweep()
		},
		func() {
			d.account.beforeNextWriteTo("sweep", "u#", func([]string) { d.speak("dora", "en-AU") })
			d.sweep()
		},
	} {
		begun := d.enrol(dora, nil).want(t, http.StatusCreated)
		d.finish(begun.text("id"), d.shown(begun.text("totp", "secret"), 0)).want(t, http.StatusCreated)
		d.call("POST", path+"/reset", why).want(t, http.StatusAccepted)
		d.advance(time.Hour)
		step()
	}

	// The user asks twice, at a challenge. The token that a link stands for cancels each request.
	d.setGlobex("5", object{"reset": object{"self_service": "approve"}, "recovery": object{"effect": "reset"}}).want(t, http.StatusOK)
	begun := d.enrol(dora, nil).want(t, http.StatusCreated)
	d.finish(begun.text("id"), d.shown(begun.text("totp", "secret"), 0)).want(t, http.StatusCreated)
	for nth := range 2 {
		asked := d.begin(dora, object{"org": "globex"}).want(t, http.StatusCreated)
		challenge, page := asked.text("challenge", "id"), asked.text("challenge", "url")
		redeem := func(link string) answer {
			key := []string{"idempotency-key", link[len(link)-16:]} // with it, what the call reads is in one request
			return d.call("POST", "/v1/handles", object{"handle": link[strings.LastIndexByte(link, '/')+1:]}, key[:2*nth]...).want(t, http.StatusOK)
		}
		redeem(page)
		d.account.beforeNextWrite("recover", func() { d.speak("dora", "en-NZ") })
		id = d.call("POST", "/v1/challenges/"+challenge+"/reset-request", object{"reason": "lost all"}, "idempotency-key", challenge).want(t, http.StatusAccepted).text("id")
		d.publish()
		mail := d.account.lastMail("dora@globex.example")
		token := redeem(mail[strings.Index(mail, "/cancel/"):][:len("/cancel/en/csh_")+64]).text("token")
		d.call("POST", "/v1/resets/"+id+"/cancel", object{}, "authorization", "Bearer "+token).want(t, http.StatusOK)
		d.advance(25 * time.Hour)
	}
	d.call("POST", path+"/reset", why).want(t, http.StatusOK)
}
