package pages_test

import (
	"regexp"
	"testing"
	"time"
)

// withoutScripts is a person whose browser runs no scripts.
func (d *desk) withoutScripts() *person {
	d.t.Helper()
	p := d.person()
	p.Call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	return p
}

// enters opens a link, and presses its button, which nothing else presses.
func (p *person) enters(link string) {
	p.T.Helper()
	p.Open(p.desk.base + link)
	p.press("open")
}

// begins opens the link of what began.
func (p *person) begins(began map[string]any) (id string) {
	p.T.Helper()
	link, id := p.desk.link(began)
	p.enters(link)
	return id
}

func (p *person) verified(id string) {
	p.T.Helper()
	if got := p.desk.outcome(id)["state"]; got != "verified" {
		p.T.Errorf("got %v, want a verified sign-in", got)
	}
}

func TestWithoutScriptsAUserSignsInByEmailAfterANewCode(t *testing.T) {
	d := open(t, kls)
	p := d.withoutScripts()
	id := p.begins(d.start("ana", ""))
	p.says("We sent code A to a***@acme.example", "UTC", "Didn’t get it?")
	p.press("send")
	p.says("A new code can be sent in")
	d.later(time.Minute)
	p.Open(p.here())
	p.press("send")
	p.says("A new code is on its way", "code B")
	p.press("code", "code", wrong(d.code("ana@acme.example")))
	p.says("You have 4 tries left")
	p.press("code", "code", d.code("ana@acme.example"), "trust", "yes")
	p.verified(id)
}

func TestWithoutScriptsAUserSetsAnAppUpRecoversAndRemovesIt(t *testing.T) {
	d := open(t, karbonRequired)
	p := d.withoutScripts()
	id := p.begins(d.start("ana", ""))
	p.press("begin", "label", "My phone")
	p.press("prove", "code", d.code("ana@acme.example"))
	p.says("Scan this with your authenticator app")
	if p.Run(`document.querySelector(".qr img").naturalWidth > 0`) != "true" {
		t.Error("the QR code isn't drawn")
	}
	key := p.Text("#key")
	p.press("finish", "code", appCode(t, key, d.now()))
	p.says("Keep your recovery codes")
	recovery := regexp.MustCompile(`[0-9A-Z-]{20,}`).FindString(p.Text(".recovery-codes code"))
	p.press("kept", "kept", "yes")
	p.verified(id)

	id = p.begins(d.start("ana", ""))
	p.Open(p.Run(`document.querySelector("a[href='?by=recovery']").href`))
	p.press("recover", "code", recovery)
	p.verified(id)

	d.policy(karbonOptional)
	d.later(time.Minute)
	p.enters(d.portal("ana"))
	p.says("Security settings", "9 codes are left")
	p.press("remove")
	p.says("Confirm that it’s you")
	p.press("code", "code", appCode(t, key, d.now()))
	p.says("You have confirmed that it’s you")
	p.press("remove") // the form that has waited
	p.says("It is removed", "You have set up none yet")
}

func TestWithoutScriptsAnAdministratorSavesAPolicy(t *testing.T) {
	d := open(t, talkdesk)
	secret := d.withApp("olga")
	d.start("bob", "")
	p := d.withoutScripts()
	p.enters(d.portalLink("olga", ""))
	p.Open(p.here() + "/policy?group=demand")
	p.press("preview", "require", "everyone")
	p.says("1 user is signed out at once", "I understand")
	p.press("save")
	p.says("Confirm that it’s you")
	d.later(30 * time.Second)
	p.press("code", "code", appCode(t, secret, d.now()))
	p.press("save")
	p.says("This signs users out or asks more of them", "I understand")
	p.press("save", "acknowledge", "yes")
	p.says("The policy is saved", "Everyone")
}

func TestWithoutScriptsALinkCancelsAReset(t *testing.T) {
	d := open(t, `{"profile":"karbon","reset":{"self_service":"hold","hold_s":86400},"acknowledge":true}`)
	d.withApp("ana")
	p := d.withoutScripts()
	p.begins(d.start("ana", ""))
	p.Open(p.here() + "?by=reset")
	p.press("reset", "reason", "lost my phone")
	p.says("Your request waits")
	p.Open(d.base + regexp.MustCompile(`/pages/cancel/en/csh_[\w-]+`).FindString(d.mail("ana@acme.example")))
	p.press("cancel")
	p.says("The request is cancelled")
	if n := len(d.api("GET", "/v1/orgs/"+org+"/resets?state=pending", "", nil)["items"].([]any)); n != 0 {
		t.Errorf("got %d requests that wait, want none", n)
	}
}

func TestWithoutScriptsAKeySaysWhatItNeeds(t *testing.T) {
	d := open(t, `{"profile":"talkdesk","require":"everyone","acknowledge":true}`)
	p := d.withoutScripts()
	p.begins(d.start("ana", ""))
	p.Open(p.here() + "?kind=webauthn")
	p.press("begin")
	p.says("Keys need JavaScript, which is off in this browser. Turn it on, or use another way.")
	if p.Run(`document.querySelector(".ceremony button").disabled`) != "true" {
		t.Error("the button of the key can be pressed, and would do nothing")
	}
	p.Open(p.here())
	p.says("Authenticator app") // another way
}
