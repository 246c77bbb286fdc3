package emulator_test

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"countersign/infra/chromium"
	"countersign/infra/emulator/emulator"
)

// TestTheBuiltPagesSignAUserInInABrowser follows the link of a sign-in to the function pages, types the emailed code, and comes back to
// the application. The function has no rights on the table: all that it shows and does comes from the API, to which it sends the bearer
// of the browser's cookie.
func TestTheBuiltPagesSignAUserInInABrowser(t *testing.T) {
	w := open(t, emulator.Options{Processes: 3})
	w.policy(t)
	began := w.call("POST", "/v1/challenges", doc{
		"org": "acme", "user": doc{"id": "ana", "email": "ana@acme.example", "locale": "fr"}, "return_url": w.Issuer() + "/health",
	}).want(t, 201, `"sent":{`)
	p := chromium.Start(t, 1280, 900)
	id, link := began.text("challenge", "id"), began.text("challenge", "url")
	p.Loading(func() { p.Loading(func() { p.Call("Page.navigate", map[string]any{"url": link}, nil) }) }) // its script sends the form
	if at := p.Run("location.href"); strings.Contains(at, "csh_") || !strings.HasPrefix(at, w.Issuer()+"/pages/") {
		t.Errorf("the browser is at %s, want a page without the handle", at)
	}
	if language, tick := p.Run("document.documentElement.lang"), p.Run(`document.querySelector("input[name=trust]")?.type`); language != "fr" || tick != "checkbox" {
		t.Errorf("the page is in %q, and trust is a %q, want French and a checkbox", language, tick)
	}
	code := w.code(t, "ana")
	press := func(code string) {
		p.Loading(func() {
			p.Run(`(() => { const b = document.querySelector("button[name=do][value=code]"); b.form.elements.code.value = "` + code + `"; b.click() })()`)
		})
	}
	press(wrong(code))
	if said := p.Run("document.body.innerText"); !strings.Contains(said, "4 essais") {
		t.Errorf("the page doesn't say that four tries are left: %s", said)
	}
	press(code)
	if at, want := p.Run("location.href"), w.Issuer()+"/health?challenge="+id; at != want {
		t.Errorf("the browser is at %s, want %s", at, want)
	}
	if got := w.call("GET", "/v1/challenges/"+id, nil).want(t, 200, `"state":"verified"`); got.text("outcome", "token") == "" {
		t.Errorf("the outcome has no token: %s", got.raw)
	}
	for _, problem := range p.Problems {
		if !strings.Contains(problem, "the server responded with a status of 4") && !strings.Contains(problem, `"level":"info"`) {
			t.Errorf("the browser complains: %s", problem)
		}
	}
}

// TestAPageCostsItsOwnInvocationAndTheCallsOfTheAPIThatItMakes says of each request of a browser which functions run for it.
func TestAPageCostsItsOwnInvocationAndTheCallsOfTheAPIThatItMakes(t *testing.T) {
	w := open(t, emulator.Options{})
	w.policy(t)
	began := w.call("POST", "/v1/challenges", doc{"org": "acme", "user": doc{"id": "ana", "email": "ana@acme.example"}}).want(t, 201, `"sent":{`)
	w.call("GET", "/local/events", nil).want(t, 200, "") // all that was committed is published
	browser := newBrowser(t, w)
	link := strings.TrimPrefix(began.text("challenge", "url"), w.Issuer())
	var page string
	for _, request := range []struct {
		what string
		make func() int
		runs map[string]int
	}{
		{"the page of a link", func() int { return browser.get(link) }, map[string]int{"pages": 1}},
		{"the form of a link", func() int { return browser.post(link, "do", browser.found(`name="do" value="(\w+)"`)) }, map[string]int{"pages": 1, "admin": 1}},
		{"the page of a challenge", func() int { page = browser.at; return browser.get(page) }, map[string]int{"pages": 1, "challenge": 1}},
		{"a wrong code", func() int { return browser.post(page, "do", "code", "code", wrong(w.code(t, "ana"))) }, map[string]int{"pages": 1, "verify": 1, "challenge": 1}},
		{"the styles", func() int { return browser.get(browser.found(`href="(/pages/static/[^"]+\.css)"`)) }, map[string]int{"pages": 1}},
	} {
		before := map[string]int{}
		for _, step := range w.Steps() {
			before[step] = w.Invoked(step)
		}
		status := request.make()
		got := map[string]int{}
		for _, step := range w.Steps() {
			if n := w.Invoked(step) - before[step]; n > 0 {
				got[step] = n
			}
		}
		delete(got, "publish") // a wrong code is an event, which it publishes at some time
		if status >= 500 || !maps.Equal(got, request.runs) {
			t.Errorf("%s: status %d, and the functions ran %v, want %v", request.what, status, got, request.runs)
		}
	}
}

// A browser asks for pages as a browser without scripts does.
type browser struct {
	t       *testing.T
	base    string
	client  *http.Client
	cookies map[string]string
	at      string // the path to which the last answer led
	html    string // the last page
}

func newBrowser(t *testing.T, w *world) *browser {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{t: t, base: w.Issuer(), client: &http.Client{CheckRedirect: stay}, cookies: map[string]string{}}
}

func (b *browser) get(path string) int { return b.ask("GET", path, nil) }

// post sends the form of the last page, with the fields that it has hidden and those that are given as names and values.
func (b *browser) post(path string, fields ...string) int {
	form := url.Values{}
	for _, hidden := range regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`).FindAllStringSubmatch(b.html, -1) {
		form.Set(hidden[1], hidden[2])
	}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.ask("POST", path, form)
}

func (b *browser) ask(method, path string, form url.Values) int {
	b.t.Helper()
	r, err := http.NewRequest(method, b.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", b.base)
	}
	answer, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	html, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range answer.Cookies() {
		b.cookies[c.Name] = c.Value
	}
	b.html, b.at = string(html), strings.TrimPrefix(answer.Header.Get("Location"), b.base)
	return answer.StatusCode
}

// found is what a pattern finds in the last page.
func (b *browser) found(pattern string) string {
	b.t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(b.html)
	if found == nil {
		b.t.Fatalf("the page has no %s:\n%s", pattern, b.html)
	}
	return found[1]
}
