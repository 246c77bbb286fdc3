package pages_test

import (
	"strings"
	"testing"
	"time"
)

// saves changes settings in a part of the policy's pages, and acknowledges what that does if the page asks for it.
func (p *person) saves(home, group, title string, fields ...string) {
	p.T.Helper()
	p.opens(home+"/policy?group="+group, title)
	p.clicks("preview", fields...)
	p.reaches("What this does")
	if p.Run(`!!document.querySelector("[name=acknowledge]")`) == "true" {
		p.clicks("save", "acknowledge", "yes")
	} else {
		p.clicks("save")
	}
}

// keepsCodes says that the recovery codes are kept.
func (p *person) keepsCodes() {
	p.T.Helper()
	p.reaches("Keep your recovery codes")
	p.clicks("kept", "kept", "yes")
}

// leavesBackupOut says that email is not wanted as a backup now.
func (p *person) leavesBackupOut() {
	p.T.Helper()
	p.reaches("Add your email as a backup?")
	p.clicks("skip")
}

// follows presses the link of the page with that text.
func (p *person) follows(text string) {
	p.T.Helper()
	p.Run(`(() => {
		const link = [...document.links].find((a) => a.innerText.trim() === "` + text + `");
		window.left = true;
		setTimeout(() => link.click());
	})()`)
}

func TestH1ToH7AHelpdesksAgentsAreLookedAfterWithGraceAndRemove(t *testing.T) {
	d := open(t, `{"profile":"helpdesk","enrolment_proof":"none","reset":{"second_approver":false}}`)
	secret := d.withApp("olga")
	p := d.person()
	enter := func() string { return p.console(d.portalLink("olga", ""), "Users") }
	letIn := func(user, why string) {
		t.Helper()
		p.password(user, "en")
		p.reaches("Signed in")
		p.says(why)
	}
	p.rule("H1 app and email have switches of their own and neither makes it mandatory", func() {
		letIn("bob", "not_required")
		home := enter()
		p.saves(home, "methods", "Ways to sign in", "methods.email", "forbidden")
		p.stepsUp(secret)
		p.reaches("Policy")
		letIn("bob", "not_required")
		p.follows("Set up two-step sign-in")
		p.reaches("Security settings")
		p.follows("Add a way to sign in")
		p.reaches("Add a way to sign in")
		if got := p.Run(`document.querySelectorAll(".kinds a").length + document.querySelector(".kinds").innerText`); !strings.HasPrefix(got, "1Authenticator app") {
			t.Errorf("got the ways %s, want the app alone", got)
		}
		p.saves(home, "methods", "Ways to sign in", "methods.email", "enrolled")
		p.reaches("Policy")
	})
	p.rule("H2 users set an app up by QR code or typed key and email at the sign-in that offers it", func() {
		letIn("bob", "not_required")
		p.follows("Set up two-step sign-in")
		p.reaches("Security settings")
		p.opens(p.here()+"/add?kind=totp", "Authenticator app")
		p.clicks("begin", "label", "Bob’s phone")
		p.reaches("Authenticator app")
		p.says("Scan this with your authenticator app", "Can’t scan it?")
		p.clicks("finish", "code", appCode(d.t, p.Text("#key"), d.now()))
		p.keepsCodes()
		p.leavesBackupOut()
		p.reaches("Security settings")
		p.says("It is on", "Bob’s phone")
		p.password("bob", "en")
		p.reaches("Enter your code")
		p.says("Bob’s phone")

		letIn("carl", "not_required")
		p.follows("Set up two-step sign-in")
		p.reaches("Security settings")
		p.opens(p.here()+"/add?kind=email", "Email")
		p.clicks("begin")
		p.reaches("Email")
		p.says("We sent code A to c***@acme.example")
		p.clicks("finish", "code", d.code("carl@acme.example"))
		p.keepsCodes()
		p.reaches("Security settings")
		p.password("carl", "en")
		p.reaches("Enter your code")
		p.says("We sent code A to c***@acme.example")
	})
	p.rule("H3 required for everyone takes effect at each user's next sign-in", func() {
		session := d.start("dora", "")["issued_at"].(string)
		home := enter()
		p.saves(home, "demand", "Who has to use it", "require", "everyone")
		p.stepsUp(secret)
		p.reaches("Policy")
		if got := d.api("POST", "/v1/introspect", `{"org":"`+org+`","user":"dora","issued_at":"`+session+`"}`, nil); got["active"] != true {
			t.Errorf("dora's session: got %v, want it to go on", got)
		}
		p.password("dora", "en")
		p.reaches("Set up two-step sign-in")
		p.says("Authenticator app", "Email")
		p.saves(home, "demand", "Who has to use it", "require", "nobody")
		p.reaches("Policy")
		letIn("dora", "not_required")
	})
	agent := func() {
		t.Helper()
		p.opens(enter()+"/users/dora", "dora@acme.example")
	}
	p.rule("H4 it is required of one user whatever the switch says", func() {
		agent()
		p.says("Not protected", "Nothing set up")
		p.clicks("enforce")
		p.stepsUp(secret)
		p.reaches("dora@acme.example")
		p.says("It is saved", "It is required of this user")
		p.password("dora", "en")
		p.reaches("Set up two-step sign-in")
		letIn("emil", "not_required")
	})
	p.rule("H5 until a date the set-up can be skipped and a sooner date counts at once", func() {
		grace := func(until time.Duration) {
			t.Helper()
			agent()
			p.clicks("grace", "grace", d.now().Add(until).UTC().Format("2006-01-02T15:04"))
			p.stepsUp(secret)
			p.reaches("dora@acme.example")
			p.says("The date of grace is saved")
		}
		grace(48 * time.Hour)
		p.says("In grace")
		p.password("dora", "en")
		p.reaches("Set up two-step sign-in")
		p.clicks("skip")
		p.reaches("Signed in")
		p.says("grace")
		grace(time.Hour)
		d.later(2 * time.Hour)
		p.password("dora", "en")
		p.reaches("Set up two-step sign-in")
		if p.Run(`!!document.querySelector("[value=skip]")`) != "false" {
			t.Error("the set-up can be skipped after the date")
		}
	})
	setUp := func() (key string) {
		t.Helper()
		agent()
		p.clicks("begin", "kind", "totp", "reason", "asked at the desk")
		p.stepsUp(secret)
		p.reaches("Authenticator app")
		p.says("Show this to dora@acme.example", "Type the code that dora@acme.example reads to you")
		key = p.Text("#key")
		p.clicks("finish", "code", "000000")
		p.reaches("Authenticator app")
		p.says("That code was not right", key) // the same key as before
		p.clicks("finish", "code", appCode(d.t, key, d.now()))
		p.reaches("dora@acme.example")
		p.says("It is set up", "Protected")
		return key
	}
	p.rule("H6 an administrator sets a user up and hands the key over", func() {
		key := setUp()
		p.password("dora", "en")
		p.reaches("Enter your code")
		d.later(30 * time.Second)
		p.clicks("code", "code", appCode(d.t, key, d.now()))
		p.keepsCodes() // the administrator has not seen them
		p.reaches("Signed in")
	})
	p.rule("H7 an administrator removes it and either of them sets it up again", func() {
		remove := func() {
			t.Helper()
			agent()
			p.clicks("reset", "reason", "lost the phone")
			p.stepsUp(secret)
			p.reaches("dora@acme.example")
			p.says("Two-step sign-in is removed", "Nothing set up")
		}
		remove()
		p.password("dora", "en")
		p.reaches("Set up two-step sign-in")
		p.opens(p.here()+"?kind=totp", "Authenticator app")
		p.clicks("begin")
		p.reaches("Authenticator app")
		p.clicks("finish", "code", appCode(d.t, p.Text("#key"), d.now()))
		p.keepsCodes()
		p.leavesBackupOut()
		p.reaches("Signed in")
		remove()
		setUp()
	})
}
