package pages_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

var cancelFormOf = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)">(.*?name="stay".*?)</form>`)

// cancels presses the button of a step-up that goes back to the form which waits.
func (v *visitor) cancels() {
	v.desk.t.Helper()
	found := cancelFormOf.FindStringSubmatch(v.page)
	if found == nil {
		v.desk.t.Fatalf("nothing cancels the step-up:\n%s", v.page)
	}
	fields := url.Values{"stay": {"yes"}}
	for _, f := range regexp.MustCompile(`name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(found[2], -1) {
		fields.Set(f[1], html.UnescapeString(f[2]))
	}
	v.address = found[1]
	v.send(v.posted(fields))
	v.says("It was cancelled. Nothing was changed.")
	if v.status != http.StatusOK {
		v.desk.t.Errorf("got %d after a step-up was cancelled", v.status)
	}
}

func TestAStepUpOfTheSettingsCanBeCancelledAndNothingIsDone(t *testing.T) {
	d := open(t, karbonOptional)
	d.user("ana", `{"email":"ana@acme.example"}`)
	v := d.settings("ana")
	key := v.addApp("My phone")
	v.submit("kept")
	d.later(time.Minute)
	v.submit("off")
	v.says("Confirm that it’s you", "Cancel, and go back")
	challenge := v.address
	v.cancels()
	v.says("Security settings", "It is on", "My phone")
	v.submit("off")
	v.confirms(key) // another step-up, as if there had been none before
	v.says("Two-step sign-in is off.")
	v.get(challenge)
	v.says("Cancel, and go back")
}

func TestAnEnrolmentInTheSettingsLeadsBackToThem(t *testing.T) {
	d := open(t, salto)
	d.user("ana", `{"email":"ana@acme.example"}`)
	v := d.settings("ana")
	home := strings.Split(v.address, "?")[0]
	v.follow("/add")
	v.follow("?kind=totp")
	v.says("Back to the security settings")
	v.submit("begin")
	v.says("Scan this", "Back to the security settings")
	v.follow(home)
	v.says("You have set up none yet", "It is off")
	v.addApp("")
	v.submit("kept")
	v.submit("begin")
	v.says("Confirm that it’s you")
	v.cancels()
	v.says("Add your email as a backup?")
	v.submit("skip")
	v.says("Security settings")
}

func TestAStepUpOfTheConsoleCanBeCancelledAndWhatWasTypedIsKept(t *testing.T) {
	d := open(t, `{"profile":"helpdesk"}`)
	c := d.administers("olga", "")
	home := c.home()
	d.user("bob", `{"email":"bob@acme.example"}`)
	c.get(home + "/users/bob")
	c.submit("reset", "reason", "A lost phone & more")
	c.says("Confirm that it’s you")
	c.cancels()
	if !strings.Contains(c.page, `value="A lost phone &amp; more"`) {
		t.Errorf("the reason is gone:\n%s", c.page)
	}
	c.get(home + "/policy?group=trust")
	c.submit("preview", c.typed("trust.days", "17")...)
	c.submit("save", "acknowledge", "yes")
	c.says("Confirm that it’s you")
	c.cancels()
	if !strings.Contains(c.page, `value="17"`) {
		t.Errorf("the change of the policy is gone:\n%s", c.page)
	}
	if got := d.api("GET", "/v1/orgs/"+org+"/policy", "", nil)["trust"].(map[string]any)["days"]; got == 17.0 {
		t.Error("the policy was saved")
	}
}

func TestE9AForeignFormThatSaysItStaysShowsNothing(t *testing.T) {
	d := open(t, karbonOptional)
	d.user("ana", `{"email":"ana@acme.example"}`)
	v := d.settings("ana")
	v.addApp("")
	v.submit("kept")
	form := v.form("off", "stay", "yes", "token", "")
	v.send(form)
	if v.status != http.StatusForbidden {
		t.Errorf("got %d, want 403", v.status)
	}
}

func TestAStepUpThatIsAnEnrolmentCanBeCancelledAndOffersNoBackupBeforeTheFormThatWaits(t *testing.T) {
	d := open(t, `{"methods":{"webauthn":"forbidden"},"enrolment_proof":"none"}`)
	for _, user := range []string{"olga", "bob"} {
		d.user(user, `{"email":"`+user+`@acme.example"}`)
	}
	v := d.visitor()
	v.get(d.portalLink("olga", ""))
	v.submit("open")
	v.follow("/users/bob")
	v.submit("enforce")
	v.says("Set up two-step sign-in", "Cancel, and go back")
	v.cancels()
	v.submit("enforce")
	v.follow("?kind=totp")
	v.submit("begin")
	v.says("Scan this", "Cancel, and go back")
	v.submit("finish", "code", appCode(t, keyOf.FindStringSubmatch(v.page)[1], d.now()))
	v.submit("kept")
	if !strings.HasPrefix(v.address, "/pages/go-on/") {
		t.Errorf("the browser is at %s:\n%s", v.address, v.page)
	}
}
