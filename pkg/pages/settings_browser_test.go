package pages_test

import (
	"strings"
	"testing"
	"time"
)

// settings opens the security settings of a user. The script of the link's page sends its form.
func (p *person) settings(user string) {
	p.T.Helper()
	link := p.desk.portal(user)
	p.Loading(func() { p.Loading(func() { p.Call("Page.navigate", map[string]any{"url": p.desk.base + link}, nil) }) })
}

// confirms answers a step-up, whose page the browser then leaves for the form that has waited, which a script sends.
func (p *person) confirms(answer func()) {
	p.T.Helper()
	p.Loading(func() { p.Loading(answer) })
}

// useKey presses the button of a ceremony, once its script has been loaded.
func (p *person) useKey() {
	p.Run(`new Promise((pressed) => {
		const press = () => {
			const button = document.querySelector(".ceremony button");
			if (button.disabled) return setTimeout(press, 20);
			button.click();
			pressed();
		};
		press();
	})`)
}

// insertKey plugs a security key into the browser, which is touched at once.
func (p *person) insertKey() {
	p.T.Helper()
	p.Call("WebAuthn.enable", map[string]any{"enableUI": false}, nil)
	p.Call("WebAuthn.addVirtualAuthenticator", map[string]any{"options": map[string]any{
		"protocol": "ctap2", "transport": "usb", "hasResidentKey": true, "hasUserVerification": true, "isUserVerified": true,
		"automaticPresenceSimulation": true,
	}}, nil)
}

func TestAKeyIsAddedUsedForAChangeAndRemovedAndTheBrowserIsToldWhichAreLeft(t *testing.T) {
	d := open(t, `{"enrolment_proof":"none"}`)
	d.user("ana", `{"email":"ana@acme.example"}`)
	p := d.person()
	p.insertKey()
	p.Call("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": `
		window.told = [];
		PublicKeyCredential.signalAllAcceptedCredentials = async (options) => { told.push(options); };`}, nil)
	p.settings("ana")
	home := strings.Split(p.Run("location.href"), "?")[0]
	p.Open(home + "/add?kind=webauthn")
	p.press("begin", "label", "Blue key")
	p.Loading(p.useKey)
	p.says("Keep your recovery codes")
	p.Run(`document.querySelector("input[name=kept]").checked = true`)
	p.press("kept")
	p.says("It is set up", "Add your email as a backup?")
	p.press("skip")
	p.says("Blue key", "It is on")

	d.later(11 * time.Minute)
	p.settings("ana")
	p.press("off")
	p.says("Confirm that it’s you")
	p.confirms(p.useKey)
	p.says("Two-step sign-in is off.", "Blue key")
	if got := p.Run("told.length"); got != "0" {
		t.Errorf("the browser was told something after nothing has changed: %s", p.Run("JSON.stringify(told)"))
	}
	p.press("rename", "label", "Red key")
	p.says("The name is saved.", "Red key")
	if got := p.Run("told.map((o) => o.rpId + o.allAcceptedCredentialIds.length).join()"); got != "localhost1" {
		t.Errorf("got %q told after a new name, want one key at localhost", got)
	}
	p.press("remove")
	p.says("It is removed.", "You have set up none yet")
	if got := p.Run("told.map((o) => o.rpId + o.allAcceptedCredentialIds.length).join()"); got != "localhost0" {
		t.Errorf("got %q told after a removal, want no key at localhost", got)
	}
}
