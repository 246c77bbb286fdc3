package pages_test

import (
	"net/http"
	"regexp"
	"testing"
)

func TestM6ALinkInAMessageCancelsAResetOnlyWhenItsButtonIsPressed(t *testing.T) {
	d := open(t, `{"profile":"salto","reset":{"self_service":"hold","hold_s":86400},"acknowledge":true}`)
	d.api("PUT", "/v1/orgs/"+org+"/users/ana", `{"email":"ana@acme.example","locale":"fr"}`, nil)
	fresh := http.Header{"Countersign-Reauthenticated-At": {d.now().UTC().Format("2006-01-02T15:04:05Z")}}
	begun := d.api("POST", "/v1/enrolments", `{"org":"`+org+`","user":{"id":"ana"},"kind":"totp"}`, fresh)
	d.api("POST", "/v1/enrolments/"+begun["id"].(string)+"/finish", `{"code":"`+appCode(t, begun["totp"].(map[string]any)["secret"].(string), d.now())+`"}`, fresh)
	v := d.visitor()
	v.arrive(d.start("ana", ""))
	v.get(v.address + "?by=reset")
	v.submit("reset", "reason", "téléphone perdu")
	v.says("Votre demande est en attente", "délai d’attente")

	all := d.api("GET", "/local/outbox?to=ana@acme.example", "", nil)["messages"].([]any)
	link := regexp.MustCompile(`/pages/cancel/fr/csh_[\w-]+`).FindString(all[len(all)-1].(map[string]any)["text"].(string))
	waits := func() int {
		return len(d.api("GET", "/v1/orgs/"+org+"/resets?state=pending", "", nil)["items"].([]any))
	}
	reader := d.visitor()
	for range 3 {
		reader.get(link)
		reader.says("Annuler la réinitialisation")
	}
	if waits() != 1 {
		t.Fatal("looking at the page has cancelled the request")
	}
	if reader.changed(reader.form("cancel"), header("Sec-Fetch-Site", "cross-site")); reader.status != http.StatusForbidden || waits() != 1 {
		t.Errorf("got %d for a form of another site", reader.status)
	}
	// While the store fails, the page says so, and the same form goes on afterwards although the handle may be used by then.
	reader.get(link)
	d.api("POST", "/local/faults", `{"target":"store","mode":"lost_reply","count":40}`, nil)
	reader.submit("cancel")
	d.api("POST", "/local/faults", `{"target":"store","mode":"lost_reply","count":0}`, nil)
	if reader.status == http.StatusServiceUnavailable {
		reader.says("ne fonctionne pas")
		reader.submit("cancel")
	}
	reader.says("La demande est annulée")
	if waits() != 0 {
		t.Error("the request waits still")
	}
	reader.get(link)
	reader.submit("cancel")
	reader.says("n’est plus en attente")
}
