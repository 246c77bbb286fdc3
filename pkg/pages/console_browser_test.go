package pages_test

import (
	"strings"
	"testing"
	"time"
)

// opens goes to a page, whose heading is title.
func (p *person) opens(address, title string) {
	p.T.Helper()
	p.Open(address)
	p.reaches(title)
}

// reaches waits until the page with that heading is there. The pages between are sent on by their scripts.
func (p *person) reaches(title string) {
	p.T.Helper()
	p.Wait()
	shown := ""
	for range 600 {
		var got struct{ Result struct{ Value any } }
		refused := p.Try("Runtime.evaluate", map[string]any{
			"expression": `new Promise((then) => setTimeout(then, 50)).then(() => document.readyState === "complete" && !window.left && document.querySelector("h1")?.textContent)`, "awaitPromise": true, "returnByValue": true,
		}, &got)
		if shown, _ = got.Result.Value.(string); refused == "" && shown == title { // a page that is left refuses the question
			return
		}
	}
	p.T.Fatalf("the page at %s is %q, want %q:\n%s", p.Run("location.pathname"), shown, title, p.Run("document.body.innerText"))
}

// clicks presses a button of the page, after filling its form in. fields are names and values.
func (p *person) clicks(do string, fields ...string) {
	p.T.Helper()
	p.Run(`(() => {
		const button = document.querySelector('button[name=do][value="` + do + `"]'), fields = ` + quoted(fields) + `;
		for (let i = 0; i < fields.length; i += 2) {
			const field = button.form.elements[fields[i]];
			if (field.type === "checkbox") field.checked = true; else field.value = fields[i + 1];
		}
		if (!button.form.reportValidity()) throw new Error("the browser refuses the form");
		window.left = true;
		setTimeout(() => button.click());
	})()`)
}

// stepsUp answers a step-up with an app.
func (p *person) stepsUp(secret string) {
	p.T.Helper()
	p.stepsUpAt("Confirm that it’s you", secret)
}

func (p *person) stepsUpAt(title, secret string) {
	p.T.Helper()
	p.reaches(title)
	p.desk.later(30 * time.Second)
	p.clicks("code", "code", appCode(p.desk.t, secret, p.desk.now()))
}

// console goes from the link of a portal session to the console, and returns its address.
func (p *person) console(link, title string) string {
	p.T.Helper()
	p.Call("Page.navigate", map[string]any{"url": p.desk.base + link}, nil)
	p.reaches(title)
	return strings.Split(p.Run("location.href"), "?")[0]
}

func TestT2AnAdministratorSavesRequiredInTheBrowser(t *testing.T) {
	d := open(t, talkdesk)
	secret := d.withApp("olga")
	bob := d.start("bob", "")
	d.withApp("carl")
	p := d.person()
	home := p.console(d.portalLink("olga", ""), "Users")
	p.look("console users")
	p.opens(home+"/policy", "Policy")
	p.look("console policy")
	p.Run(`document.querySelector("details").open = true`)
	p.look("console profiles")
	p.opens(home+"/policy?group=demand", "Who has to use it")
	p.look("console group demand")
	p.clicks("preview", "require", "everyone")
	p.reaches("What this does")
	p.says("1 user is signed out at once", "bob")
	p.look("console preview")
	p.clicks("save", "acknowledge", "yes")
	p.stepsUp(secret)
	p.reaches("Policy")
	p.says("The policy is saved", "Everyone")
	p.look("console saved")
	active := d.api("POST", "/v1/introspect", `{"org":"`+org+`","user":"bob","issued_at":"`+bob["issued_at"].(string)+`"}`, nil)
	if active["active"] != false || active["reason"] != "signed_out_by_policy" {
		t.Errorf("bob's session: got %v, want it signed out by the policy", active)
	}
	if got := d.start("bob", ""); got["decision"] != "enrol" {
		t.Errorf("bob: got %v, want enrol", got["decision"])
	}
}

func TestThePagesOfOneUserInTheConsole(t *testing.T) {
	d := open(t, `{"profile":"helpdesk","require":"everyone","enrolment_proof":"none","pass":{"max_s":3600},"reset":{"second_approver":false},"acknowledge":true}`)
	secret := d.withApp("olga")
	d.start("bob", "")
	p := d.person()
	home := p.console(d.portalLink("olga", ""), "Users")
	p.opens(home+"/users/bob", "bob@acme.example")
	p.look("console user without a factor")
	until := d.now().Add(48 * time.Hour).UTC().Format("2006-01-02T15:04")
	p.clicks("grace", "grace", until)
	p.stepsUp(secret)
	p.reaches("bob@acme.example")
	p.says("The date of grace is saved")
	if got := d.start("bob", ""); got["decision"] != "allow" || got["reason"] != "grace" {
		t.Errorf("bob in grace: got %v %v", got["decision"], got["reason"])
	}
	p.clicks("begin", "reason", "asked at the desk")
	p.reaches("Authenticator app")
	p.look("console hand over")
	p.clicks("finish", "code", "000000")
	p.reaches("Authenticator app")
	p.look("console hand over wrong code")
	key := p.Text("#key")
	p.clicks("finish", "code", appCode(t, key, d.now()))
	p.reaches("bob@acme.example")
	p.says("It is set up")
	p.look("console user")
	p.clicks("pass", "minutes", "10", "reason", "lost the phone")
	p.reaches("The pass")
	p.look("console pass")
	p.opens(home+"/users/bob", "bob@acme.example")
	p.clicks("reset", "reason", "lost the phone")
	p.reaches("bob@acme.example")
	p.says("Two-step sign-in is removed", "Nothing set up")
	if got := d.seen("bob")["factors"].([]any); len(got) != 0 {
		t.Errorf("got %v, want no factors", got)
	}
	d.withApp("bob") // either of them may set it up again
	p.opens(home+"/users/bob", "bob@acme.example")
	p.says("Authenticator app")
}

func TestTheOtherPartsOfTheConsoleInTheBrowserAndInFrench(t *testing.T) {
	d := open(t, `{"profile":"helpdesk","reset":{"second_approver":true}}`)
	secret := d.withApp("olga")
	d.withApp("bob")
	d.start("carl", "")
	for range 3 {
		d.later(24 * time.Hour)
		d.api("POST", "/local/sweep", "", nil)
		d.start("dora-"+d.now().Format("02"), "")
	}
	p := d.person()
	home := p.console(d.portalLink("olga", ""), "Users")
	p.opens(home+"/users/bob", "bob@acme.example")
	p.clicks("reset", "reason", "lost the phone")
	p.stepsUp(secret)
	p.reaches("bob@acme.example")
	p.look("console user with a request")
	p.opens(home+"/requests", "Requests for a reset")
	p.look("console requests")
	p.clicks("approve")
	p.reaches("Requests for a reset")
	p.says("You can’t approve this")
	p.look("console requests refused")
	p.opens(home+"/activity", "Activity")
	p.look("console activity")
	p.opens(home+"/adoption", "Adoption")
	p.look("console adoption")
	p.opens(home+"/brand", "Look")
	p.look("console brand")
	p.opens(home+"/users/nobody", "There is no such user")
	p.look("console nobody")

	home = p.console(d.portalLink("olga", `,"locale":"fr"`), "Utilisateurs")
	p.look("fr console users")
	for path, title := range map[string]string{"/users/bob": "bob@acme.example", "/policy": "Règles", "/policy?group=recovery": "En cas de perte", "/requests": "Demandes de réinitialisation", "/activity": "Activité", "/adoption": "Adoption", "/brand": "Apparence"} {
		p.opens(home+path, title)
		p.look("fr console " + strings.Trim(strings.NewReplacer("/", " ", "?", " ", "=", " ").Replace(path), " "))
	}
}
