package pages_test

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// started begins a sign-in of ana in a language. more are fields of the call's body, as JSON.
func (d *desk) started(language, more string) map[string]any {
	d.t.Helper()
	return d.api("POST", "/v1/challenges", `{"org":"`+org+`","user":{"id":"ana","email":"ana@acme.example","phone":"+33612345678","locale":"`+language+`"},"return_url":"`+d.base+`/app"`+more+`}`, nil)
}

// everyKind is a policy under which a user can have factors of every kind, and must have one.
const everyKind = `{"methods":{"totp":"allowed","webauthn":"allowed","sms":"allowed","email":"enrolled"},"sms":{"countries":["FR","HR","US","CI","DE"]},
	"webauthn":{"user_verification":"discouraged"},"require":"everyone","enrolment_proof":"email","challenge":{"attempts":10},"recovery":{"effect":"reenrol"},"reset":{"self_service":"hold","hold_s":86400},"acknowledge":true}`

func TestTheSetUpInEveryStateAndBothLanguages(t *testing.T) {
	for _, language := range []string{"en", "fr"} {
		d := open(t, everyKind)
		p := d.person()
		d.policy(`{"profile":"helpdesk","require":"everyone","grace_until":"2099-12-24T10:11:12Z","max_skips":5,"acknowledge":true}`)
		p.arrive(d.started(language, ""))
		p.look(language + " choose a kind in grace")
		d.policy(everyKind)
		p.Call("WebAuthn.enable", map[string]any{"enableUI": false}, nil)
		p.plug()
		id := p.arrive(d.started(language, ""))
		p.look(language + " choose a kind")
		for _, kind := range []string{"totp", "webauthn", "sms", "email"} {
			p.Open(p.here() + "?kind=" + kind)
			p.look(language + " details of " + kind)
		}
		p.Open(p.here() + "?kind=totp")
		p.press("begin", "label", "Téléphone <d’Ana>")
		p.look(language + " prove the address")
		p.press("prove", "code", d.code("ana@acme.example"))
		p.look(language + " QR code")
		p.Run(`document.querySelector("details").open = true`)
		key := p.Text("#key")
		p.press("finish", "code", wrong(appCode(t, key, d.now())))
		p.look(language + " wrong first code")
		p.Open(p.here() + "?kind=sms")
		p.press("begin", "phone", "12")
		p.look(language + " wrong number")
		p.press("begin", "phone", "06 12 34 56 78", "country", "FR")
		p.look(language + " first code by text message")
		p.Open(p.here() + "?kind=webauthn")
		p.press("begin", "label", "Blue key")
		p.look(language + " make a key")
		p.answersWithKey()
		p.look(language + " recovery codes")
		p.Run(`document.querySelector("[name=kept]").checked = true`)
		p.press("kept")
		p.look(language + " offer of a backup")
		p.press("begin")
		p.look(language + " address that is proven already")
		p.press("skip")
		if got := p.Run("location.pathname + location.search"); got != "/app?challenge="+id {
			t.Errorf("the browser is at %s", got)
		}
		if got := d.outcome(id); got["state"] != "verified" {
			t.Errorf("got %v", got)
		}
	}
}

func TestTheWaysToAnswerInEveryStateAndBothLanguages(t *testing.T) {
	for _, language := range []string{"en", "fr"} {
		d := open(t, everyKind)
		p := d.person()
		p.Call("WebAuthn.enable", map[string]any{"enableUI": false}, nil)
		p.plug()
		p.arrive(d.started(language, ""))
		p.Open(p.here() + "?kind=webauthn")
		p.press("begin", "label", "Blue key")
		p.press("prove", "code", d.code("ana@acme.example"))
		p.answersWithKey()
		recovery := regexp.MustCompile(`[0-9A-Z-]{20,}`).FindString(p.Text(".recovery-codes code"))
		p.Run(`document.querySelector("[name=kept]").checked = true`)
		p.press("kept")
		proof := d.stepUp(p, language)
		d.enrolled(proof, `"kind":"totp","label":"Ana’s phone"`)

		p.arrive(d.started(language, `,"purpose":"step_up","action":{"name":"pay","lines":["Pay 1,200.00 EUR to Kovač d.o.o.","IBAN HR12 1001 0051 8630 0016 0"]}`))
		p.look(language + " confirm with a key")
		p.answersWithKey()
		p.arrive(d.started(language, ""))
		p.look(language + " key")
		p.unplug()
		p.plug() // another one, which has no key for ana
		p.answersWithKey()
		p.look(language + " key that was not found")
		p.pressLink()
		p.look(language + " app")
		for range 2 {
			p.press("code", "code", "000000")
		}
		p.look(language + " app after two wrong codes")
		for range 8 {
			p.press("code", "code", "000000")
		}
		p.look(language + " too many wrong codes")
		p.arrive(d.started(language, ""))
		p.Open(p.here() + "?by=recovery")
		p.look(language + " recovery code")
		p.press("recover", "code", "AAAA-AAAA")
		p.look(language + " wrong recovery code")
		p.Open(p.here() + "?by=reset")
		p.look(language + " ask for a reset")
		p.press("reset", "reason", "I lost my phone")
		p.look(language + " asked for a reset")
		p.arrive(d.started(language, ""))
		p.Open(p.here() + "?by=recovery")
		p.press("recover", "code", recovery)
		p.look(language + " set up again after a recovery code")
	}
}

// here is the address of the page, without what was chosen on it.
func (p *person) here() string {
	p.T.Helper()
	return p.Run("location.origin + location.pathname")
}

// plug gives the browser a security key that it plays (Web Authentication Level 3, section 11.2).
func (p *person) plug() {
	p.T.Helper()
	var added struct{ AuthenticatorID string }
	p.Call("WebAuthn.addVirtualAuthenticator", map[string]any{"options": map[string]any{
		"protocol": "ctap2", "transport": "usb", "hasResidentKey": true, "hasUserVerification": true, "isUserVerified": true, "automaticPresenceSimulation": true,
	}}, &added)
	p.key = added.AuthenticatorID
}

// unplug takes the security key away.
func (p *person) unplug() {
	p.T.Helper()
	p.Call("WebAuthn.removeVirtualAuthenticator", map[string]any{"authenticatorId": p.key}, nil)
}

// answersWithKey presses the button for the key, and waits until another page was loaded or the page says what went wrong.
func (p *person) answersWithKey() {
	p.T.Helper()
	before := p.Loaded
	p.Told = ""
	p.Call("Runtime.addBinding", map[string]any{"name": "told"}, nil)
	p.Run(`(async () => {
		const form = document.querySelector(".ceremony"), said = form.querySelector("[data-told]"), button = form.querySelector("button");
		if (button.disabled) await new Promise((ready) => new MutationObserver(ready).observe(button, { attributes: true, attributeFilter: ["disabled"] }));
		new MutationObserver(() => said.textContent && told(said.textContent)).observe(said, { childList: true });
		button.click();
	})()`)
	for p.Loaded == before && p.Told == "" {
		p.Hear()
	}
}

// pressLink presses the button that leads to the first way to answer that isn't the page's own.
func (p *person) pressLink() {
	p.T.Helper()
	p.Loading(func() { p.Run(`document.querySelector(".ways button").click()`) })
}

// stepUp has the person confirm a change of the account, and returns the proof.
func (d *desk) stepUp(p *person, language string) string {
	d.t.Helper()
	id := p.arrive(d.started(language, `,"purpose":"step_up"`))
	p.answersWithKey()
	return d.outcome(id)["outcome"].(map[string]any)["token"].(string)
}

// enrolled sets up an app for ana, as the application's own screens would. The code of its first moment is spent.
func (d *desk) enrolled(proof, what string) {
	d.t.Helper()
	fresh := map[string][]string{"Countersign-Proof": {proof}, "Countersign-Reauthenticated-At": {d.now().UTC().Format(time.RFC3339)}}
	begun := d.api("POST", "/v1/enrolments", `{"org":"`+org+`","user":{"id":"ana"},`+what+`}`, fresh)
	secret := begun["totp"].(map[string]any)["secret"].(string)
	d.api("POST", "/v1/enrolments/"+begun["id"].(string)+"/finish", `{"code":"`+appCode(d.t, secret, d.now())+`"}`, fresh)
}

// A page that is whole without scripts and styles is one that every reader gets.
func TestEveryPageIsWholeInItsFirstAnswer(t *testing.T) {
	d := open(t, kls)
	v := d.visitor()
	v.arrive(d.start("ana", ""))
	if !strings.HasSuffix(strings.TrimSpace(v.page), "</html>") || len(v.page) > 12_000 {
		t.Errorf("got %d bytes", len(v.page))
	}
	v.says("Sign in", "You have until")
}
