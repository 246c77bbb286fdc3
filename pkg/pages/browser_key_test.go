package pages_test

import (
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
