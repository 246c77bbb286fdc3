package pages_test

import (
	"testing"
	"time"
)

// signedOut asks whether the session of a user, which began then, was ended by the policy.
func (d *desk) signedOut(user, issued string) bool {
	d.t.Helper()
	got := d.api("POST", "/v1/introspect", `{"org":"`+org+`","user":"`+user+`","issued_at":"`+issued+`"}`, nil)
	return got["active"] == false && got["reason"] == "signed_out_by_policy"
}

// touches uses the security key for the ceremony of the page.
func (p *person) touches() {
	p.T.Helper()
	p.Run(`window.left = true`)
	p.useKey()
}

// kinds are the headings of the kinds that the page lets the user choose from.
func (p *person) kinds() string {
	p.T.Helper()
	return p.Run(`[...document.querySelectorAll(".kinds strong")].map((s) => s.innerText).join(", ")`)
}

// keyThenSettings presses a button, answers a step-up with the security key if one is asked for, and reaches the settings.
func (p *person) keyThenSettings(do string) {
	p.T.Helper()
	p.clicks(do)
	const confirm = "Confirm that it’s you"
	if p.stands(confirm, "Security settings") == confirm {
		p.touches()
		p.reaches("Security settings")
	}
}

func TestT1ToT5AgentsAreSignedOutAndEnrolAKeyAndTheRequirementEnds(t *testing.T) {
	d := open(t, talkdesk)
	for _, user := range []string{"bob", "olga"} {
		d.user(user, `{"email":"`+user+`@acme.example"}`)
	}
	secret := d.withApp("olga")
	d.withApp("carl")
	p := d.person()
	p.insertKey()
	bob := d.start("bob", "")["issued_at"].(string)
	carl := d.now().Format(time.RFC3339Nano)
	require := func(whom string) {
		t.Helper()
		home := p.console(d.portalLink("olga", ""), "Users")
		p.opens(home+"/policy?group=demand", "Who has to use it")
		p.clicks("preview", "require", whom)
		p.reaches("What this does")
	}
	p.rule("T1 there are apps and keys and neither is required", func() {
		p.password("bob", "en")
		p.reaches("Signed in")
		p.says("not_required")
		p.opens(p.profile("bob")+"/add", "Add a way to sign in")
		if got := p.kinds(); got != "Security key or passkey, Authenticator app" {
			t.Errorf("got the kinds %s", got)
		}
	})
	p.rule("T2 saving required shows what happens and needs I understand", func() {
		require("everyone")
		p.says("1 user is signed out at once", "1 user has to set something up", "bob", "Nobody → Everyone", "I understand")
		p.accessible("talkdesk preview")
		if got := p.Run(`document.querySelector("[name=acknowledge]").required + " " + document.querySelector("[name=acknowledge]").checked`); got != "true false" {
			t.Errorf("got %s, want a tick that the browser asks for and that nobody has made", got)
		}
		p.Run(`document.querySelector("[name=acknowledge]").required = false`)
		p.clicks("save")
		p.stepsUp(secret)
		p.reaches("What this does")
		p.says("This signs users out or asks more of them", "I understand")
		p.accessible("talkdesk without I understand")
		if d.signedOut("bob", bob) {
			t.Error("bob was signed out before anybody has understood")
		}
		p.clicks("save", "acknowledge", "yes")
		p.reaches("Policy")
		p.says("The policy is saved", "Everyone")
	})
	p.rule("T3 who has no factor is signed out at once and enrols one of their choice", func() {
		if !d.signedOut("bob", bob) || d.signedOut("carl", carl) {
			t.Errorf("signed out: bob %v, carl %v; want bob alone", d.signedOut("bob", bob), d.signedOut("carl", carl))
		}
		p.password("bob", "en")
		p.reaches("Set up two-step sign-in")
		if got := p.kinds(); got != "Security key or passkey, Authenticator app" || p.Run(`!!document.querySelector("[value=skip]")`) != "false" {
			t.Errorf("got the kinds %s, and maybe a way around them", got)
		}
		p.accessible("talkdesk must enrol")
		p.opens(p.here()+"?kind=webauthn", "Security key or passkey")
		p.Run(`document.querySelector("[value=security_key]").checked = true`)
		p.accessible("talkdesk security key")
		p.clicks("begin", "label", "Blue key")
		p.reaches("Security key or passkey")
		p.says("Have your security key ready")
		p.accessible("talkdesk touch the key")
		p.touches()
		p.keepsCodes()
		p.reaches("Signed in")
		p.says("verified")
		if got := d.seen("bob")["factors"].([]any); len(got) != 1 || got[0].(map[string]any)["kind"] != "webauthn" {
			t.Errorf("got the factors %v, want a key", got)
		}
	})
	p.rule("T4 while it is required nobody turns it off or removes the last factor and new users enrol", func() {
		p.profile("bob")
		p.says("Your organisation requires it, so it can’t be turned off.", "Blue key", "It is your last way, and your organisation requires one.")
		if got := p.Run(`!!document.querySelector("[value=off], [value=remove]")`); got != "false" {
			t.Error("the page offers to turn it off, or to remove the last way")
		}
		p.accessible("talkdesk required")
		for do, says := range map[string]string{"off": "so it can’t be turned off", "remove": "It is your last way to sign in, and your organisation requires one."} {
			p.profile("bob")
			p.Run(`document.querySelector("[value=rename]").value = "` + do + `"`) // a form that asks for it all the same
			p.keyThenSettings(do)
			p.says(says)
		}
		p.password("nora", "en")
		p.reaches("Set up two-step sign-in")
	})
	p.rule("T5 afterwards it stays on where it was on and may be turned off and new users are not asked", func() {
		require("nobody")
		p.says("Everyone → Nobody")
		p.clicks("save")
		p.stands("Confirm that it’s you", "Policy")
		if p.Run(`!!document.querySelector("[name=code]")`) == "true" {
			p.stepsUp(secret)
		}
		p.reaches("Policy")
		p.password("bob", "en")
		p.reaches("Use your key")
		p.touches()
		p.reaches("Signed in")
		p.profile("bob")
		p.says("It is on", "Turn it off")
		p.keyThenSettings("off")
		p.says("Two-step sign-in is off.", "Blue key")
		p.accessible("talkdesk turned off")
		p.password("bob", "en")
		p.reaches("Signed in")
		p.says("not_required")
		p.password("otto", "en")
		p.reaches("Signed in")
		p.says("not_required")
		p.opens(p.console(d.portalLink("olga", ""), "Users")+"/users/bob", "bob@acme.example")
		p.says("can’t be set up for somebody else")
		p.accessible("talkdesk one user in the console")
	})
}
