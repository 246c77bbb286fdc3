package pages_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// stands waits until the page with one of these headings is there, and returns its heading.
func (p *person) stands(titles ...string) string {
	p.T.Helper()
	p.Wait()
	for range 600 {
		var got struct{ Result struct{ Value any } }
		refused := p.Try("Runtime.evaluate", map[string]any{
			"expression": `new Promise((then) => setTimeout(then, 50)).then(() => document.readyState === "complete" && !window.left && document.querySelector("h1")?.textContent)`, "awaitPromise": true, "returnByValue": true,
		}, &got)
		if shown, _ := got.Result.Value.(string); refused == "" && slices.Contains(titles, shown) { // a page that is left refuses the question
			return shown
		}
	}
	p.T.Fatalf("the page at %s is none of %q:\n%s", p.Run("location.pathname"), titles, p.Run("document.body.innerText"))
	return ""
}

// changes presses a button of the settings, answers a step-up with the app if one is asked for, and reaches the page with that heading.
func (p *person) changes(secret, title, do string, fields ...string) {
	p.T.Helper()
	p.clicks(do, fields...)
	const confirm = "Confirm that it’s you"
	if p.stands(confirm, title) == confirm {
		p.stepsUp(secret)
		p.reaches(title)
	}
}

// profile opens the settings of a user, and returns their address.
func (p *person) profile(user string) (home string) {
	p.T.Helper()
	p.opens(p.desk.base+"/app/settings?user="+user, "Security settings")
	return p.here()
}

// addsApp sets up an app as the first factor, up to the page with the recovery code, and returns the key.
func (p *person) addsApp(home string) (key string) {
	p.T.Helper()
	p.opens(home+"/add?kind=totp", "Authenticator app")
	p.clicks("begin", "label", "My phone")
	p.reaches("Authenticator app")
	key = p.Text("#key")
	p.clicks("finish", "code", appCode(p.desk.t, key, p.desk.now()))
	p.reaches("Keep your recovery codes")
	return key
}

// asksWith chooses another way to answer, by its kind.
func (p *person) asksWith(kind, title string) {
	p.T.Helper()
	p.Run(`(() => {
		const form = [...document.querySelectorAll(".ways form")].find((f) => f.elements.kind.value === "` + kind + `");
		window.left = true;
		setTimeout(() => form.querySelector("button").click());
	})()`)
	p.reaches(title)
}

// bins are the ways of the profile page, each with a plus if it has a bin, and a minus if it hasn't.
func (p *person) bins() string {
	p.T.Helper()
	return p.Run(`[...document.querySelectorAll(".owned > li")].filter((li) => li.querySelector("[value=rename]")).map((li) => li.querySelector("h3").innerText + (li.querySelector("[value=remove]") ? "+" : "-")).sort().join(", ")`)
}

var recoveryCodeOf = regexp.MustCompile(`[0-9A-Z]{4,}(-[0-9A-Z]{4,})+`)

func TestS1ToS9AProfilePageHasThreeWaysAndABinThatEmailLacks(t *testing.T) {
	d := open(t, salto)
	for _, user := range []string{"ana", "ben", "cleo"} {
		d.user(user, `{"email":"`+user+`@acme.example"}`)
	}
	p := d.person()
	ana, recovery := "", ""
	p.rule("S1 the user turns it on and off and turning it on needs a fresh password check", func() {
		home := p.profile("ben")
		p.says("It is off")
		key := p.addsApp(home)
		p.keepsCodes()
		p.leavesBackupOut()
		p.reaches("Security settings")
		p.says("It is on")
		p.changes(key, "Security settings", "off")
		p.says("Two-step sign-in is off.")
		p.password("ben", "en")
		p.reaches("Signed in")
		p.opens(home, "Security settings")
		d.later(11 * time.Minute)
		p.clicks("on")
		p.reaches("Give your password again")
		p.accessible("salto password first")
		p.profile("ben")
		p.clicks("on")
		p.reaches("Security settings")
		p.says("Two-step sign-in is on.")
	})
	p.rule("S2 there are an app by QR code or typed key and text messages and email and the user picks among several", func() {
		home := p.profile("ana")
		p.opens(home+"/add", "Add a way to sign in")
		p.says("Authenticator app", "Text message", "Email")
		p.opens(home+"/add?kind=totp", "Authenticator app")
		p.clicks("begin", "label", "My phone")
		p.reaches("Authenticator app")
		p.Run(`document.querySelector("details").open = true`)
		p.says("Scan this with your authenticator app", "Type this key into the app")
		p.accessible("salto QR code and key")
		ana = p.addsApp(home)
		p.keepsCodes()
		p.leavesBackupOut()
		p.reaches("Security settings")
		p.opens(home+"/add?kind=sms", "Text message")
		p.accessible("salto phone number")
		p.changes(ana, "Text message", "begin", "country", "FR", "phone", "06 12 34 56 78")
		p.clicks("finish", "code", d.code("+33612345678"))
		p.reaches("Security settings")
		p.password("ana", "en")
		p.reaches("Enter your code")
		p.says("My phone", "Code by text message")
		p.asksWith("sms", "Enter your code")
		p.says("We sent code A")
		p.accessible("salto code by text message")
		p.clicks("code", "code", d.code("+33612345678"))
		p.reaches("Signed in")
	})
	p.rule("S3 a number and the address count only after their six digits came back", func() {
		home := p.profile("ana")
		ways := func(want string) {
			t.Helper()
			p.opens(home, "Security settings")
			if got := p.bins(); got != want {
				t.Errorf("got the ways %s, want %s", got, want)
			}
		}
		p.opens(home+"/add?kind=sms", "Text message")
		p.changes(ana, "Text message", "begin", "country", "FR", "phone", "06 98 76 54 32")
		ways("My phone+, Text message+")
		p.opens(home+"/add?kind=sms", "Text message")
		d.later(time.Minute)
		p.changes(ana, "Text message", "begin", "country", "FR", "phone", "06 98 76 54 32")
		code := d.code("+33698765432")
		p.clicks("finish", "code", wrong(code))
		p.reaches("Text message")
		p.says("That code was not right")
		p.clicks("finish", "code", code)
		p.reaches("Security settings")
		ways("My phone+, Text message+, Text message+")

		p.opens(home+"/add?kind=email", "Email")
		p.changes(ana, "Email", "begin")
		p.says("a***@acme.example")
		code = d.code("ana@acme.example")
		p.clicks("finish", "code", wrong(code))
		p.reaches("Email")
		p.clicks("finish", "code", code)
		p.reaches("Security settings")
		ways("Email-, My phone+, Text message+, Text message+")
	})
	p.rule("S4 email is offered as a backup after the first factor and has no bin then", func() {
		key := p.addsApp(p.profile("cleo"))
		recovery = recoveryCodeOf.FindString(p.Text(".recovery-codes"))
		p.accessible("salto recovery code")
		p.keepsCodes()
		p.reaches("Add your email as a backup?")
		p.says("It is set up.", "c***@acme.example", "can’t be removed on its own", "Not now")
		p.accessible("salto offer of a backup")
		p.changes(key, "Email", "begin")
		p.accessible("salto code for the backup")
		p.clicks("finish", "code", d.code("cleo@acme.example"))
		p.reaches("Security settings")
		p.says("Email stays as a backup, so it can’t be removed on its own.")
		if got := p.bins(); got != "Email-, My phone+" {
			t.Errorf("got the ways %s", got)
		}
		p.accessible("salto profile")
		// A form that asks for it all the same is refused in words.
		p.Run(`(() => {
			const ways = [...document.querySelectorAll(".owned > li")], remove = document.querySelector("[value=remove]").form;
			remove.elements.factor.value = ways.find((li) => li.querySelector("h3").innerText === "Email").querySelector("[name=factor]").value;
		})()`)
		p.changes(key, "Security settings", "remove")
		p.says("Email stays as a backup")
		if got := p.bins(); got != "Email-, My phone+" {
			t.Errorf("got the ways %s after a forged form", got)
		}
	})
	p.rule("S5 one recovery code is shown once and never again", func() {
		if recovery == "" {
			t.Fatal("no recovery code was shown")
		}
		p.opens(p.profile("cleo"), "Security settings")
		p.says("1 code is left.")
		for _, page := range []string{"", "/add", "/backup", "/activity"} {
			p.Open(p.profile("cleo") + page)
			p.Wait()
			if strings.Contains(p.Run("document.documentElement.outerHTML"), recovery) {
				t.Errorf("the page %q shows the recovery code again", page)
			}
		}
	})
	p.rule("S6 sending again makes a new code and kills the old one", func() {
		p.password("ana", "en")
		p.reaches("Enter your code")
		p.asksWith("email", "Enter your code")
		early := d.code("ana@acme.example")
		d.later(time.Minute)
		p.Open(p.Run("location.href"))
		p.clicks("send")
		p.reaches("Enter your code")
		p.says("Earlier codes don’t work any more", "code B")
		late := d.code("ana@acme.example")
		if late != early { // by chance, one code in a million is equal
			p.clicks("code", "code", early)
			p.reaches("Enter your code")
			p.says("That code was not right")
		}
		p.clicks("code", "code", late)
		p.reaches("Signed in")
	})
	p.rule("S7 a recovery code signs in and resets and the next set-up gives another code", func() {
		p.password("cleo", "en")
		p.reaches("Enter your code")
		p.opens(p.here()+"?by=recovery", "Use a recovery code")
		p.accessible("salto recovery that resets")
		p.clicks("recover", "code", recovery)
		p.reaches("Signed in")
		if got := d.seen("cleo")["factors"].([]any); len(got) != 0 {
			t.Errorf("got the factors %v after the reset, want none", got)
		}
		p.password("cleo", "en")
		p.reaches("Signed in")
		p.says("not_required")
		p.addsApp(p.profile("cleo"))
		if again := recoveryCodeOf.FindString(p.Text(".recovery-codes")); again == "" || again == recovery {
			t.Errorf("got the recovery code %q after the reset, want another one", again)
		}
		p.keepsCodes()
		p.leavesBackupOut()
		p.reaches("Security settings")
	})
	p.rule("S8 a single factor is removed and it is turned off without losing them and on again", func() {
		p.profile("ana")
		p.changes(ana, "Security settings", "off")
		p.says("Two-step sign-in is off.")
		const all = "Email-, My phone+, Text message+, Text message+"
		if got := p.bins(); got != all {
			t.Errorf("got the ways %s after it was turned off, want %s", got, all)
		}
		p.password("ana", "en")
		p.reaches("Signed in")
		p.profile("ana")
		p.clicks("on")
		p.reaches("Security settings")
		if got := p.bins(); got != all {
			t.Errorf("got the ways %s after it was turned on, want %s", got, all)
		}
		p.Run(`[...document.querySelectorAll(".owned > li")].forEach((li) => li.querySelector("h3").innerText === "Text message" || li.querySelector("[value=remove]")?.form.remove())`) // of the others
		p.changes(ana, "Security settings", "remove")
		p.says("It is removed.")
		if got := p.bins(); got != "Email-, My phone+, Text message+" {
			t.Errorf("got the ways %s after one number was removed", got)
		}
	})
	p.rule("S9 while it is on it is asked at every sign-in", func() {
		for range 2 {
			p.password("ana", "en")
			p.reaches("Enter your code")
			if p.Run(`!!document.querySelector("[name=trust]")`) != "false" {
				t.Error("the page offers to trust the browser")
			}
			d.later(30 * time.Second)
			p.clicks("code", "code", appCode(d.t, ana, d.now()))
			p.reaches("Signed in")
		}
		p.password("ana", "en")
		p.reaches("Enter your code")
		p.accessible("salto sign-in")
	})
}
