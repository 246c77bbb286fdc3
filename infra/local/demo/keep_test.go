package demo_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// toCodes signs ana in and goes on to new recovery codes.
func (c *page) toCodes(base string) (codes []string) {
	c.T.Helper()
	c.toSetUp(base)
	c.Submit("/demo/scan")
	c.Submit("/demo/finish", "code", c.Text(".app-code"))
	shown := c.Run(`[...document.querySelectorAll(".recovery-codes code")].map((code) => code.textContent).join("\n")`)
	if codes = strings.Split(shown, "\n"); len(codes) != 10 {
		c.T.Fatalf("got the codes %q, want ten", codes)
	}
	return codes
}

// press presses one of the buttons that keep the codes, and waits until the page has told what came of it.
func (c *page) press(way string) string {
	c.T.Helper()
	return c.Run(`new Promise((told) => {
		const said = document.getElementById("kept-how");
		new MutationObserver(() => told(said.textContent)).observe(said, { childList: true });
		document.querySelector('[data-way="` + way + `"]').click();
	})`)
}

func (c *page) noProblems() {
	c.T.Helper()
	if len(c.Problems) > 0 {
		c.T.Errorf("the browser complains: %q", c.Problems)
	}
}

func TestRecoveryCodesCanBeCopied(t *testing.T) {
	b := open(t)
	c := startChromium(t, 1280, 900)
	c.Call("Browser.grantPermissions", map[string]any{"permissions": []string{"clipboardReadWrite", "clipboardSanitizedWrite"}}, nil)
	c.Call("Emulation.setFocusEmulationEnabled", map[string]any{"enabled": true}, nil)
	codes := c.toCodes(b.base)
	wanted(t, "what is told", c.press("copy"), "The codes are copied. Paste them where only you can read them.")
	wanted(t, "what is copied", c.Run("navigator.clipboard.readText()"), strings.Join(codes, "\n"))

	c.Run(`navigator.clipboard.writeText = () => Promise.reject(new Error("no"))`)
	wanted(t, "what is told if the browser refuses", c.press("copy"), "The browser doesn’t let this page copy. Save or print the codes instead.")
	c.noProblems()
}

func TestRecoveryCodesCanBeDownloadedAsTheyAreShown(t *testing.T) {
	b := open(t)
	c := startChromium(t, 1280, 900)
	folder := t.TempDir()
	c.Call("Browser.setDownloadBehavior", map[string]any{"behavior": "allow", "downloadPath": folder, "eventsEnabled": true}, nil)
	codes := c.toCodes(b.base)
	c.press("save")
	for c.Download != "completed" {
		if c.Download == "canceled" {
			t.Fatal("the browser has not saved the file")
		}
		c.Hear()
	}
	text, err := os.ReadFile(filepath.Join(folder, "demo-desk-recovery-codes.txt"))
	if err != nil {
		t.Fatal(err)
	}
	wanted(t, "the file", string(text), "Demo desk: your recovery codes\n\n"+strings.Join(codes, "\n")+"\n")
	c.noProblems()
}

func TestOnPaperThereAreTheRecoveryCodesOnly(t *testing.T) {
	b := open(t)
	c := startChromium(t, 1280, 900)
	codes := c.toCodes(b.base)
	c.Run(`window.print = () => { window.printed = true }`)
	c.Run(`document.querySelector('[data-way="print"]').click()`)
	wanted(t, "the page was printed", c.Run("window.printed"), "true")
	for _, scheme := range []string{"light", "dark"} {
		c.Call("Emulation.setEmulatedMedia", map[string]any{"media": "print", "features": []any{
			map[string]any{"name": "prefers-color-scheme", "value": scheme},
		}}, nil)
		printed := strings.Join(strings.Fields(c.Run("document.body.innerText")), " ")
		wanted(t, scheme+": what is printed", printed, "Demo desk Your recovery codes "+strings.Join(codes, " "))
		wanted(t, scheme+": colour of a code on paper", c.Run(`getComputedStyle(document.querySelector(".recovery-codes code")).color`), "rgb(0, 0, 0)")
		wanted(t, scheme+": colour of the paper", c.Run(`getComputedStyle(document.querySelector(".recovery-codes")).backgroundColor`), "rgb(255, 255, 255)")
	}
	c.noProblems()
}

func TestWithoutScriptsThereAreNoButtonsThatDoNothing(t *testing.T) {
	b := in(t)
	b.ask("app")
	b.submit("/demo/scan")
	b.submit("/demo/finish", "code", b.appCode())
	b.recoveryCodes()
	if !regexp.MustCompile(`<div class="keep"[^>]* hidden>`).MatchString(b.page) {
		t.Error("the buttons that need a script are shown before it has run")
	}
}

var moments = regexp.MustCompile(`<time datetime="([^"]*)"( data-day)?>([^<]*)</time>`)

// toldInUTC checks that every time on the page says that it is UTC and is in an element that says which moment it is.
func (b *browser) toldInUTC(atLeast int) {
	b.t.Helper()
	found := moments.FindAllStringSubmatch(b.page, -1)
	if len(found) < atLeast {
		b.t.Errorf("got %d times, want at least %d:\n%s", len(found), atLeast, b.page)
	}
	for _, m := range found {
		at, err := time.Parse("2006-01-02T15:04:05Z", m[1])
		if err != nil {
			b.t.Error(err)
		}
		if !strings.HasSuffix(m[3], at.Format("15:04")+" UTC") {
			b.t.Errorf("%s is told as %q, want UTC", m[1], m[3])
		}
	}
	if rest := tags.ReplaceAllString(moments.ReplaceAllString(b.page, ""), " "); regexp.MustCompile(`UTC|\d\d:\d\d`).MatchString(rest) {
		b.t.Errorf("a time is in no <time>:\n%s", rest)
	}
}

func TestWithoutScriptsTimesAreToldInUTC(t *testing.T) {
	b := open(t)
	b.toldInUTC(1) // the server's clock
	b.signIn("ana")
	b.toldInUTC(3) // and until when, and the mail
	b.submit("/demo/code", "code", b.code(), "trust", "yes")
	b.toldInUTC(3)
	b.setUp()
	b.toldInUTC(5) // trust, the app's last use, in the mailbox, in the phone
	b.later("minutes")
	b.toldInUTC(5)
}

func TestTimesAreTheReadersInThePagesLanguage(t *testing.T) {
	b := open(t)
	c := startChromium(t, 1280, 900)
	c.Call("Emulation.setTimezoneOverride", map[string]any{"timezoneId": "Asia/Kolkata"}, nil)
	reader := time.FixedZone("", 5*60*60+30*60)
	// From 20:00 UTC to 20:15 UTC it is the next day for the reader.
	evening := b.now().UTC().Truncate(24 * time.Hour).Add(24*time.Hour + 20*time.Hour)
	advance, err := json.Marshal(map[string]any{"advance_s": int(evening.Sub(b.now()) / time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	b.local("POST", "/local/clock", string(advance))
	told := func(selector, layout string) {
		t.Helper()
		// Both at once: the clock goes on.
		moment, text, _ := strings.Cut(c.Run("(({ dateTime, textContent }) => `${dateTime} ${textContent}`)(document.querySelector('"+selector+"'))"), " ")
		at, err := time.Parse(time.RFC3339, moment)
		if err != nil {
			t.Fatal(err)
		}
		wanted(t, selector, strings.Replace(text, " Sept ", " Sep ", 1), at.In(reader).Format(layout)) // British for Go's Sep
	}
	c.Open(b.base + "/?way=own")
	told(".clock time", "2 Jan 2006, 15:04")
	c.Submit("/demo/sign-in")
	told(".until time", "15:04")
	told(".mails time", "15:04")

	// A message that arrives while the page is open is told so, too.
	c.Run(`new Promise((arrived) => {
		new MutationObserver(() => document.querySelectorAll(".mails li").length === 2 && arrived()).observe(document.getElementById("mailbox"), { childList: true });
		const post = (path, type, body) => fetch(path, { method: "POST", headers: { "Content-Type": type }, body });
		post("/local/clock", "application/json", '{"advance_s":30}').then(() =>
			post("/demo/send", "application/x-www-form-urlencoded", new URLSearchParams({ step: document.querySelector('[name="step"]').value }).toString()));
	})`)
	c.Run("new Promise((drawn) => requestAnimationFrame(drawn))")
	told(".mails time", "15:04")
	told(".clock time", "2 Jan 2006, 15:04")
	c.Run(`document.querySelector('[name="trust"]').checked = true`)
	c.Submit("/demo/code", "code", c.Text(".mails .digits"))
	told(".facts time", "2 Jan 2006, 15:04")
	c.noProblems()
}
