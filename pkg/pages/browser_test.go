package pages_test

import (
	"fmt"
	"strings"
	"testing"

	"countersign/infra/chromium"
)

// A person is at a real browser.
type person struct {
	*chromium.Page
	desk *desk
	key  string // the id of the security key that the browser plays
}

func (d *desk) person() *person {
	d.t.Helper()
	if testing.Short() {
		d.t.Skip("every state takes minutes in a browser")
	}
	p := &person{Page: chromium.Start(d.t, 1280, 900), desk: d}
	p.Call("Emulation.setTimezoneOverride", map[string]any{"timezoneId": "Europe/Paris"}, nil)
	return p
}

// A witness looks at the states of the pages, and keeps what was found.
type witness struct {
	*person
	bare  *chromium.Page // a browser that runs no scripts and reaches nothing
	frame string         // of the bare browser
	eye   *chromium.Look

	language string
	part     string
	found    map[string]map[string]*findings // by state and language
}

// findings are what the checks of a state have found.
type findings struct{ scrolls, axe, whole, keyboard, focus, size string }

// witness opens the browsers.
func (d *desk) witness() *witness {
	d.t.Helper()
	w := &witness{person: d.person(), bare: chromium.Start(d.t, 1280, 900), eye: chromium.NewLook(d.t), found: map[string]map[string]*findings{}}
	w.Call("Network.enable", nil, nil)
	w.bare.Call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	w.bare.Call("Network.enable", nil, nil)
	w.bare.Call("Network.emulateNetworkConditions", map[string]any{"offline": true, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}, nil)
	w.frame, _ = frameOf(w.bare)
	return w
}

// frameOf returns the id of a page's frame, and that of the request which has loaded it.
func frameOf(p *chromium.Page) (frame, request string) {
	var tree struct {
		FrameTree struct{ Frame struct{ ID, LoaderID string } }
	}
	p.Call("Page.getFrameTree", nil, &tree)
	return tree.FrameTree.Frame.ID, tree.FrameTree.Frame.LoaderID
}

// most is how many bytes the HTML, the styles and the scripts of a page may have together, without its images.
const most = 30_000

// look checks a state of a page, and keeps what it finds. It leaves a picture for each of light and dark and 320, 768 and 1280 pixels.
func (w *witness) look(state string) {
	w.T.Helper()
	w.Wait()
	w.bare.Wait()
	name := w.part + ": " + state
	if w.found[name] == nil {
		w.found[name] = map[string]*findings{}
	}
	if w.found[name][w.language] != nil {
		w.T.Fatalf("%s was looked at already", name)
	}
	f := &findings{}
	w.found[name][w.language] = f
	at := w.language + " " + name
	said := func(check string, into *string, found string) {
		if *into = found; found != "" {
			w.T.Errorf("%s: %s: %s", at, check, found)
		}
	}
	said("the focus", &f.focus, w.Run(focusAfterProblem))
	source := w.source()
	said("whole in its first answer", &f.whole, w.wholeIn(source))
	f.size = w.size(at, source)
	for _, scheme := range []string{"light", "dark"} {
		w.Colours(scheme)
		for _, width := range []int{320, 768, 1280} {
			w.Resize(width, 900)
			if wide := w.Run("document.documentElement.scrollWidth"); wide != fmt.Sprint(width) {
				said("sideways scrolling", &f.scrolls, fmt.Sprintf("the page is %s pixels wide at %d pixels, %s", wide, width, scheme))
			}
			// Contrast depends on the scheme and layout on the width, so each of them is looked at once.
			if (scheme == "light") == (width == 320) && width != 768 {
				if found := w.eye.Findings(w.Page); found != "" {
					said("axe-core", &f.axe, found)
				}
			}
			w.eye.Picture(w.Page, fmt.Sprintf("%s-%s-%d.png", strings.NewReplacer(" ", "-", ":", "").Replace(at), scheme, width))
		}
	}
	said("keyboard", &f.keyboard, w.tabs())
	for _, problem := range w.Problems {
		// A page that says what was wrong has a status of 4xx or 503, and what is for information only is no complaint.
		// A field of a date shows nothing where something else was sent.
		if !strings.Contains(problem, "the server responded with a status of ") && !strings.Contains(problem, `"level":"info"`) && !strings.Contains(problem, "does not conform to the required format") {
			w.T.Errorf("%s: the browser complains: %s", at, problem)
		}
	}
	w.Problems = nil
}

// focusAfterProblem says what is wrong with the focus. After a problem it must be on what says the problem, or on a field that is
// described by it. The browser moves it when the page is painted. Only the first state of a page that was loaded is looked at.
const focusAfterProblem = `(async () => {
	if (window.looked) return "";
	window.looked = true;
	const said = document.querySelector("#said.bad");
	for (let i = 0; i < 20; i++) {
		const at = document.activeElement;
		if (!said || at === said || (at.getAttribute("aria-describedby") || "").split(" ").includes("said")) return "";
		await new Promise((painted) => setTimeout(painted, 20));
	}
	return "after a problem it is on " + document.activeElement.outerHTML.slice(0, 120);
})()`

// textOf is a function that gives all the text of a page but what a script writes: times, waits, and what a ceremony tells.
const textOf = `(() => {
	const all = document.body.cloneNode(true);
	all.querySelectorAll("script, noscript, time, [data-told], #keep, #kept-how, .wait").forEach((e) => e.remove());
	return all.textContent.replace(/\s+/g, " ").trim();
})()`

// source is the HTML of the page as the server has sent it.
func (w *witness) source() string {
	w.T.Helper()
	_, request := frameOf(w.Page)
	var got struct{ Body string }
	w.Call("Network.getResponseBody", map[string]any{"requestId": request}, &got)
	return got.Body
}

// wholeIn shows the HTML to a browser that runs no script and reaches nothing. It returns what is missing there.
func (w *witness) wholeIn(source string) string {
	w.T.Helper()
	w.bare.Call("Page.setDocumentContent", map[string]any{"frameId": w.frame, "html": source}, nil)
	if got, want := w.bare.Run(textOf), w.Run(textOf); got != want {
		return fmt.Sprintf("without scripts the text is\n%s\nand with them it is\n%s", got, want)
	}
	return w.bare.Run(`(() => {
		const wrong = [];
		if (!document.querySelector("h1")?.checkVisibility()) wrong.push("the heading is not seen");
		for (const form of document.forms) {
			if (form.classList.contains("ceremony")) {
				if (!document.querySelector("noscript")?.innerText) wrong.push("nothing says that keys need a script");
			} else if (![...form.elements].some((e) => e.matches("button:not([type=button]):not([disabled])")) && !form.querySelector("p.hint")) wrong.push("a form has no button");
		}
		for (const image of document.images) if (!image.src.startsWith("data:") || !image.naturalWidth) wrong.push("an image needs a request");
		return wrong.join("; ");
	})()`)
}

// size is how many kilobytes the page has with its styles and scripts, without images.
func (w *witness) size(at, source string) string {
	w.T.Helper()
	for {
		before, image, found := strings.Cut(source, `src="data:`)
		if !found {
			break
		}
		_, after, _ := strings.Cut(image, `"`)
		source = before + after
	}
	others := w.Run(`(async () => {
		const files = [...[...document.querySelectorAll("link[rel=stylesheet]")].map((l) => l.href), ...[...document.scripts].map((s) => s.src)];
		if (document.querySelector(".ceremony")) files.push(...performance.getEntriesByType("resource").map((e) => e.name).filter((name) => name.includes("keys")));
		return (await Promise.all(files.map(async (f) => (await (await fetch(f)).arrayBuffer()).byteLength))).reduce((a, b) => a + b, 0);
	})()`)
	total := len(source)
	var more int
	fmt.Sscan(others, &more)
	if total += more; total > most {
		w.T.Errorf("%s: the page has %d bytes", at, total)
	}
	return fmt.Sprintf("%.1f kB", float64(total)/1000)
}

// tabs presses the Tab key until it has been everywhere. It returns what the key doesn't reach, and where the focus isn't seen.
func (w *witness) tabs() string {
	w.T.Helper()
	stops := w.Run(`(async () => {
		await new Promise((painted) => requestAnimationFrame(() => requestAnimationFrame(painted))); // then the page has its first focus
		const groups = new Set();
		window.stops = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")].filter((e) => {
			if (e.disabled || e.type === "hidden" || !e.checkVisibility({ contentVisibilityAuto: true, visibilityProperty: true })) return false;
			if (e.type !== "radio") return true;
			const group = e.form.elements[e.name];
			return group.value ? e.checked : !groups.has(e.name) && groups.add(e.name);
		});
		window.reached = new Map();
		const note = () => {
			const at = document.activeElement, seen = getComputedStyle(at);
			reached.set(at, reached.get(at) || seen.outlineStyle !== "none" && parseFloat(seen.outlineWidth) >= 2);
		};
		document.addEventListener("focusin", note);
		document.addEventListener("keyup", note);
		return stops.length + 8 * document.querySelectorAll("input[type=datetime-local]").length + 3;
	})()`)
	var presses int
	fmt.Sscan(stops, &presses)
	for range presses {
		w.pressKey("Tab", "Tab", 9, 0)
	}
	const left = `stops.filter((e) => !reached.has(e))`
	for range presses { // the browser may have moved the focus by itself meanwhile
		if w.Run(left+`.length`) == "0" {
			break
		}
		w.pressKey("Tab", "Tab", 9, 0)
	}
	return w.Run(`(() => {
		const name = (e) => e.outerHTML.slice(0, 80);
		return [
			...` + left + `.map((e) => "Tab doesn't reach " + name(e)),
			...[...reached].filter(([e, seen]) => !seen && stops.includes(e)).map(([e]) => "the focus isn't seen on " + name(e)),
		].join("; ");
	})()`)
}

// pressKey presses a key. modifiers is 8 for Shift.
func (p *person) pressKey(key, code string, number, modifiers int) {
	p.T.Helper()
	down := map[string]any{"type": "keyDown", "key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers}
	switch {
	case key == "Enter":
		down["text"] = "\r"
	case len(key) == 1:
		down["text"] = key
	}
	p.Call("Input.dispatchKeyEvent", down, nil)
	down["type"] = "keyUp"
	delete(down, "text")
	p.Call("Input.dispatchKeyEvent", down, nil)
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
			for (let i = 0; i < fields.length; i += 2) {
				const field = button.form.elements[fields[i]];
				if (field.type === "checkbox") field.checked = true; else field.value = fields[i + 1];
			}
			button.form.noValidate = true;
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
