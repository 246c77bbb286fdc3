package pages_test

import (
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/infra/chromium"
)

// A person is at a real browser.
type person struct {
	*chromium.Page
	desk  *desk
	axe   string // the script of axe-core; empty if it isn't there
	shots string // the folder that pictures go to; empty if nobody wants them
	key   string // the id of the security key that the browser plays
}

// COUNTERSIGN_AXE names the script of axe-core, and COUNTERSIGN_PICTURES a folder for a picture of every state.
func (d *desk) person() *person {
	d.t.Helper()
	if testing.Short() {
		d.t.Skip("every state takes minutes in a browser")
	}
	p := &person{Page: chromium.Start(d.t, 1280, 900), desk: d, shots: os.Getenv("COUNTERSIGN_PICTURES")}
	if path := os.Getenv("COUNTERSIGN_AXE"); path != "" {
		script, err := os.ReadFile(path)
		if err != nil {
			d.t.Fatal(err)
		}
		p.axe = string(script)
	} else if os.Getenv("CI") == "true" {
		d.t.Fatal("COUNTERSIGN_AXE doesn't say where axe-core is")
	}
	p.Call("Emulation.setTimezoneOverride", map[string]any{"timezoneId": "Europe/Paris"}, nil)
	return p
}

// most is how many bytes the HTML, the styles and the scripts of a page may have together.
const most = 30_000

// look checks a state of a page, in light and dark, at 320, 768 and 1280 pixels: axe-core finds nothing, nothing is wider than the page,
// and nothing was refused. It leaves a picture of each.
func (p *person) look(state string) {
	p.T.Helper()
	p.Wait()
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int{320, 768, 1280} {
			p.Resize(width, 900)
			p.Colours(scheme)
			at := fmt.Sprintf("%s, %s, %d", state, scheme, width)
			if wide := p.Run("document.documentElement.scrollWidth"); wide != fmt.Sprint(width) {
				p.T.Errorf("%s: the page is %s pixels wide", at, wide)
			}
			if p.axe != "" {
				p.Run(`window.axe ? 0 : (` + "0," + p.inject() + `)`)
				if found := p.Run(`axe.run().then((all) => all.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.target + " " + n.failureSummary).join("; ")).join("\n"))`); found != "" {
					p.T.Errorf("%s: axe-core finds %s", at, found)
				}
			}
			if p.shots != "" {
				p.picture(fmt.Sprintf("%s-%s-%d.png", strings.ReplaceAll(state, " ", "-"), scheme, width))
			}
		}
	}
	if size := p.Run(`(async () => {
		const parts = [location.href, ...[...document.querySelectorAll("link[rel=stylesheet]")].map((l) => l.href), ...[...document.scripts].map((s) => s.src)];
		const files = [document.documentElement.outerHTML.length, ...await Promise.all(parts.slice(1).filter(Boolean).map(async (f) => (await (await fetch(f)).text()).length))];
		const total = files.reduce((a, b) => a + b, 0);
		return total > ` + fmt.Sprint(most) + ` && !document.querySelector(".qr") ? total : "";
	})()`); size != "" {
		p.T.Errorf("%s: the page has %s bytes", state, size)
	}
	for _, problem := range p.Problems {
		// A page that says what was wrong has a status of 4xx, and what is for information only is no complaint.
		if !strings.Contains(problem, "the server responded with a status of 4") && !strings.Contains(problem, `"level":"info"`) {
			p.T.Errorf("%s: the browser complains: %s", state, problem)
		}
	}
	p.Problems = nil
	p.Resize(1280, 900)
}

// inject is an expression that makes axe-core known in the page. The page's own policy lets no script in, so DevTools does it.
func (p *person) inject() string {
	p.Call("Runtime.evaluate", map[string]any{"expression": p.axe}, nil)
	return "0"
}

func (p *person) picture(name string) {
	p.T.Helper()
	if err := os.MkdirAll(p.shots, 0o755); err != nil {
		p.T.Fatal(err)
	}
	file, err := os.Create(filepath.Join(p.shots, name))
	if err != nil {
		p.T.Fatal(err)
	}
	defer file.Close()
	if err := png.Encode(file, p.Screenshot("html")); err != nil {
		p.T.Fatal(err)
	}
}

// arrive opens the link of what began. The page's script sends its form.
func (p *person) arrive(began map[string]any) (id string) {
	p.T.Helper()
	link, id := p.desk.link(began)
	p.Loading(func() { p.Loading(func() { p.Call("Page.navigate", map[string]any{"url": p.desk.base + link}, nil) }) })
	return id
}

// press does what a button of the page does, after filling its form in. fields are ids and values.
func (p *person) press(do string, fields ...string) {
	p.T.Helper()
	p.Loading(func() {
		p.Run(fmt.Sprintf(`(() => {
			const button = document.querySelector('button[name=do][value="%s"]'), fields = %s;
			for (let i = 0; i < fields.length; i += 2) button.form.elements[fields[i]].value = fields[i + 1];
			button.click();
		})()`, do, quoted(fields)))
	})
}

func quoted(fields []string) string {
	var out strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&out, "%q,", f)
	}
	return "[" + out.String() + "]"
}

func (p *person) says(texts ...string) {
	p.T.Helper()
	shown := p.Run("document.body.innerText")
	for _, text := range texts {
		if !strings.Contains(shown, text) {
			p.T.Errorf("the page doesn't say %q:\n%s", text, shown)
		}
	}
}

func TestTheChallengePageInEveryStateAndBothLanguages(t *testing.T) {
	for _, language := range []string{"en", "fr"} {
		d := open(t, kls)
		p := d.person()
		who := func(user string) map[string]any {
			return d.api("POST", "/v1/challenges", `{"org":"`+org+`","user":{"id":"`+user+`","email":"`+user+`@acme.example","locale":"`+language+`"},"return_url":"`+d.base+`/app"}`, nil)
		}
		p.arrive(who("ana"))
		p.look(language + " code")
		if got := p.Run(`document.activeElement.id`); got != "code" {
			t.Errorf("the focus is on %q, want the field of the code", got)
		}
		p.press("code", "code", wrong(d.code("ana@acme.example")))
		p.says(map[string]string{"en": "You have 4 tries left", "fr": "Il vous reste 4 essais"}[language])
		p.look(language + " wrong code")
		p.Run(`document.querySelector("details").open = true`)
		p.look(language + " not arrived")
		d.later(time.Minute)
		p.Open(p.Run("location.href"))
		p.press("send")
		p.look(language + " sent again")
		d.later(15 * time.Minute)
		p.press("code", "code", "123456")
		p.look(language + " over")
	}
}
