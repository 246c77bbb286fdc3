package demo_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// chromium is a page in a real browser, driven over a pipe by the Chrome DevTools Protocol: one JSON message after
// another, each ended by a NUL.
type chromium struct {
	t        *testing.T
	to       *os.File
	from     *bufio.Reader
	pipe     *os.File // that from reads
	page     string   // id of the session with the page
	last     int      // id of the last call
	loaded   int      // times that the page was
	problems []string
	told     string // what the page last told the function told, which a test gives it
	download string // how far the last download has come, in DevTools' words; it may be through before a call answers
}

// message is a call's answer, or an event.
type message struct {
	ID     int
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct{ Message string }
}

// patience is how long a browser may take for a whole test, or for each combination of a table.
const patience = 3 * time.Minute

// startChromium opens an empty page, width by height CSS pixels.
func startChromium(t *testing.T, width, height int) *chromium {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	switch {
	case path == "" && os.Getenv("CI") == "true":
		t.Fatal("there is no Chromium")
	case path == "":
		t.Skip("there is no Chromium; install it (Debian: apt-get install chromium) to look at the pages as a browser shows them")
	}
	theirs, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, theirsToo, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	profile, err := os.MkdirTemp("", "countersign-chromium")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars", "--remote-debugging-pipe",
		"--user-data-dir="+profile, "about:blank")
	cmd.ExtraFiles = []*os.File{theirs, theirsToo}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	theirsToo.Close()
	c := &chromium{t: t, to: to, from: bufio.NewReader(from), pipe: from}
	t.Cleanup(func() {
		to.Close() // a browser whose pipe is closed ends
		ended := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		cmd.Wait()
		ended.Stop()
		from.Close()
		os.RemoveAll(profile)
	})
	c.wait()
	var target struct{ TargetID string }
	c.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	c.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	c.page = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		c.call(domain+".enable", nil, nil)
	}
	c.resize(width, height)
	return c
}

// wait lets the browser take its time from now on.
func (c *chromium) wait() { c.pipe.SetReadDeadline(time.Now().Add(patience)) }

// call makes a call that has to succeed, and hears what the browser tells until it answers.
func (c *chromium) call(method string, params map[string]any, into any) {
	c.t.Helper()
	if refused := c.try(method, params, into); refused != "" {
		c.t.Fatalf("%s: %s", method, refused)
	}
}

// try makes a call, and returns the browser's words if it refuses the call.
func (c *chromium) try(method string, params map[string]any, into any) (refused string) {
	c.t.Helper()
	c.last++
	call := map[string]any{"id": c.last, "method": method, "params": params}
	if params == nil {
		call["params"] = map[string]any{}
	}
	if c.page != "" {
		call["sessionId"] = c.page
	}
	text, err := json.Marshal(call)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.to.Write(append(text, 0)); err != nil {
		c.t.Fatal(err)
	}
	for id := c.last; ; {
		m := c.hear()
		if m.ID != id {
			continue
		}
		if m.Error != nil {
			return m.Error.Message
		}
		if into != nil {
			if err := json.Unmarshal(m.Result, into); err != nil {
				c.t.Fatal(err)
			}
		}
		return ""
	}
}

func (c *chromium) hear() message {
	c.t.Helper()
	text, err := c.from.ReadBytes(0)
	if err != nil {
		c.t.Fatal("the browser says no more:", err)
	}
	var m message
	if err := json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m); err != nil {
		c.t.Fatal(err)
	}
	switch m.Method {
	case "Page.loadEventFired":
		c.loaded++
	case "Log.entryAdded", "Runtime.exceptionThrown":
		c.problems = append(c.problems, string(m.Params))
	case "Runtime.bindingCalled":
		var called struct{ Payload string }
		if err := json.Unmarshal(m.Params, &called); err != nil {
			c.t.Fatal(err)
		}
		c.told = called.Payload
	case "Browser.downloadProgress":
		var progress struct{ State string }
		if err := json.Unmarshal(m.Params, &progress); err != nil {
			c.t.Fatal(err)
		}
		c.download = progress.State
	}
	return m
}

// loading does what makes the browser load a page, and waits for that page.
func (c *chromium) loading(do func()) {
	c.t.Helper()
	before := c.loaded
	for do(); c.loaded == before; {
		c.hear()
	}
}

func (c *chromium) resize(width, height int) {
	c.t.Helper()
	c.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
}

func (c *chromium) colours(scheme string) {
	c.t.Helper()
	c.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{
		map[string]any{"name": "prefers-color-scheme", "value": scheme},
		map[string]any{"name": "prefers-reduced-motion", "value": "reduce"}, // or a screenshot shows colours on their way
	}}, nil)
}

func (c *chromium) open(address string) {
	c.t.Helper()
	c.loading(func() { c.call("Page.navigate", map[string]any{"url": address}, nil) })
}

// run evaluates an expression in the page, waiting for a promise, and gives its value as text.
func (c *chromium) run(expression string) string {
	c.t.Helper()
	var got struct {
		Result           struct{ Value any }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	c.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &got)
	if got.ExceptionDetails != nil {
		c.t.Fatalf("%s: %s", expression, got.ExceptionDetails.Exception.Description)
	}
	return fmt.Sprint(got.Result.Value)
}

// submit fills in a form of the page and presses its button, if the browser finds the form filled in rightly.
func (c *chromium) submit(action string, fields ...string) {
	c.t.Helper()
	filled, err := json.Marshal(append([]string{}, fields...))
	if err != nil {
		c.t.Fatal(err)
	}
	c.loading(func() {
		c.run(fmt.Sprintf(`(() => {
			const form = document.querySelector('form[action="%s"]'), fields = %s;
			for (let i = 0; i < fields.length; i += 2) form.elements[fields[i]].value = fields[i + 1];
			if (!form.reportValidity()) throw new Error("the browser refuses the form");
			form.querySelector("button").click();
		})()`, action, filled))
	})
}

func (c *chromium) text(selector string) string {
	c.t.Helper()
	return c.run(`document.querySelector(` + "`" + selector + "`" + `)?.textContent.trim()`)
}

// screenshot is what is seen of the first element of a sort.
func (c *chromium) screenshot(selector string) image.Image {
	c.t.Helper()
	var clip map[string]any
	place := c.run(`(() => {
		const { x, y, width, height } = document.querySelector("` + selector + `").getBoundingClientRect();
		return JSON.stringify({ x: x + scrollX, y: y + scrollY, width, height, scale: 1 });
	})()`)
	if err := json.Unmarshal([]byte(place), &clip); err != nil {
		c.t.Fatal(err)
	}
	var shot struct{ Data string }
	c.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true, "clip": clip}, &shot)
	raw, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		c.t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		c.t.Fatal(err)
	}
	return picture
}

// toSetUp signs ana in and goes on to the QR code.
func (c *chromium) toSetUp(base string) {
	c.t.Helper()
	c.open(base)
	c.submit("/demo/sign-in")
	c.submit("/demo/code", "code", c.text(".mails .digits"))
	c.submit(`/demo/change`)
	c.submit("/demo/code", "code", c.text(".mails .digits"))
}

func TestAPhonesCameraCanReadTheQRCodeOnTheScreen(t *testing.T) {
	b := open(t)
	c := startChromium(t, 1280, 900)
	c.toSetUp(b.base)
	for _, screen := range []struct {
		width  int
		scheme string
	}{{1280, "light"}, {1280, "dark"}, {360, "light"}, {360, "dark"}} {
		c.resize(screen.width, 900)
		c.colours(screen.scheme)
		bitmap, err := gozxing.NewBinaryBitmapFromImage(c.screenshot(".qr"))
		if err != nil {
			t.Fatal(err)
		}
		read, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
		if err != nil {
			t.Errorf("%d px, %s: %v", screen.width, screen.scheme, err)
			continue
		}
		uri, err := url.Parse(read.GetText())
		if err != nil {
			t.Fatal(err)
		}
		wanted(t, "kind", uri.Scheme+"://"+uri.Host, "otpauth://totp")
		wanted(t, "label", uri.Path, "/Countersign:ana@demo.example")
		wanted(t, "issuer", uri.Query().Get("issuer"), "Countersign")
		wanted(t, "secret", uri.Query().Get("secret"), strings.ReplaceAll(c.text(".key code"), " ", ""))
	}
}

func TestTheScriptKeepsThePhoneRunningAndThePagesFitASmallScreen(t *testing.T) {
	b := open(t)
	c := startChromium(t, 360, 740)
	fits := func(page string) {
		t.Helper()
		wanted(t, page+": title", c.run("document.title"), page+" · Demo desk")
		wanted(t, page+": width", c.run("document.documentElement.scrollWidth"), "360")
		wanted(t, page+": fields without a label, buttons without words", c.run(`[...document.querySelectorAll("input:not([type=hidden]), button")]
			.filter((e) => !(e.labels?.length || e.textContent.trim())).length`), "0")
	}
	c.open(b.base)
	fits("Sign in")
	c.toSetUp(b.base)
	fits("Set up your app")
	c.submit("/demo/scan")
	wanted(t, "the page after its code has changed by itself", c.run(`new Promise((changed) => {
		const code = document.querySelector(".app-code"), was = code.textContent;
		const advance = () => fetch("/local/clock", {method: "POST", headers: {"Content-Type": "application/json"}, body: '{"advance_s":30}'});
		new MutationObserver(() => code.textContent === was ? null : changed("the same")).observe(code, {childList: true, characterData: true, subtree: true});
		advance();
	})`), "the same")
	c.submit("/demo/finish", "code", c.text(".app-code"))
	fits("Your recovery codes")
	c.submit("/demo/kept")
	fits("Signed in")
	c.submit("/demo/sign-out")
	c.submit("/demo/sign-in")
	fits("Enter your code")
	if len(c.problems) > 0 {
		t.Errorf("the browser complains: %q", c.problems)
	}
}
