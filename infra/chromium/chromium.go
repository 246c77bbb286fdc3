// Package chromium drives a page of a real browser in tests, over a pipe by the Chrome DevTools Protocol: one JSON message after another,
// each ended by a NUL. It needs nothing but the browser.
package chromium

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"testing"
	"time"
)

// A Page is a page in a browser that ends with the test.
type Page struct {
	T        testing.TB // the test
	Problems []string   // what the browser complained of: errors of scripts, refused resources
	Told     string     // what the page last told the function told, which a test gives it
	Loaded   int        // how often a page was loaded
	Download string     // how far the last download has come, in DevTools' words; it may be through before a call answers

	to   *os.File
	from *bufio.Reader
	pipe *os.File // that from reads
	page string   // id of the session with the page
	last int      // id of the last call
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

// Start opens an empty page, width by height CSS pixels. Without a Chromium the test is skipped, and fails with CI=true.
func Start(t testing.TB, width, height int) *Page {
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
	c := &Page{T: t, to: to, from: bufio.NewReader(from), pipe: from}
	t.Cleanup(func() {
		to.Close() // a browser whose pipe is closed ends
		ended := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		cmd.Wait()
		ended.Stop()
		from.Close()
		os.RemoveAll(profile)
	})
	c.Wait()
	var target struct{ TargetID string }
	c.Call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	c.Call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	c.page = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		c.Call(domain+".enable", nil, nil)
	}
	c.Resize(width, height)
	return c
}

// Wait lets the browser take its time from now on.
func (c *Page) Wait() { c.pipe.SetReadDeadline(time.Now().Add(patience)) }

// Call makes a call that has to succeed, and hears what the browser tells until it answers.
func (c *Page) Call(method string, params map[string]any, into any) {
	c.T.Helper()
	if refused := c.Try(method, params, into); refused != "" {
		c.T.Fatalf("%s: %s", method, refused)
	}
}

// Try makes a call, and returns the browser's words if it refuses the call.
func (c *Page) Try(method string, params map[string]any, into any) (refused string) {
	c.T.Helper()
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
		c.T.Fatal(err)
	}
	if _, err := c.to.Write(append(text, 0)); err != nil {
		c.T.Fatal(err)
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
				c.T.Fatal(err)
			}
		}
		return ""
	}
}

// Hear waits for the next message of the browser, and notes what it tells.
func (c *Page) Hear() {
	c.T.Helper()
	c.hear()
}

// hear waits for the next message of the browser, and notes what it tells.
func (c *Page) hear() message {
	c.T.Helper()
	text, err := c.from.ReadBytes(0)
	if err != nil {
		c.T.Fatal("the browser says no more:", err)
	}
	var m message
	if err := json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m); err != nil {
		c.T.Fatal(err)
	}
	switch m.Method {
	case "Page.loadEventFired":
		c.Loaded++
	case "Log.entryAdded", "Runtime.exceptionThrown":
		c.Problems = append(c.Problems, string(m.Params))
	case "Runtime.bindingCalled":
		var called struct{ Payload string }
		if err := json.Unmarshal(m.Params, &called); err != nil {
			c.T.Fatal(err)
		}
		c.Told = called.Payload
	case "Browser.downloadProgress":
		var progress struct{ State string }
		if err := json.Unmarshal(m.Params, &progress); err != nil {
			c.T.Fatal(err)
		}
		c.Download = progress.State
	}
	return m
}

// Loading does what makes the browser load a page, and waits for that page.
func (c *Page) Loading(do func()) {
	c.T.Helper()
	before := c.Loaded
	for do(); c.Loaded == before; {
		c.hear()
	}
}

// Resize changes the size of the page, in CSS pixels.
func (c *Page) Resize(width, height int) {
	c.T.Helper()
	c.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
}

// Colours makes the page light or dark, without motion.
func (c *Page) Colours(scheme string) {
	c.T.Helper()
	c.Call("Emulation.setEmulatedMedia", map[string]any{"features": []any{
		map[string]any{"name": "prefers-color-scheme", "value": scheme},
		map[string]any{"name": "prefers-reduced-motion", "value": "reduce"}, // or a screenshot shows colours on their way
	}}, nil)
}

// Open goes to an address, and waits for the page.
func (c *Page) Open(address string) {
	c.T.Helper()
	c.Loading(func() { c.Call("Page.navigate", map[string]any{"url": address}, nil) })
}

// Run evaluates an expression in the page, waiting for a promise, and gives its value as text.
func (c *Page) Run(expression string) string {
	c.T.Helper()
	var got struct {
		Result           struct{ Value any }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	c.Call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &got)
	if got.ExceptionDetails != nil {
		c.T.Fatalf("%s: %s", expression, got.ExceptionDetails.Exception.Description)
	}
	return fmt.Sprint(got.Result.Value)
}

// Submit fills in a form of the page and presses its button, if the browser finds the form filled in rightly.
func (c *Page) Submit(action string, fields ...string) {
	c.T.Helper()
	filled, err := json.Marshal(append([]string{}, fields...))
	if err != nil {
		c.T.Fatal(err)
	}
	c.Loading(func() {
		c.Run(fmt.Sprintf(`(() => {
			const form = document.querySelector('form[action="%s"]'), fields = %s;
			for (let i = 0; i < fields.length; i += 2) form.elements[fields[i]].value = fields[i + 1];
			if (!form.reportValidity()) throw new Error("the browser refuses the form");
			form.querySelector("button").click();
		})()`, action, filled))
	})
}

// Text is the text of the first element of a sort.
func (c *Page) Text(selector string) string {
	c.T.Helper()
	return c.Run(`document.querySelector(` + "`" + selector + "`" + `)?.textContent.trim()`)
}

// Screenshot is what is seen of the first element of a sort.
func (c *Page) Screenshot(selector string) image.Image {
	c.T.Helper()
	var clip map[string]any
	place := c.Run(`(() => {
		const { x, y, width, height } = document.querySelector("` + selector + `").getBoundingClientRect();
		return JSON.stringify({ x: x + scrollX, y: y + scrollY, width, height, scale: 1 });
	})()`)
	if err := json.Unmarshal([]byte(place), &clip); err != nil {
		c.T.Fatal(err)
	}
	var shot struct{ Data string }
	c.Call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true, "clip": clip}, &shot)
	raw, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		c.T.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		c.T.Fatal(err)
	}
	return picture
}
