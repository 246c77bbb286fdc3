package demo_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"countersign/infra/chromium"
)

// A visitor is at the demo and at hosted pages in a real browser. The other browser, without scripts, is the window with the mailbox
// and the phone.
type visitor struct {
	*page
	window *browser
	eye    *chromium.Look
}

func visit(t *testing.T) *visitor {
	t.Helper()
	b := openHosted(t)
	v := &visitor{page: startChromium(t, 1280, 900), window: b, eye: chromium.NewLook(t)}
	v.Open(b.base)
	return v
}

// look checks what the page looks like now.
func (v *visitor) look(state string) {
	v.T.Helper()
	v.eye.At(v.Page, state)
	v.noProblems()
}

func (v *visitor) says(texts ...string) {
	v.T.Helper()
	shown := v.Run("document.body.innerText")
	for _, text := range texts {
		if !strings.Contains(shown, text) {
			v.T.Errorf("the page at %s doesn't say %q:\n%s", v.Run("location.pathname"), text, shown)
		}
	}
}

// leaves sends a form that leads to a hosted page. The page of the link sends its own form by its script.
func (v *visitor) leaves(action string, fields ...string) {
	v.T.Helper()
	v.Submit(action, fields...)
	var there struct{ Result struct{ Value bool } }
	for !there.Result.Value { // the page can't answer while it changes
		v.Try("Runtime.evaluate", map[string]any{"expression": `!location.pathname.includes("/csh_") && document.readyState === "complete"`}, &there)
	}
	if path := v.Run("location.pathname"); !strings.HasPrefix(path, "/pages/") {
		v.T.Fatalf("%s: the browser is at %s, want a hosted page:\n%s", action, path, v.Run("document.body.innerText"))
	}
}

func (v *visitor) leavesAs(org, user string) {
	v.T.Helper()
	v.leaves("/demo/hosted/sign-in", "org", org, "user", user)
}

// press presses a button of a hosted page, after filling its form in.
func (v *visitor) press(do string, fields ...string) {
	v.T.Helper()
	v.Loading(func() {
		v.Run(fmt.Sprintf(`(() => {
			const button = document.querySelector('button[name=do][value="%s"]'), fields = %s.split("\n");
			for (let i = 0; i + 1 < fields.length; i += 2) button.form.elements[fields[i]].value = fields[i + 1];
			button.click();
		})()`, do, quote(strings.Join(fields, "\n"))))
	})
}

func quote(text string) string { return "`" + text + "`" }

// follow follows a link of the page, by a part of its address.
func (v *visitor) follow(part string) {
	v.T.Helper()
	v.Loading(func() { v.Run(`document.querySelector('a[href*="` + part + `"]').click()`) })
}

// backToTheDemo follows the link of a hosted page that leads back to the application.
func (v *visitor) backToTheDemo() {
	v.T.Helper()
	v.Loading(func() {
		v.Run(`[...document.querySelectorAll("a")].find((a) => a.href === location.origin + "/").click()`)
	})
}

// phone types a key into the phone beside the other window, and returns the code that the phone shows.
func (v *visitor) phone(key string) string {
	v.T.Helper()
	v.window.do(v.window.request("GET", "/demo/devices", nil))
	v.window.submit("/demo/type-key", "key", key)
	return v.window.appCode()
}

func TestASignInByHostedPagesInABrowser(t *testing.T) {
	v := visit(t)
	v.look("demo sign-in hosted")
	v.leavesAs("demo", "ana")
	v.says("a***@demo.example")
	own := v.Run(`location.pathname.split("/").pop()`)
	v.Run(`document.querySelector("[name=trust]").checked = true`)
	v.press("code", "code", v.window.sentCode("ana@demo.example"))
	v.says("Hello, ana", "trusted until", "GET /v1/challenges/ch_")

	// Neither the same return nor one from somebody else's challenge does anything.
	theirs := v.window.redeem(v.window.signInAt("demo", "mallory"))
	v.window.answers(theirs, "mallory@demo.example", false)
	for _, id := range []string{own, theirs.ID} {
		v.Open(v.window.base + "/demo/return?challenge=" + id)
		v.says("Hello, ana", "That link belongs to nothing that this browser has begun, or it was used already. Nothing was done.")
	}
	v.Open(v.window.base)
	v.look("demo signed in by hosted pages")

	v.leaves("/demo/hosted/transfer")
	v.says("To: Zoe", "Amount: 50.00 EUR")
	v.press("code", "code", v.window.sentCode("ana@demo.example"))
	v.says("You have sent 50.00 EUR to Zoe.")
	v.look("demo money sent")

	v.Submit("/demo/sign-out")
	v.Submit("/demo/hosted/sign-in", "user", "ana")
	v.says("Hello, ana", "You weren’t asked, because you trust this browser")

	v.leaves("/demo/hosted/settings")
	v.says("Security settings", "ana@demo.example", "Trusted browsers")
	v.backToTheDemo()
	wanted(t, "where the settings lead back to", v.Run("location.href"), v.window.base+"/")
	v.says("Hello, ana")
	v.noProblems()
}

func TestAnEnrolmentThatIsForcedAndARecoveryCodeByHostedPagesInABrowser(t *testing.T) {
	v := visit(t)
	v.window.submit("/demo/hosted/sign-in", "org", "helpdesk", "user", "nobody", "password", "x", "how", "password")
	v.window.policy("helpdesk", `{"profile":"helpdesk","require":"everyone","enrolment_proof":"none","acknowledge":true}`)
	v.leavesAs("helpdesk", "hana")
	v.follow("kind=totp")
	v.press("begin")
	v.press("finish", "code", v.phone(v.Text("#key")))
	codes := regexp.MustCompile(`[0-9A-Z-]{29}`).FindAllString(v.Run("document.body.innerText"), -1)
	if len(codes) != 10 {
		t.Fatalf("got the codes %q, want ten:\n%s", codes, v.Run("document.body.innerText"))
	}
	v.Run(`document.querySelector("[name=kept]").checked = true`)
	v.press("kept")
	v.press("skip") // the offer of email as a backup
	v.says("Hello, hana", "You were asked because your organisation requires it of everyone", "enrol")

	v.Submit("/demo/sign-out")
	v.leavesAs("helpdesk", "hana")
	v.follow("by=recovery")
	v.press("recover", "code", codes[0])
	v.says("Hello, hana", "9 recovery codes")
	v.look("demo signed in by a recovery code")
	v.noProblems()
}

func TestAnAdministratorGoesToTheConsoleAndComesBack(t *testing.T) {
	v := visit(t)
	for _, org := range []string{"kls", "salto", "talkdesk", "karbon", "helpdesk"} {
		if org == "kls" { // its policy asks everyone
			v.leavesAs(org, "admin")
			v.says("Kls Desk") // the name that the organisation has on pages
			v.press("code", "code", v.window.sentCode("admin@"+org+".example"))
		} else {
			v.Submit("/demo/hosted/sign-in", "org", org, "user", "admin")
		}
		v.says("Hello, admin")
		v.leaves("/demo/hosted/console")
		language := map[bool]string{true: "fr", false: "en"}[org == "karbon"]
		wanted(t, org+": language", v.Run("document.documentElement.lang"), language)
		wanted(t, org+": where it is", strings.HasPrefix(v.Run("location.pathname"), "/pages/console/"), true)
		v.backToTheDemo()
		v.says("Hello, admin")
		if org == "helpdesk" {
			v.look("demo administrator")
			v.window.local("POST", "/local/clock", `{"advance_s":600}`)
			v.Submit("/demo/hosted/console")
			v.says("Before you see the administrators’ console, type your password again.")
			v.look("demo password again")
			v.leaves("/demo/password")
			wanted(t, "where the password leads", strings.HasPrefix(v.Run("location.pathname"), "/pages/console/"), true)
			v.backToTheDemo()
		}
		v.Submit("/demo/sign-out")
		v.says("You are signed out.")
	}
	v.look("demo signed out")
}

func TestTheDemosPagesAreForEverybody(t *testing.T) {
	v := visit(t)
	v.Open(v.window.base + "/demo/devices")
	v.look("demo devices empty")
	v.Open(v.window.base + "/?way=own")
	v.look("demo sign-in own")
	v.Submit("/demo/sign-in")
	v.look("demo own code")
	v.Submit("/demo/code", "code", wrong(v.Text(".mails .digits")))
	v.look("demo own wrong code")
	v.Submit("/demo/code", "code", v.Text(".mails .digits"))
	v.look("demo own signed in")
	v.change("Set up an authenticator app")
	v.Submit("/demo/code", "code", v.Text(".mails .digits"))
	v.look("demo own app")
	v.Submit("/demo/scan")
	v.Submit("/demo/finish", "code", v.Text(".app-code"))
	v.look("demo own recovery codes")
	v.Submit("/demo/kept")
	v.change("Set up a passkey")
	v.look("demo own confirm by app")
	v.Open(v.window.base + "/demo/devices")
	v.look("demo devices")
	v.Submit("/demo/type-key", "key", "AAAA")
	wanted(t, "where the form leads", v.Run("location.pathname"), "/demo/devices")
	v.says("That is not the key of an authenticator app.")
	v.look("demo devices wrong key")
}
