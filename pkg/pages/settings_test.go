package pages_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// portal begins a portal session of a user, who has just given the password.
func (d *desk) portal(user string) string {
	d.t.Helper()
	began := d.api("POST", "/v1/portal-sessions", `{"org":"`+org+`","user":"`+user+`","reauthenticated_at":"`+d.now().Format(time.RFC3339)+`","return_url":"`+d.base+`/app"}`, nil)
	path, found := strings.CutPrefix(began["url"].(string), d.base)
	if !found {
		d.t.Fatalf("the page is at %q", began["url"])
	}
	return path
}

// user makes a user, or changes one.
func (d *desk) user(id, profile string) {
	d.t.Helper()
	d.api("PUT", "/v1/orgs/"+org+"/users/"+id, profile, nil)
}

// settings opens the security settings of a user.
func (d *desk) settings(user string) *visitor {
	d.t.Helper()
	v := d.visitor()
	v.get(d.portal(user))
	v.submit("open")
	v.says("Security settings")
	return v
}

// follow goes to a page that the page has a link to.
func (v *visitor) follow(ending string) {
	v.desk.t.Helper()
	for _, found := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(v.page, -1) {
		if to := strings.ReplaceAll(found[1], "&amp;", "&"); strings.HasSuffix(to, ending) {
			if strings.HasPrefix(to, "?") {
				path, _, _ := strings.Cut(v.address, "?")
				to = path + to
			}
			v.get(to)
			return
		}
	}
	v.desk.t.Fatalf("the page has no link to %s:\n%s", ending, v.page)
}

// goesOn presses the button of the page that goes on with what was asked.
func (v *visitor) goesOn() {
	v.desk.t.Helper()
	if !strings.HasPrefix(v.address, "/pages/go-on/") {
		v.desk.t.Fatalf("nothing waits at %s:\n%s", v.address, v.page)
	}
	do := buttonOf.FindStringSubmatch(v.page)
	if do == nil {
		v.desk.t.Fatalf("the page has no button:\n%s", v.page)
	}
	form := v.form(do[1])
	form.URL.Path = regexp.MustCompile(`action="([^"]*)"`).FindStringSubmatch(v.page)[1]
	v.address = form.URL.Path
	v.send(form)
}

// addApp adds an authenticator app, and returns its key. It leaves the visitor at the page after it.
func (v *visitor) addApp(label string) (key string) {
	v.desk.t.Helper()
	v.follow("/add")
	if strings.Contains(v.page, "?kind=totp") {
		v.follow("?kind=totp")
	}
	v.submit("begin", "label", label)
	found := keyOf.FindStringSubmatch(v.page)
	if found == nil {
		v.desk.t.Fatalf("the page has no key:\n%s", v.page)
	}
	v.submit("finish", "code", appCode(v.desk.t, found[1], v.desk.now()))
	return found[1]
}

func TestAUserLooksAfterTheirAccountWithoutAScriptAndLosesNothingToAStepUp(t *testing.T) {
	d := open(t, karbonOptional)
	d.user("ana", `{"email":"ana@acme.example"}`)
	v := d.settings("ana")
	v.says("It is off", "You have set up none yet")
	key := v.addApp("My phone")
	v.says("Keep your recovery codes")
	v.submit("kept")
	v.says("It is set up", "It is on", "My phone", "10 codes are left", "Remove")

	d.later(time.Minute)
	v.submit("rename", "label", "Old phone")
	v.says("The name is saved", "Old phone")

	v.submit("off")
	v.says("Confirm that it’s you", "Old phone")
	v.submit("code", "code", wrong(appCode(t, key, d.now())))
	v.says("not right")
	v.submit("code", "code", appCode(t, key, d.now()))
	v.goesOn()
	v.says("Two-step sign-in is off.", "It is off", "Old phone")
	v.submit("on")
	v.says("Two-step sign-in is on.", "It is on")
	v.submit("codes")
	v.says("Keep your recovery codes")
	v.submit("kept")
	v.says("You have new recovery codes")
	v.follow("/activity")
	v.says("New recovery codes were made", "Two-step sign-in was turned off", "A way to sign in was set up", "Authenticator app")
	v.follow("settings/" + strings.Split(v.address, "/")[3])
	v.submit("remove")
	v.says("It is removed", "You have set up none yet", "It is off")
}

func TestAPasswordThatWasCheckedLongAgoLeadsBackToTheApplication(t *testing.T) {
	d := open(t, karbonOptional)
	d.user("ana", `{"email":"ana@acme.example"}`)
	v := d.settings("ana")
	v.addApp("")
	v.submit("kept")
	d.later(11 * time.Minute)
	v.get(v.address)
	v.says("give your password again")
	v.submit("off")
	v.says("Give your password again", "checked too long ago")
	if v.status != http.StatusForbidden || !strings.Contains(v.page, `href="`+d.base+`/app"`) {
		t.Errorf("got %d and no way back:\n%s", v.status, v.page)
	}
	d.later(time.Hour)
	v.get(v.address)
	v.says("This session is over")
}

func TestTheBrowserThatWasUsedLastStandsFirst(t *testing.T) {
	d := open(t, `{"email_backup":"pinned","trust":{"days":30}}`)
	d.user("ana", `{"email":"ana@acme.example"}`)
	key := d.settings("ana").addApp("My phone")
	names := []string{"Firefox", "Safari", "Chromium", "Lynx"}
	for _, name := range names {
		d.later(time.Minute)
		id := d.start("ana", "")["challenge"].(map[string]any)["id"].(string)
		d.api("POST", "/v1/challenges/"+id+"/verify", `{"code":"`+appCode(t, key, d.now())+`","trust":{"name":"`+name+`"}}`, nil)
	}
	v := d.settings("ana")
	v.says(names...)
	for i := range names[1:] {
		if strings.Index(v.page, names[i+1]) > strings.Index(v.page, names[i]) {
			t.Errorf("%s stands before %s, which was used later", names[i], names[i+1])
		}
	}
}

func TestH5TheSettingsSayByWhenAUserInGraceNeedsAWay(t *testing.T) {
	d := open(t, `{"profile":"helpdesk","acknowledge":true}`)
	d.user("ana", `{"email":"ana@acme.example"}`)
	until := d.now().Add(48 * time.Hour)
	d.policy(`{"profile":"helpdesk","require":"everyone","grace_until":"` + until.Format(time.RFC3339) + `","acknowledge":true}`)
	v := d.settings("ana")
	v.says("Your organisation requires it", "Set it up at the latest by", until.Format("15:04")+" UTC")
	d.later(49 * time.Hour)
	v = d.settings("ana")
	v.says("Your organisation requires it", "Set it up before your next sign-in.")
}
