package pages_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

const karbonOptional = `{"profile":"karbon","acknowledge":true}`

const salto = `{"profile":"salto","sms":{"countries":["FR"]},"acknowledge":true}`

// confirms answers the step-up that a form has led to with the app, and goes on with what was asked.
func (v *visitor) confirms(key string) {
	v.desk.t.Helper()
	v.says("Confirm that it’s you")
	v.submit("code", "code", appCode(v.desk.t, key, v.desk.now()))
	v.goesOn()
}

// threeWays sets up an app, email and a phone at the settings of a user who has nothing, and returns the key of the app.
func (v *visitor) threeWays() (key string) {
	v.desk.t.Helper()
	key = v.addApp("My phone")
	v.says("Keep your recovery code", "once")
	v.submit("kept")
	v.says("It is set up", "Add your email as a backup?", "a***@acme.example", "can’t be removed on its own")
	v.submit("skip")
	v.says("Let codes go to your email address, too")

	v.desk.later(time.Minute)
	v.follow("/backup")
	v.submit("begin")
	v.confirms(key) // what was asked for goes on: the code is sent
	v.says("a***@acme.example")
	v.submit("finish", "code", v.desk.code("ana@acme.example"))
	v.says("It is set up")

	v.follow("/add")
	v.follow("?kind=sms")
	v.says("Country of the number", "France (+33)")
	v.submit("begin", "phone", "06 12 34 56 78")
	v.says("Choose the country of your number")
	v.submit("begin", "phone", "06 12 34 56 78", "country", "FR")
	v.submit("finish", "code", v.desk.code("+33612345678"))
	v.says("It is set up")
	return key
}

func TestAProofThatIsTooWeakIsSaidToBeAndTheStrongerOneGoesOn(t *testing.T) {
	d := open(t, salto)
	d.user("ana", `{"email":"ana@acme.example"}`)
	key := d.settings("ana").threeWays()
	d.later(15 * time.Minute)
	v := d.settings("ana")
	v.submit("off")
	v.says("Confirm that it’s you", "Code by email")
	for _, form := range formOf.FindAllString(v.page, -1) {
		if strings.Contains(form, `name="kind" value="email"`) {
			v.page = form
		}
	}
	v.submit("choose")
	v.submit("code", "code", d.code("ana@acme.example"))
	v.goesOn()
	v.says("the strongest of your ways")
	v.confirms(key)
	v.says("Two-step sign-in is off.")
}

func TestM4MarkupInTheNamesOfWaysAndBrowsersIsNeverMarkupInTheSettings(t *testing.T) {
	const evil = `<script>x</script><b id="e">`
	d := open(t, `{"methods":{"webauthn":"forbidden"},"enrolment_proof":"none","trust":{"days":30}}`)
	d.user("ana", `{"email":"ana@acme.example","name":"`+strings.ReplaceAll(evil, `"`, `\"`)+`"}`)
	v := d.settings("ana")
	key := v.addApp(evil)
	v.submit("kept")
	v.submit("skip")
	d.later(time.Minute)
	began := d.start("ana", "")
	challenge := began["challenge"].(map[string]any)["id"].(string)
	d.api("POST", "/v1/challenges/"+challenge+"/verify", `{"code":"`+appCode(t, key, d.now())+`","trust":{"name":"`+strings.ReplaceAll(evil, `"`, `\"`)+`"}}`, nil)
	v.get(v.address)
	if n := strings.Count(v.page, "&lt;script&gt;x"); n < 3 || strings.Contains(v.page, "<script>x") || strings.Contains(v.page, `id="e"`) {
		t.Errorf("got the names %d times as text:\n%s", n, v.page)
	}
	v.says("Trusted browsers", "trusted until")
	v.submit("revoke")
	v.says("This browser isn’t trusted any more")
	d.later(time.Minute)
	v.submit("rename", "label", `"><img src=x onerror=y>`)
	if strings.Contains(v.page, "<img src=x") {
		t.Errorf("a name became markup:\n%s", v.page)
	}
}

func TestTheFormThatHasWaitedIsSentOnceAndTheBackButtonSendsNothing(t *testing.T) {
	d := open(t, karbonOptional)
	d.user("ana", `{"email":"ana@acme.example"}`)
	v := d.settings("ana")
	key := v.addApp("")
	v.submit("kept")
	d.later(time.Minute)
	home := v.address
	v.submit("off")
	v.submit("code", "code", appCode(t, key, d.now()))
	waits := v.address
	v.goesOn()
	v.says("Two-step sign-in is off.")
	v.submit("on")
	v.get(waits)
	v.says("Security settings", "It is on")
	if strings.Contains(v.page, "data-at-once") || !strings.HasPrefix(home, v.address) {
		t.Errorf("got %s, want the settings and nothing sent:\n%s", v.address, v.page)
	}
}

func TestTheSettingsTakeOnlyFormsOfTheirOwnPages(t *testing.T) {
	d := open(t, karbonOptional)
	for _, user := range []string{"ana", "bob"} {
		d.user(user, `{"email":"`+user+`@acme.example"}`)
	}
	ana, bob := d.settings("ana"), d.settings("bob")
	ana.addApp("")
	ana.submit("kept")
	bob.addApp("")
	bob.submit("kept")
	token := regexp.MustCompile(`name="token" value="([^"]*)"`).FindStringSubmatch(bob.page)[1]
	for what, form := range map[string]*http.Request{
		"without a token":     ana.form("off", "token", ""),
		"with another user's": ana.form("off", "token", token),
		"from elsewhere":      ana.form("off"),
	} {
		if what == "from elsewhere" {
			form.Header.Set("Sec-Fetch-Site", "same-site")
		}
		if ana.send(form); ana.status != http.StatusForbidden {
			t.Errorf("%s: got %d, want 403", what, ana.status)
		}
	}
	ana.get(ana.address)
	ana.says("It is on")
	ana.get(bob.address)
	ana.says("can’t be opened here")
}

func TestAnAdministratorsSessionHasNoSettingsAndSurvivesAskingForThem(t *testing.T) {
	d := open(t, karbonOptional)
	d.user("olga", `{"email":"olga@acme.example"}`)
	began := d.api("POST", "/v1/portal-sessions", `{"org":"`+org+`","administrator":{"org":"`+org+`","user":"olga"}}`, nil)
	v := d.visitor()
	v.get(strings.TrimPrefix(began["url"].(string), d.base))
	v.submit("open")
	if !strings.HasPrefix(v.address, "/pages/console/") {
		t.Fatalf("got %s, want the console", v.address)
	}
	v.get(strings.Replace(v.address, "console", "settings", 1))
	v.says("There is no such page")
	if v.status != http.StatusNotFound || len(v.cookies) != 1 {
		t.Errorf("got %d and %d cookies", v.status, len(v.cookies))
	}
}

func TestTheSettingsAdviseWhatWouldHelp(t *testing.T) {
	d := open(t, `{"methods":{"sms":"allowed","totp":"allowed","email":"forbidden"},"sms":{"countries":["FR"]},"recovery":{"count":1}}`)
	d.user("ana", `{"email":"ana@acme.example","locale":"fr"}`)
	v := d.visitor()
	v.get(d.portal("ana"))
	v.submit("open")
	v.says("Paramètres de sécurité", "Elle est désactivée")
	v.follow("/add")
	v.follow("?kind=sms")
	v.submit("begin", "phone", "+33612345678")
	v.submit("finish", "code", d.code("+33612345678"))
	code := regexp.MustCompile(`<li><code>([^<]+)</code>`).FindStringSubmatch(v.page)[1]
	v.submit("kept")
	v.says("La configuration est terminée", "Les SMS peuvent être interceptés", "Il reste 1 code")
	d.later(time.Minute)
	home := v.address
	v.follow("/add")
	v.follow("?kind=totp")
	v.submit("begin")
	v.submit("code", "code", d.code("+33612345678"))
	v.goesOn()
	v.says("Scannez")
	v.get(home)
	began := d.start("ana", "")["challenge"].(map[string]any)["id"].(string)
	d.api("POST", "/v1/challenges/"+began+"/recover", `{"code":"`+code+`"}`, nil)
	v.get(v.address)
	v.says("Il ne vous en reste aucun", "Vous n’avez pas de codes de secours", "Vous n’avez qu’un seul moyen")
}

func TestALockedUserSeesUntilWhen(t *testing.T) {
	d := open(t, karbonOptional)
	d.user("ana", `{"email":"ana@acme.example"}`)
	v := d.settings("ana")
	key := v.addApp("")
	v.submit("kept")
	d.later(time.Minute)
	for range 2 {
		other := d.visitor()
		other.arrive(d.start("ana", ""))
		for range 5 {
			other.submit("code", "code", wrong(appCode(t, key, d.now())))
		}
	}
	v.get(v.address)
	v.says("There were too many wrong codes. Codes are checked again from", "UTC")
}

func TestEndingAllTrustEndsTheSettingsTooAndSaysSo(t *testing.T) {
	d := open(t, `{"methods":{"webauthn":"forbidden"},"enrolment_proof":"none","trust":{"days":30}}`)
	d.user("ana", `{"email":"ana@acme.example"}`)
	v := d.settings("ana")
	key := v.addApp("")
	v.submit("kept")
	v.submit("skip")
	d.later(time.Minute)
	began := d.start("ana", "")
	challenge := began["challenge"].(map[string]any)["id"].(string)
	d.api("POST", "/v1/challenges/"+challenge+"/verify", `{"code":"`+appCode(t, key, d.now())+`","trust":{"name":"Firefox"}}`, nil)
	v.get(v.address)
	v.submit("revoke_all")
	v.says("No browser is trusted any more", "these settings, too")
	if len(v.cookies) != 0 || !strings.Contains(v.page, `href="`+d.base+`/app"`) {
		t.Errorf("got the cookies %v", v.cookies)
	}
}

func TestAStepUpWhoseTimeIsOverLeadsBackToTheSettings(t *testing.T) {
	d := open(t, karbonRequired)
	d.user("ana", `{"email":"ana@acme.example"}`)
	v := d.settings("ana")
	v.addApp("")
	v.submit("kept")
	v.says("Your organisation requires it")
	d.later(time.Minute)
	v.submit("codes")
	v.says("Confirm that it’s you")
	d.later(16 * time.Minute)
	v.submit("code", "code", "123456")
	v.says("Nothing was changed")
	at := strings.Index(v.page, `href="/pages/go-on/`)
	if at < 0 {
		t.Fatalf("there is no way back:\n%s", v.page)
	}
	v.get(v.page[at+6 : at+6+strings.IndexByte(v.page[at+6:], '"')])
	v.says("Security settings", "Your organisation requires it")
}

func TestAUserWhoIsAskedByEmailWithoutAnEnrolmentIsTold(t *testing.T) {
	d := open(t, kls)
	d.user("ana", `{"email":"ana@acme.example","locale":"fr"}`)
	v := d.visitor()
	v.get(d.portal("ana"))
	v.submit("open")
	v.says("Paramètres de sécurité", "Elle est activée", "Un code est envoyé à l’adresse e‑mail de votre compte")
	if v.page != strings.ReplaceAll(v.page, "Configurez-la", "") {
		t.Errorf("the page asks for a set-up that isn't needed:\n%s", v.page)
	}
}

func TestTheActivityIsReadPageByPageAndAForgedCursorShowsTheNewest(t *testing.T) {
	d := open(t, karbonOptional)
	d.user("ana", `{"email":"ana@acme.example"}`)
	v := d.settings("ana")
	v.addApp("")
	v.submit("kept")
	d.later(time.Minute)
	for range 25 {
		v.submit("rename", "label", "x")
		v.submit("rename", "label", "y")
	}
	v.follow("/activity")
	first := v.address
	if n := strings.Count(v.page, "<li>"); n != 20 {
		t.Errorf("got %d events, want 20", n)
	}
	v.get(first + "?" + cursorOf(t, v.page))
	v.says("The newest ones", "A way to sign in was renamed")
	v.get(first + "?cursor=forged")
	v.says("Recent activity")
	if v.address != first {
		t.Errorf("got %q, want the newest events", v.address)
	}
}

// cursorOf returns the part of the address that leads to earlier events.
func cursorOf(t *testing.T, page string) string {
	t.Helper()
	_, rest, found := strings.Cut(page, `href="?cursor=`)
	said, _, closed := strings.Cut(rest, `"`)
	if !found || !closed {
		t.Fatal("the page leads to no earlier events")
	}
	return "cursor=" + said
}
