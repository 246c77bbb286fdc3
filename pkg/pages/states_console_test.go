package pages_test

import (
	"net/http"
	"strings"
	"time"
)

var consoleStates = []string{
	"users", "no user fits", "user who can have a key", "policy", "profiles", "settings of demand", "settings of methods", "settings of trust", "settings of challenge", "settings of recovery", "settings of sms", "settings of others",
	"setting that cannot be", "preview", "preview of a profile", "preview of nothing", "not understood", "somebody else has saved", "policy saved",
	"user without a factor", "user who is required", "date of grace saved", "not a date", "no reason", "hand over an app", "hand over with a wrong code", "hand over by text message", "user who is set up",
	"pass", "pass that lasts too long", "pass that was shown", "user who is locked", "lock ended", "own account", "user with a request", "two-step sign-in removed",
	"requests", "request refused", "request cancelled", "no requests", "activity", "no activity", "adoption", "adoption without days", "look", "look that cannot be", "look saved", "no such user", "session is over", "confirm a change",
}

// confirmsWith answers the step-up that a form of the console has led to, and goes on with the form.
func (w *witness) confirmsWith(secret string) {
	w.T.Helper()
	w.desk.later(30 * time.Second)
	w.confirms(func() { w.press("code", "code", appCode(w.desk.t, secret, w.desk.now())) })
}

// administers opens the console, and returns its address.
func (w *witness) administers() (home string) {
	w.T.Helper()
	link := w.desk.portalLink("olga", `,"locale":"`+w.language+`"`)
	w.Loading(func() {
		w.Loading(func() { w.Call("Page.navigate", map[string]any{"url": w.desk.base + link}, nil) })
	})
	return w.here()
}

func showConsole(w *witness) {
	d := w.opens(`{"profile":"talkdesk"}`)
	secret := d.withApp("olga")
	d.start("bob", "")
	home := w.administers()
	w.look("users")
	w.Open(home + "?q=nobody")
	w.look("no user fits")
	w.Open(home + "/users/bob")
	w.look("user who can have a key")
	w.Open(home + "/users/nobody")
	w.look("no such user")
	w.Open(home + "/policy")
	w.look("policy")
	w.Run(`document.querySelector("details").open = true`)
	w.look("profiles")
	w.press("profile", "profile", "karbon")
	w.look("preview of a profile")
	for _, group := range []string{"demand", "methods", "trust", "challenge", "recovery", "sms", "others"} {
		w.Open(home + "/policy?group=" + group)
		w.look("settings of " + group)
	}
	w.Open(home + "/policy?group=trust")
	w.press("preview", "trust.days", "900")
	w.look("setting that cannot be")
	w.Open(home + "/policy?group=trust")
	w.press("preview")
	w.look("preview of nothing")
	w.Open(home + "/policy?group=demand")
	w.press("preview", "require", "everyone")
	w.look("preview")
	w.press("save")
	w.look("confirm a change")
	w.confirmsWith(secret)
	w.look("not understood")
	d.policy(`{"profile":"talkdesk","recovery":{"count":5,"effect":"sign_in"}}`)
	w.press("save", "acknowledge", "yes")
	w.look("somebody else has saved")
	w.press("save", "acknowledge", "yes")
	w.look("policy saved")
	w.Open(home + "/requests")
	w.look("no requests")
	w.Open(home + "/activity?user=nobody")
	w.look("no activity")
	w.Open(home + "/adoption")
	w.look("adoption without days")
	w.Open(home + "/brand")
	w.look("look")
	w.press("brand", "name", "Acme Telefon", "colour", "red")
	w.look("look that cannot be")
	w.press("brand", "name", "Acme Telefon", "colour", "#aa2200")
	w.look("look saved")
	d.later(2 * time.Hour)
	w.Open(home)
	w.look("session is over")
	showConsoleOfUsers(w)
	showConsoleOfRequests(w)
}

// showConsoleOfUsers shows what an administrator does for one user.
func showConsoleOfUsers(w *witness) {
	d := w.opens(`{"profile":"helpdesk","methods":{"sms":"allowed"},"sms":{"countries":["FR"]},"require":"everyone","enrolment_proof":"none","pass":{"max_s":3600},"reset":{"second_approver":false},"acknowledge":true}`)
	secret := d.withApp("olga")
	d.start("bob", "")
	home := w.administers()
	w.Open(home + "/users/olga")
	w.look("own account")
	w.Open(home + "/users/bob")
	w.look("user without a factor")
	w.press("enforce")
	w.confirmsWith(secret)
	w.look("user who is required")
	w.press("grace", "grace", d.now().Add(48*time.Hour).UTC().Format("2006-01-02T15:04"))
	w.look("date of grace saved")
	w.Run(`document.querySelector("[name=grace]").type = "text"`) // as in a browser that knows no such field
	w.press("grace", "grace", "soon")
	w.look("not a date")
	w.press("begin", "kind", "totp", "reason", "")
	w.look("no reason")
	w.press("begin", "kind", "sms", "phone", "+33612345678", "reason", "asked at the desk")
	w.look("hand over by text message")
	w.Open(home + "/users/bob")
	w.press("begin", "kind", "totp", "reason", "asked at the desk")
	w.look("hand over an app")
	w.press("finish", "code", "000000")
	w.look("hand over with a wrong code")
	w.press("finish", "code", appCode(d.t, w.Text("#key"), d.now()))
	w.look("user who is set up")
	w.press("pass", "minutes", "90", "reason", "lost the phone")
	w.look("pass that lasts too long")
	w.press("pass", "minutes", "10", "reason", "lost the phone")
	w.look("pass")
	w.reloadForm()
	w.look("pass that was shown")
	w.Open(home + "/users/bob")
	w.press("reset", "reason", "lost the phone")
	w.look("two-step sign-in removed")

	carl := d.withApp("carl")
	for range 2 {
		v := d.visitor()
		v.arrive(d.start("carl", ""))
		for range 5 {
			v.submit("code", "code", wrong(appCode(d.t, carl, d.now())))
		}
	}
	w.Open(home + "/users/carl")
	w.look("user who is locked")
	w.press("unlock", "reason", "talked to carl")
	w.look("lock ended")
}

// reloadForm sends the form again that the page is the answer to, as the browser does when the page is loaded again.
func (w *witness) reloadForm() {
	w.T.Helper()
	w.Loading(func() { w.Call("Page.reload", nil, nil) })
}

// showConsoleOfRequests shows what needs two administrators, and days that have passed.
func showConsoleOfRequests(w *witness) {
	d := w.opens(`{"profile":"helpdesk","reset":{"second_approver":true}}`)
	secret := d.withApp("olga")
	d.withApp("bob")
	d.start("carl", "")
	for range 3 {
		d.later(24 * time.Hour)
		d.api("POST", "/local/sweep", "", nil)
		d.start("dora-"+d.now().Format("02"), "")
	}
	home := w.administers()
	w.Open(home + "/users/bob")
	w.press("reset", "reason", "lost the phone")
	w.confirmsWith(secret)
	w.look("user with a request")
	w.Open(home + "/requests")
	w.look("requests")
	w.press("approve")
	w.look("request refused")
	w.press("cancel")
	w.look("request cancelled")
	d.api("PUT", "/v1/orgs/"+org+"/brand", `{"name":"A company whose name is as long as names of companies may be"}`, http.Header{"If-Match": {`"0"`}})
	d.api("GET", "/local/events", "", nil) // what was committed is filed now
	w.Open(home + "/activity")
	w.look("activity")
	w.Open(home + "/adoption")
	w.look("adoption")
	if !strings.Contains(w.Run("document.body.innerText"), "A company whose") {
		w.T.Error("the page doesn't have the name of the organisation's application")
	}
}
