package demo_test

import (
	"encoding/base64"
	"errors"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// in opens the demo and signs ana in with an emailed code.
func in(t *testing.T) *browser {
	t.Helper()
	b := open(t)
	b.signIn("ana")
	b.submit("/demo/code", "code", b.code())
	b.want("Hello, ana")
	return b
}

// ask begins a change of the account, and confirms it with an emailed code.
func (b *browser) ask(what string) {
	b.t.Helper()
	b.submit("/demo/change", "what", what)
	b.want("Confirm it’s you", "confirm that you are ana")
	b.submit("/demo/code", "code", b.code())
}

// setUp has an app set up by the phone, and gives the recovery codes that come of it.
func (b *browser) setUp() []string {
	b.t.Helper()
	b.ask("app")
	b.want("Set up your app")
	b.submit("/demo/scan")
	b.submit("/demo/finish", "code", b.appCode())
	codes := b.recoveryCodes()
	b.submit("/demo/kept")
	return codes
}

var (
	appDigits     = regexp.MustCompile(`app-code">(\d{6})<`)
	recoveryCodes = regexp.MustCompile(`<li><code>([0-9A-Z-]{29})</code></li>`)
	picture       = regexp.MustCompile(`<img class="qr" src="data:image/svg\+xml;base64,([^"]+)"`)
	typedKey      = regexp.MustCompile(`<code>([A-Z2-7 ]{39})</code>`)
)

// appCode is what the phone beside the page shows first.
func (b *browser) appCode() string {
	b.t.Helper()
	return b.shown("code of an app", appDigits)
}

func (b *browser) recoveryCodes() (codes []string) {
	b.t.Helper()
	for _, found := range recoveryCodes.FindAllStringSubmatch(b.page, -1) {
		codes = append(codes, found[1])
	}
	if len(codes) != 10 {
		b.t.Fatalf("got %d recovery codes, want 10:\n%s", len(codes), b.said())
	}
	return codes
}

// key is what the QR code's page shows to be typed.
func (b *browser) key() string {
	b.t.Helper()
	return b.shown("key", typedKey)
}

// later moves the clock by the page's own button.
func (b *browser) later(by string) { b.t.Helper(); b.submit("/demo/clock", "by", by) }

// again signs ana in once more, as far as the second factor.
func (b *browser) again() {
	b.t.Helper()
	b.submit("/demo/sign-out")
	b.signIn("ana")
}

// way turns the second factor to another factor, or to a recovery code, by the words on its button.
func (b *browser) way(words string) {
	b.t.Helper()
	found := regexp.MustCompile(`name="way" value="([^"]*)">` + regexp.QuoteMeta(words)).FindStringSubmatch(b.page)
	if found == nil {
		b.t.Fatalf("the page offers no %q:\n%s", words, b.said())
	}
	b.submit("/demo/way", "way", html.UnescapeString(found[1]))
}

func wanted(t testing.TB, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestANewcomerSetsUpAnAppWithThePhoneBesideThePage(t *testing.T) {
	b := in(t)
	b.want("Your account", "Emailed code ana@demo.example", "you don’t have to set this up", "You have no recovery codes yet. You get them when you set up your first factor")
	b.submit("/demo/change", "what", "app", "label", "Ana’s phone")
	b.want("Confirm it’s you", "Before you set up an authenticator app", "We sent code A to a***@demo.example")
	if strings.Contains(b.said(), "Trust this browser") || strings.Contains(b.said(), "recovery code") {
		t.Error("a confirmation offers trust or a recovery code")
	}
	b.submit("/demo/code", "code", wrong(b.code()))
	b.want("That code is not right. You have 4 attempts left.", "Confirm it’s you")
	b.submit("/demo/code", "code", b.code())
	b.want("Set up your app", "If you can’t scan it, type this key")

	key, svg := b.key(), picture.FindStringSubmatch(html.UnescapeString(b.page))
	if svg == nil {
		t.Fatal("the page has no QR code")
	}
	drawn, err := base64.StdEncoding.DecodeString(svg[1])
	if err != nil || !strings.HasPrefix(string(drawn), "<svg ") {
		t.Errorf("got a picture of %d bytes and %v, want an SVG", len(drawn), err)
	}
	b.get()
	wanted(t, "the key after a reload", b.key(), key)

	if strings.Contains(b.page, "app-code") {
		t.Error("the phone shows a code before it has scanned")
	}
	twice := b.form("/demo/scan")
	b.submit("/demo/scan")
	b.want("The phone has scanned the code")
	b.send(twice)
	wanted(t, "entries in the phone", strings.Count(b.page, "app-code"), 1)
	wanted(t, "the key after the scan", b.key(), key)
	if strings.Contains(b.page, `action="/demo/scan"`) || !strings.Contains(b.page, "<strong>Countersign</strong> <span>ana@demo.example</span>") {
		t.Error("the phone doesn't show what it has scanned")
	}
	b.submit("/demo/finish", "code", wrong(b.appCode()))
	b.want("That code is not right.", "4 attempts left")
	b.submit("/demo/finish", "code", "12345")
	b.want("exactly six digits")
	b.submit("/demo/finish", "code", b.appCode())
	b.want("“Ana’s phone” is set up", "Your recovery codes", "They are shown only now")
	codes := b.recoveryCodes()
	b.get()
	wanted(t, "the first code after a reload", b.recoveryCodes()[0], codes[0])
	b.submit("/demo/kept")
	b.want("Hello, ana", "Ana’s phone Authenticator app · last used", "You have 10 recovery codes left")
	if b.get(); strings.Contains(b.page, codes[0]) {
		t.Error("a recovery code is shown again")
	}
	for _, secret := range append(codes, strings.ReplaceAll(key, " ", "")) {
		if strings.Contains(b.local("GET", "/local/events", ""), secret) {
			t.Error("an event holds a secret")
		}
	}
}

func TestASignInAsksForTheAppsCode(t *testing.T) {
	b := in(t)
	b.setUp()
	used := b.appCode()
	b.again()
	b.want("Enter your code", "Open the authenticator app “Authenticator app”", "for ana@demo.example", "Trust this browser for 30 days",
		"Use an emailed code instead", "Use a recovery code")
	b.submit("/demo/code", "code", used)
	b.want("That code is not right. You have 4 attempts left. If you have used it already, wait for the app’s next one.")
	b.later("seconds")
	b.want("30 seconds have passed", "Enter your code")
	b.submit("/demo/code", "code", b.appCode(), "trust", "yes")
	b.want("Hello, ana", "Answered with authenticator app", "trusted until", `"acr": "aal2"`)
	b.again()
	b.want("Hello, ana", "Reason trusted_browser")
	b.later("days")
	b.signIn("ana")
	b.want("the 30 days for which you trusted this browser are over", "Open the authenticator app")
	b.submit("/demo/code", "code", b.appCode())
	b.want("Hello, ana")
}

func TestAnEmailedCodeStandsInForTheApp(t *testing.T) {
	b := in(t)
	b.setUp()
	b.again()
	b.way("Use an emailed code instead")
	b.want("We sent code A to a***@demo.example", "Use the code of “Authenticator app” instead", "Use a recovery code")
	emailed := b.code()
	b.way("Use the code of “Authenticator app” instead")
	b.want("Open the authenticator app")
	b.way("Use an emailed code instead")
	b.want("We sent code A")
	b.submit("/demo/send")
	b.want("A new code can be sent in")
	b.submit("/demo/code", "code", emailed)
	b.want("Hello, ana", "Answered with emailed code", `"acr": "aal1"`)
	b.again()
	b.way("Use an emailed code instead")
	b.way("Use the code of “Authenticator app” instead")
	b.later("seconds")
	b.submit("/demo/code", "code", b.appCode())
	b.want("Hello, ana", "Answered with authenticator app")
}

func TestARecoveryCodeLetsInOnce(t *testing.T) {
	b := in(t)
	codes := b.setUp()
	recover := func(code string) {
		t.Helper()
		b.again()
		b.way("Use a recovery code")
		b.want("It works once")
		b.submit("/demo/recover", "code", code)
	}
	recover("12345")
	b.want("24 letters and digits, in six groups of four", "not counted")
	b.submit("/demo/recover", "code", strings.Repeat("0", 24))
	b.want("That recovery code is not right, or it was used before. You have 4 attempts left.")
	b.way("Use the code of “Authenticator app” instead")
	b.way("Use a recovery code")
	b.submit("/demo/recover", "code", strings.ToLower(strings.ReplaceAll(codes[0], "-", " ")))
	b.want("Hello, ana", "Answered with recovery code", "You have 9 recovery codes left")
	recover(codes[0])
	b.want("or it was used before. You have 3 attempts left")
	for _, code := range codes[1:8] {
		recover(code)
	}
	b.want("You have only 2 recovery codes left")
	recover(codes[8])
	recover(codes[9])
	b.want("You have no recovery codes left")
	b.again()
	if strings.Contains(b.said(), "Use a recovery code") {
		t.Error("a recovery code is offered to who has none")
	}
	b.later("seconds")
	b.submit("/demo/code", "code", b.appCode())
	b.submit("/demo/change", "what", "codes")
	b.later("seconds")
	b.submit("/demo/code", "code", b.appCode())
	b.want("All earlier ones no longer work")
	b.recoveryCodes()
}

func TestTooManyWrongCodesLeaveRecoveryCodes(t *testing.T) {
	b := in(t)
	codes := b.setUp()
	b.submit("/demo/sign-out")
	for range 2 {
		b.signIn("ana")
		for range 5 {
			b.submit("/demo/code", "code", wrong(b.appCode()))
		}
		b.want("the last attempt. Start again with your password")
	}
	b.signIn("ana")
	b.want("There were too many wrong codes, so only a recovery code is accepted for now", "Use a recovery code")
	b.submit("/demo/recover", "code", codes[0])
	b.want("Hello, ana", "You have 9 recovery codes left")
}

func TestTooManyWrongRecoveryCodesLeaveTheApp(t *testing.T) {
	b := in(t)
	codes := b.setUp()
	b.again()
	b.way("Use a recovery code")
	for range 5 {
		b.submit("/demo/recover", "code", strings.Repeat("0", 24))
	}
	b.want("no more recovery codes are accepted for now", "Open the authenticator app")
	b.later("seconds")
	b.submit("/demo/code", "code", b.appCode())
	b.want("Hello, ana")
	b.later("minutes")
	b.again()
	b.way("Use a recovery code")
	b.submit("/demo/recover", "code", codes[0])
	b.want("Hello, ana")
}

func TestALockInTheMiddleOfASignInTurnsToRecoveryCodes(t *testing.T) {
	b := in(t)
	codes := b.setUp()
	b.clear() // browsers that ana was never let in in share a budget of wrong codes
	b.get()
	b.signIn("ana")
	other := b.other()
	for range 2 {
		other.signIn("ana")
		for range 5 {
			other.submit("/demo/code", "code", wrong(other.appCode()))
		}
	}
	b.submit("/demo/code", "code", b.appCode())
	b.want("There were too many wrong codes. Wait 15 minutes, then try again. You can also use a recovery code.")
	b.submit("/demo/recover", "code", codes[0])
	b.want("Hello, ana")
}

func TestAnAppIsRemoved(t *testing.T) {
	b := in(t)
	b.setUp()
	b.later("minutes")
	b.submit("/demo/change", "what", "remove")
	b.submit("/demo/password", "password", "x")
	b.want("Confirm it’s you", "Before “Authenticator app” is removed")
	for _, weaker := range []string{"Use an emailed code instead", "Use a recovery code"} {
		if strings.Contains(b.said(), weaker) {
			t.Errorf("to confirm something the page offers %q", weaker)
		}
	}
	b.submit("/demo/code", "code", b.appCode())
	b.want("“Authenticator app” was removed", "You have no recovery codes yet. You get them when you set up your first factor")
	if strings.Contains(b.said(), "Authenticator app ·") {
		t.Error("the app is still listed")
	}
	b.again()
	b.want("We sent code")
	b.submit("/demo/forget", "app", regexp.MustCompile(`name="app" value="([^"]*)"`).FindStringSubmatch(b.page)[1])
	b.want("The entry was deleted from the phone")
	if strings.Contains(b.page, "app-code") {
		t.Error("the phone still has the entry")
	}
}

func TestWhoHasBeenInForAWhileGivesThePasswordAgain(t *testing.T) {
	b := in(t)
	b.later("minutes")
	b.submit("/demo/change", "what", "app")
	b.want("Confirm it’s you", "has not checked the password of ana in the last 10 minutes")
	b.submit("/demo/password", "password", "")
	b.want("Type a password")
	b.submit("/demo/cancel")
	b.want("Nothing was changed", "Hello, ana")
	b.submit("/demo/change", "what", "app")
	b.submit("/demo/password", "password", "x")
	b.want("We sent code")
	b.submit("/demo/code", "code", b.code())
	b.want("Set up your app")
	b.submit("/demo/cancel")
	b.want("Nothing was changed", "You have no recovery codes yet")

	b.submit("/demo/sign-out")
	b.submit("/demo/sign-in", "user", "bob", "how", "sso")
	b.submit("/demo/change", "what", "app")
	b.want("has not checked the password of bob")
}

func TestASetUpEndsAfterTenMinutesAndAfterFiveWrongCodes(t *testing.T) {
	b := in(t)
	b.ask("app")
	b.submit("/demo/scan")
	b.later("minutes")
	b.want("The time to set up the app is over", "Hello, ana")
	b.submit("/demo/change", "what", "app")
	b.submit("/demo/password", "password", "x")
	b.later("minutes")
	b.want("The time to confirm the change is over. Nothing was changed.", "Hello, ana")
	b.submit("/demo/change", "what", "app")
	b.submit("/demo/password", "password", "x")
	b.submit("/demo/code", "code", b.code())
	b.submit("/demo/scan")
	for range 5 {
		b.submit("/demo/finish", "code", wrong(b.appCode()))
	}
	b.want("it was the last attempt. Begin again", "Hello, ana")
}

// other is another browser at the same demo.
func (b *browser) other() *browser {
	other := &browser{t: b.t, base: b.base}
	other.clear()
	other.get()
	return other
}

// tab is another tab of the same browser, on the page that is shown now.
func (b *browser) tab() *browser {
	tab := &browser{t: b.t, base: b.base, http: &http.Client{Jar: b.http.Jar}}
	tab.get()
	return tab
}

func TestAnotherTabMakesAPageOutOfDateAndNothingIsDoneByIt(t *testing.T) {
	b := in(t)
	b.ask("app")
	second := b.tab()
	wanted(t, "the key in the second tab", second.key(), b.key())
	second.submit("/demo/cancel")
	second.submit("/demo/change", "what", "app") // it has just been confirmed
	b.submit("/demo/finish", "code", "123456")
	b.want("That page was out of date, so nothing was done", "Set up your app")
	wanted(t, "the key of the first tab", b.key(), second.key())
	b.submit("/demo/scan")
	b.submit("/demo/finish", "code", b.appCode())
	b.recoveryCodes()
	second.submit("/demo/finish", "code", "123456")
	second.want("out of date", "Your recovery codes")
	second.submit("/demo/kept")
	b.submit("/demo/kept")
	b.want("out of date", "Hello, ana")

	b.again()
	second.get()
	second.way("Use an emailed code instead")
	b.submit("/demo/code", "code", second.code())
	b.want("Hello, ana")
	second.submit("/demo/code", "code", second.code())
	second.want("out of date", "Hello, ana")
}

func TestWhatTwoBrowsersDoAtOnceIsTold(t *testing.T) {
	b := in(t)
	b.ask("app")
	other := b.other()
	other.signIn("ana")
	other.later("seconds")
	other.submit("/demo/code", "code", other.code())
	other.ask("app")
	b.submit("/demo/scan")
	b.submit("/demo/finish", "code", b.appCode())
	b.want("you have begun again in another place", "Hello, ana")
	other.submit("/demo/scan")
	other.submit("/demo/finish", "code", other.appCode())
	other.submit("/demo/kept")
	b.later("seconds")
	b.submit("/demo/change", "what", "codes") // what the emailed code confirmed is no longer enough
	b.submit("/demo/code", "code", b.appCode())
	b.submit("/demo/kept")
	remove, again := b.form("/demo/change", "what", "remove"), b.form("/demo/change", "what", "remove")
	b.send(remove)
	b.want("“Authenticator app” was removed")
	b.send(again)
	b.want("“Authenticator app” was removed already")
}

func TestAButtonPressedTwiceLosesNoRecoveryCodes(t *testing.T) {
	b := in(t)
	b.ask("app")
	b.submit("/demo/scan")
	b.local("POST", "/local/faults", `{"target":"store","mode":"slow","count":2}`)
	sent := make(chan error)
	for range 2 {
		form := b.form("/demo/finish", "code", b.appCode())
		go func() {
			a, err := (&http.Client{Jar: b.http.Jar}).Do(form)
			if err == nil {
				err = a.Body.Close()
			}
			sent <- err
		}()
	}
	if err := errors.Join(<-sent, <-sent); err != nil {
		t.Fatal(err)
	}
	b.get()
	b.recoveryCodes()
}

func TestThePhoneGoesByTheServersClock(t *testing.T) {
	b := in(t)
	b.ask("app")
	b.submit("/demo/scan")
	before := b.appCode()
	b.later("seconds")
	if b.appCode() == before {
		b.later("seconds") // two codes in a row may be the same, hardly ever three
	}
	if b.appCode() == before {
		t.Error("the code stays the same when time passes")
	}
	code := b.appCode()
	b.part("/demo/phone")
	wanted(t, "code", b.appCode(), code)
}

func TestAFactorsIdCantLeadElsewhere(t *testing.T) {
	b := in(t)
	b.setUp()
	b.other().signIn("bob")
	for _, factor := range []string{"../../bob", "fa_x/../../../bob", "?", "", "fa_none"} {
		step := regexp.MustCompile(`name="step" value="([^"]*)"`).FindStringSubmatch(b.page)[1]
		form := b.request("POST", "/demo/change", url.Values{"step": {step}, "what": {"remove"}, "factor": {factor}})
		b.send(form)
		b.want("Hello, ana", "Authenticator app ·")
	}
}
