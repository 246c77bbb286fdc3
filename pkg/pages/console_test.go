package pages_test

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// An administrator is a user who administers the org, with an authenticator app and a browser.
type administrator struct {
	*visitor
	secret string
}

// withApp gives a user an authenticator app, and returns its key.
func (d *desk) withApp(user string) (secret string) {
	d.t.Helper()
	someone := `"org":"` + org + `","user":{"id":"` + user + `","email":"` + user + `@acme.example"}`
	begun := d.api("POST", "/v1/enrolments", `{`+someone+`,"kind":"totp"}`, http.Header{"Countersign-Reauthenticated-At": {d.now().Format(time.RFC3339)}})
	secret = begun["totp"].(map[string]any)["secret"].(string)
	d.api("POST", "/v1/enrolments/"+begun["id"].(string)+"/finish", `{"code":"`+appCode(d.t, secret, d.now())+`"}`, nil)
	return secret
}

// administers opens the console for an administrator, in a browser without scripts. more are fields of the call's body, as JSON.
func (d *desk) administers(user, more string) *administrator {
	d.t.Helper()
	a := &administrator{d.visitor(), d.withApp(user)}
	a.enters(user, more)
	return a
}

// portalLink begins the portal session of an administrator, and returns the path of its page.
func (d *desk) portalLink(user, more string) string {
	d.t.Helper()
	begun := d.api("POST", "/v1/portal-sessions", `{"org":"`+org+`","administrator":{"org":"`+org+`","user":"`+user+`"},"reauthenticated_at":"`+d.now().Format(time.RFC3339)+`","return_url":"`+d.base+`/app"`+more+`}`, nil)
	return strings.TrimPrefix(begun["url"].(string), d.base)
}

func (a *administrator) enters(user, more string) {
	a.desk.t.Helper()
	a.get(a.desk.portalLink(user, more))
	a.submit("open")
}

var actionOf = regexp.MustCompile(`<form method="post" action="([^"]+)"`)

// stepsUp answers the step-up that the last form has led to, and goes on with the form.
func (a *administrator) stepsUp(do string) {
	a.desk.t.Helper()
	a.says("Confirm that it’s you")
	a.desk.later(30 * time.Second) // the app shows a code that wasn't used
	a.submit("code", "code", appCode(a.desk.t, a.secret, a.desk.now()))
	a.says("You have confirmed that it’s you")
	a.goesOn(do)
}

// goesOn presses the button of the form that has waited.
func (a *administrator) goesOn(do string) {
	a.desk.t.Helper()
	form := actionOf.FindStringSubmatch(a.page)
	if form == nil {
		a.desk.t.Fatalf("no form has waited:\n%s", a.page)
	}
	a.page = strings.ReplaceAll(a.page, form[0], `<form method="post"`)
	a.address = html.UnescapeString(form[1])
	a.submit(do)
}

// home is the path of the console.
func (a *administrator) home() string {
	a.desk.t.Helper()
	found := regexp.MustCompile(`href="(/pages/console/[\w-]+)"`).FindStringSubmatch(a.page)
	if found == nil {
		a.desk.t.Fatalf("this is no page of the console:\n%s", a.page)
	}
	return found[1]
}

var (
	selectOf   = regexp.MustCompile(`(?s)<select id="[^"]*" name="([^"]+)".*?</select>`)
	selectedOf = regexp.MustCompile(`<option value="([^"]*)" selected`)
	textareaOf = regexp.MustCompile(`(?s)<textarea id="[^"]*" name="([^"]+)"[^>]*>(.*?)</textarea>`)
	typedOf    = regexp.MustCompile(`<input id="[^"]*" name="([^"]+)"[^>]*?value="([^"]*)"`)
)

// typed returns the fields of the form of the page that has settings, as a browser would send them, with some of them changed.
func (a *administrator) typed(changed ...string) []string {
	a.desk.t.Helper()
	fields := url.Values{}
	_, form, found := strings.Cut(a.page, `class="settings"`)
	if !found {
		a.desk.t.Fatalf("the page has no settings:\n%s", a.page)
	}
	for _, s := range selectOf.FindAllStringSubmatch(form, -1) {
		if chosen := selectedOf.FindStringSubmatch(s[0]); chosen != nil {
			fields.Set(s[1], chosen[1])
		}
	}
	for _, t := range textareaOf.FindAllStringSubmatch(form, -1) {
		fields.Set(t[1], html.UnescapeString(t[2]))
	}
	for _, t := range typedOf.FindAllStringSubmatch(form, -1) {
		fields.Set(t[1], html.UnescapeString(t[2]))
	}
	for i := 0; i+1 < len(changed); i += 2 {
		fields.Set(changed[i], changed[i+1])
	}
	var all []string
	for name := range fields {
		all = append(all, name, fields.Get(name))
	}
	return all
}

// talkdesk is that profile with nobody required yet.
const talkdesk = `{"profile":"talkdesk"}`

func TestT2AnAdministratorSeesWhatRequiredDoesAndSaysIUnderstand(t *testing.T) {
	d := open(t, talkdesk)
	d.start("bob", "")
	a := d.administers("olga", "")
	a.says("Users", "olga", "bob", "You are olga, and you look after acme")
	a.get(a.home() + "/policy")
	a.says("Nobody", "Who has to use two-step sign-in")
	a.get(a.home() + "/policy?group=demand")
	a.submit("preview", a.typed("require", "everyone")...)
	a.says("What this does", "1 user is signed out at once", "1 user has to set something up", "bob", "I understand", "Nobody → Everyone")
	a.submit("save") // a browser would not let this through
	a.stepsUp("save")
	a.says("This signs users out or asks more of them", "I understand")
	if got := d.api("GET", "/v1/orgs/acme/policy", "", nil)["require"]; got != "nobody" {
		t.Fatalf("got %v saved without “I understand”", got)
	}
	a.submit("save", "acknowledge", "yes") // the proof is good for a while
	a.says("The policy is saved", "This is version 2")
	if got := d.api("GET", "/v1/orgs/acme/policy", "", nil)["require"]; got != "everyone" {
		t.Errorf("got %v, want everyone", got)
	}
}

func TestWhatWasTypedIsKeptWhileAnAdministratorStepsUp(t *testing.T) {
	d := open(t, talkdesk)
	a := d.administers("olga", "")
	a.get(a.home() + "/policy?group=trust")
	a.submit("preview", a.typed("trust.days", "14")...)
	a.says("0 → 14")
	a.submit("edit", "group", "others")
	a.says("Nothing is saved yet")
	a.submit("preview", a.typed("notify", "ops@acme.example\nnight@acme.example")...)
	a.submit("edit", "group", "sms")
	a.submit("preview", a.typed("sms.countries", "fr, be")...)
	a.says("Days of trust", "0 → 14", "none → FR BE", "ops@acme.example, night@acme.example")
	a.submit("edit", "group", "others")
	a.says("Nothing is saved yet", "ops@acme.example\nnight@acme.example")
	a.submit("preview", a.typed()...)
	a.submit("save")
	a.stepsUp("save")
	a.says("The policy is saved")
	got, _ := json.Marshal(d.api("GET", "/v1/orgs/acme/policy", "", nil))
	for _, want := range []string{`"days":14`, `"notify":["ops@acme.example","night@acme.example"]`, `"countries":["FR","BE"]`} {
		if !strings.Contains(string(got), want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestTwoAdministratorsWhoSaveAtTheSameTimeHearOfEachOther(t *testing.T) {
	d := open(t, talkdesk)
	a := d.administers("olga", "")
	a.get(a.home() + "/policy?group=trust")
	a.submit("preview", a.typed("trust.days", "14")...)
	d.policy(`{"profile":"talkdesk","recovery":{"count":5,"effect":"sign_in"}}`)
	a.submit("save")
	a.stepsUp("save")
	if a.status != http.StatusPreconditionFailed {
		t.Errorf("got %d", a.status)
	}
	a.says("Somebody else has saved the policy", "It is at version 2 now", "5 → 10", "0 → 14")
	a.submit("save")
	a.says("The policy is saved", "This is version 3")
}

func TestASettingThatCannotBeIsMarkedAndNothingIsLost(t *testing.T) {
	d := open(t, talkdesk)
	a := d.administers("olga", "")
	a.get(a.home() + "/policy?group=trust")
	a.submit("preview", a.typed("trust.days", "900", "sso_amr", "hwk\nswk")...)
	a.says("Some settings are not right", `value="900"`, "hwk\nswk")
	if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.page, `aria-invalid="true"`) {
		t.Errorf("got %d, want the setting marked", a.status)
	}
	a.get(a.home() + "/policy?group=demand")
	a.submit("preview", a.typed("effect", "next_sign_in", "max_skips", "3")...)
	a.says("doesn’t fit the others: How often the set-up can be skipped", `value="3"`)
}

func TestAProfileIsShownBeforeItIsTaken(t *testing.T) {
	d := open(t, talkdesk)
	a := d.administers("olga", "")
	a.get(a.home() + "/policy")
	a.submit("profile", "profile", "karbon")
	a.says("You take the profile Client portal", "Your organisation has 1 user")
	a.submit("save")
	a.stepsUp("save")
	if got := d.api("GET", "/v1/orgs/acme/policy", "", nil)["enrolment_proof"]; got != "email" {
		t.Errorf("got %v, want what karbon says", got)
	}
}

func TestAFormOfThePolicyThatIsSentTwiceIsSavedOnce(t *testing.T) {
	d := open(t, talkdesk)
	a := d.administers("olga", "")
	a.get(a.home() + "/policy?group=trust")
	a.submit("preview", a.typed("trust.days", "14")...)
	a.submit("save")
	a.stepsUp("save")
	a.get(a.home() + "/policy?group=trust")
	a.submit("preview", a.typed("trust.days", "7")...)
	first, second := a.form("save"), a.form("save")
	a.send(first)
	a.send(second)
	a.says("The policy is saved", "This is version 3")
}

func TestAnAdministratorOfTheOperatorStepsUpInTheirOwnOrganisation(t *testing.T) {
	d := open(t, talkdesk)
	someone := `"org":"ops","user":{"id":"olga","email":"olga@ops.example"}`
	begun := d.api("POST", "/v1/enrolments", `{`+someone+`,"kind":"totp"}`, http.Header{"Countersign-Reauthenticated-At": {d.now().Format(time.RFC3339)}})
	a := &administrator{d.visitor(), begun["totp"].(map[string]any)["secret"].(string)}
	d.api("POST", "/v1/enrolments/"+begun["id"].(string)+"/finish", `{"code":"`+appCode(t, a.secret, d.now())+`"}`, nil)
	d.start("bob", "")
	began := d.api("POST", "/v1/portal-sessions", `{"org":"`+org+`","administrator":{"org":"ops","user":"olga"},"reauthenticated_at":"`+d.now().Format(time.RFC3339)+`"}`, nil)
	a.get(strings.TrimPrefix(began["url"].(string), d.base))
	a.submit("open")
	a.get(a.home() + "/users/bob")
	a.submit("enforce")
	a.stepsUp("enforce")
	if d.seen("bob")["enforced"] != true {
		t.Error("bob is not enforced")
	}
}

func TestAnAdministratorWithoutAFactorSetsOneUpFirst(t *testing.T) {
	d := open(t, `{"profile":"talkdesk"}`)
	d.start("bob", "")
	d.start("olga", "")
	a := &administrator{d.visitor(), ""}
	a.enters("olga", "")
	a.get(a.home() + "/users/bob")
	a.submit("enforce")
	a.says("Set up two-step sign-in")
	a.get(a.address + "?kind=totp")
	a.submit("begin")
	key := keyOf.FindStringSubmatch(a.page)
	if key == nil {
		t.Fatalf("the page has no key:\n%s", a.page)
	}
	a.submit("finish", "code", appCode(t, key[1], d.now()))
	a.says("Keep your recovery codes")
	a.submit("kept", "kept", "yes")
	a.goesOn("enforce")
	a.secret = key[1]
	a.stepsUp("enforce") // an enrolment is no proof, so the new factor is asked for
	a.says("It is required of this user")
	a.get(a.home() + "/users/bob")
	d.later(11 * time.Minute)
	a.submit("enforce") // the proof is too old
	a.stepsUp("enforce")
	a.says("It is saved")
	d.later(time.Hour)
	a.get(a.home())
	a.says("This session is over")
}

func TestASettingThatAFieldShowsLessExactlyStaysAsItIs(t *testing.T) {
	d := open(t, `{"profile":"helpdesk","require":"everyone","grace_until":"2099-12-24T10:11:12.5Z","acknowledge":true}`)
	a := d.administers("olga", "")
	a.get(a.home() + "/policy?group=demand")
	a.says(`value="2099-12-24T10:11"`)
	a.submit("preview", a.typed("max_skips", "3")...)
	a.says("How often the set-up can be skipped", "none → 3")
	if strings.Contains(a.page, "Grace until") {
		t.Error("the date of grace changes, although nobody has touched it")
	}
}

func TestAFormThatHasWaitedIsSentToItsOwnSessionOnly(t *testing.T) {
	d := open(t, talkdesk)
	d.start("bob", "")
	a := d.administers("olga", "")
	home := a.home()
	a.get(home + "/users/bob")
	a.submit("enforce") // a form waits now
	id := home[strings.LastIndex(home, "/")+1:]
	for _, elsewhere := range []string{"https://evil.example/", "//evil.example/", "/pages/console/another", "/pages/console/" + id + "x", "/v1/orgs/acme"} {
		var packed bytes.Buffer
		into, err := flate.NewWriter(&packed, flate.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		into.Write([]byte(elsewhere + "?do=enforce&enforced=yes"))
		into.Close()
		a.cookies["__Host-parked-"+id] = &http.Cookie{Name: "__Host-parked-" + id, Value: b64(packed.String())}
		a.get("/pages/go-on/" + id + "?enrolled=yes")
		a.says("Users", "bob")
		if strings.Contains(a.page, "evil.example") || strings.Contains(a.page, "another") {
			t.Errorf("a form is sent to %s", elsewhere)
		}
	}
}
