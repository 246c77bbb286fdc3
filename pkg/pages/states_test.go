package pages_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// states are all the states of all pages, by the part of the pages that they belong to. Each is looked at in a browser in every language.
var states = map[string][]string{
	"links":    linkStates,
	"sign-in":  signInStates,
	"set-up":   setUpStates,
	"settings": settingsStates,
	"console":  consoleStates,
}

// allStates are the names of all states, as the table has them.
func allStates() (all []string) {
	for _, part := range slices.Sorted(maps.Keys(states)) {
		for _, state := range states[part] {
			all = append(all, part+": "+state)
		}
	}
	return all
}

func TestEveryStateOfEveryPageInEveryLanguage(t *testing.T) {
	d := open(t, kls)
	w := d.witness()
	shows := map[string]func(*witness){"links": showLinks, "sign-in": showSignIn, "set-up": showSetUp, "settings": showSettings, "console": showConsole}
	shown := 0
	for _, part := range slices.Sorted(maps.Keys(shows)) {
		for _, language := range []string{"en", "fr"} {
			t.Run(part+" "+language, func(t *testing.T) {
				outer := w.T
				w.T, w.bare.T, w.part, w.language = t, t, part, language
				defer func() { w.T, w.bare.T = outer, outer }()
				w.Call("Network.clearBrowserCookies", nil, nil)
				w.speaks()
				shows[part](w)
				shown++
			})
		}
	}
	if shown < 2*len(shows) {
		t.Log("The table is not compared: not all parts were asked for, or one of them has failed.")
		return
	}
	for _, state := range allStates() {
		for _, language := range []string{"en", "fr"} {
			if w.found[state][language] == nil {
				t.Errorf("%s was not looked at in %s", state, language)
			}
		}
	}
	for state := range w.found {
		if !slices.Contains(allStates(), state) {
			t.Errorf("%s is not in the table of states", state)
		}
	}
	if os.Getenv("COUNTERSIGN_STATES") == "" || t.Failed() {
		return
	}
	if !w.eye.HasAxe() {
		t.Fatal("the table needs axe-core, which COUNTERSIGN_AXE names")
	}
	if err := os.WriteFile(statesDocument, []byte(w.document()), 0o644); err != nil {
		t.Error(err)
	}
}

// statesDocument has the table of states and checks. The test above writes it if COUNTERSIGN_STATES is set and all checks have passed.
const statesDocument = "RESULTS.md"

// document is the table of what the checks have found.
func (w *witness) document() string {
	var out strings.Builder
	out.WriteString(`# The states of the hosted pages

Each state of each page in a real browser, and what the checks of ` + "`TestEveryStateOfEveryPageInEveryLanguage`" + ` have found:

- **languages**: it was shown in English and in French.
- **widths**: nothing scrolls sideways at 320, 768 and 1280 pixels, light and dark.
- **axe**: axe-core finds nothing, in a narrow and a wide page, light and dark.
- **whole**: a browser that runs no script and reaches nothing shows the same text from the first answer, with a button in every form.
- **keys**: the Tab key reaches everything that can be used, the focus is seen there, and after a problem the focus is at what says it.
- **size**: HTML, styles and scripts together, without images. The limit is 30 kB.

` + "`COUNTERSIGN_STATES=1 go test ./pkg/pages -run TestEveryState`" + ` writes this page, with ` + "`COUNTERSIGN_AXE`" + ` as in ` + "`infra/test`" + `.

| state | languages | widths | axe | whole | keys | size |
|---|---|---|---|---|---|---|
`)
	for _, state := range allStates() {
		in := w.found[state]
		good := func(of func(*findings) string) string {
			for _, f := range in {
				if of(f) != "" {
					return "no"
				}
			}
			return "yes"
		}
		sizes := []string{}
		for _, f := range in {
			sizes = append(sizes, fmt.Sprintf("%8s", f.size))
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %s | %s |\n", state, strings.Join(slices.Sorted(maps.Keys(in)), ", "),
			good(func(f *findings) string { return f.scrolls }), good(func(f *findings) string { return f.axe }), good(func(f *findings) string { return f.whole }),
			good(func(f *findings) string { return f.keyboard + f.focus }), strings.TrimSpace(slices.Max(sizes)))
	}
	return out.String()
}

func TestTheDocumentOfStatesHasEveryStateAndNoOther(t *testing.T) {
	text, err := os.ReadFile(statesDocument)
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, row := range regexp.MustCompile(`(?m)^\| ([a-z-]+: [^|]+) \| en, fr \| yes \| yes \| yes \| yes \| [0-9.]+ kB \|$`).FindAllStringSubmatch(string(text), -1) {
		listed = append(listed, row[1])
	}
	if !slices.Equal(listed, allStates()) {
		for _, state := range allStates() {
			if !slices.Contains(listed, state) {
				t.Errorf("%s doesn't say that all checks hold for %s", statesDocument, state)
			}
		}
		for _, state := range listed {
			if !slices.Contains(allStates(), state) {
				t.Errorf("%s has %s, which is no state", statesDocument, state)
			}
		}
	}
}

// A page that is whole without scripts and styles is one that every reader gets.
func TestEveryPageIsWholeInItsFirstAnswer(t *testing.T) {
	d := open(t, kls)
	v := d.visitor()
	v.arrive(d.start("ana", ""))
	if !strings.HasSuffix(strings.TrimSpace(v.page), "</html>") || len(v.page) > 12_000 {
		t.Errorf("got %d bytes", len(v.page))
	}
	v.says("Sign in", "You have until")
}

// opens starts a server with a policy, which the browser then looks at.
func (w *witness) opens(policy string) *desk {
	w.T.Helper()
	w.desk = open(w.T.(*testing.T), policy)
	return w.desk
}

// begins begins a sign-in of a user in the language of the state. more are fields of the call's body, as JSON.
func (w *witness) begins(user, more string) map[string]any {
	w.T.Helper()
	return w.desk.api("POST", "/v1/challenges", `{"org":"`+org+`","user":{"id":"`+user+`","email":"`+user+`@acme.example","locale":"`+w.language+`"},"return_url":"`+w.desk.base+`/app"`+more+`}`, nil)
}

// fails makes the next calls of a target fail; none do with 0.
func (d *desk) fails(target string, count int) {
	d.t.Helper()
	d.api("POST", "/local/faults", fmt.Sprintf(`{"target":%q,"mode":"fail","count":%d}`, target, count), nil)
}

// reload loads the page again.
func (p *person) reload() {
	p.T.Helper()
	p.Open(p.Run("location.href"))
}
