package demo_test

import (
	"encoding/json"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/infra/local/server"
)

// A browser is one without scripts, at the demo of a server of its own.
type browser struct {
	t    *testing.T
	base string
	http *http.Client
	set  []*http.Cookie // all cookies that were set
	page string         // the one it is on
}

func open(t *testing.T) *browser {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Open(server.Options{Dir: t.TempDir(), Port: listener.Addr().(*net.TCPAddr).Port})
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: s}
	go web.Serve(listener)
	t.Cleanup(func() {
		web.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &browser{t: t, base: "http://" + listener.Addr().String()}
	b.clear()
	b.get()
	return b
}

// clear makes it a browser that was never here.
func (b *browser) clear() {
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.http = &http.Client{Jar: jar}
	b.choose(ownWay)
}

const (
	ownWay    = "own"
	hostedWay = "hosted"
)

// choose chooses the way in which the demo asks for a second factor in this browser.
func (b *browser) choose(way string) {
	b.t.Helper()
	b.do(b.request("GET", "/?way="+way, nil))
}

// RoundTrip implements http.RoundTripper: it notes the cookies that are set, also on the way.
func (b *browser) RoundTrip(r *http.Request) (*http.Response, error) {
	a, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		b.set = append(b.set, a.Cookies()...)
	}
	return a, err
}

func (b *browser) do(r *http.Request) *http.Response {
	b.t.Helper()
	b.http.Transport = b
	a, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.page = string(text)
	return a
}

func (b *browser) request(method, path string, fields url.Values) *http.Request {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, strings.NewReader(fields.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Origin", b.base)
	}
	return r
}

func (b *browser) get() *http.Response { b.t.Helper(); return b.do(b.request("GET", "/", nil)) }

// submit fills in and sends a form that the page must have, and follows to the page that comes of it. What is hidden in
// the form goes along.
func (b *browser) submit(action string, fields ...string) {
	b.t.Helper()
	b.send(b.form(action, fields...))
}

// form is a form of the page, filled in and not sent yet. The first one it is that holds all that is to be filled in.
func (b *browser) form(action string, fields ...string) *http.Request {
	b.t.Helper()
	for _, found := range regexp.MustCompile(`(?s)<form method="post" action="`+action+`".*?</form>`).FindAllString(b.page, -1) {
		values, fits := url.Values{}, true
		for _, hidden := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(found, -1) {
			values.Set(hidden[1], html.UnescapeString(hidden[2]))
		}
		for i := 0; i < len(fields); i += 2 {
			fits = fits && strings.Contains(found, `name="`+fields[i]+`"`) && (!values.Has(fields[i]) || values.Get(fields[i]) == fields[i+1])
			values.Set(fields[i], fields[i+1])
		}
		if fits {
			return b.request("POST", action, values)
		}
	}
	b.t.Fatalf("the page has no form for %s with %q:\n%s", action, fields, b.said())
	return nil
}

func (b *browser) send(form *http.Request) {
	b.t.Helper()
	if a := b.do(form); a.StatusCode != 200 {
		b.t.Fatalf("%s: got status %d: %s", form.URL.Path, a.StatusCode, b.page)
	}
}

func (b *browser) signIn(user string) {
	b.t.Helper()
	b.submit("/demo/sign-in", "user", user, "password", "x", "how", "password")
}

var tags = regexp.MustCompile(`<[^>]*>`)

// said is the text of the page, but for the mailbox.
func (b *browser) said() string {
	main, _, _ := strings.Cut(b.page, "</main>")
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(main, " "))), " ")
}

func (b *browser) want(says ...string) {
	b.t.Helper()
	for _, s := range says {
		if !strings.Contains(b.said(), s) {
			b.t.Errorf("the page doesn't say %q:\n%s", s, b.said())
		}
	}
}

var digits = regexp.MustCompile(`class="digits">(\d{6})<`)

// code is the one that the mailbox beside the page shows first.
func (b *browser) code() string {
	b.t.Helper()
	return b.shown("code in the mailbox", digits)
}

// shown is what the page has at the first group of a pattern.
func (b *browser) shown(what string, pattern *regexp.Regexp) string {
	b.t.Helper()
	found := pattern.FindStringSubmatch(b.page)
	if found == nil {
		b.t.Fatalf("the page shows no %s:\n%s", what, b.page)
	}
	return found[1]
}

// part gets a part of the page, as the page's script does to refresh it.
func (b *browser) part(path string) {
	b.t.Helper()
	if b.do(b.request("GET", path, nil)); strings.Contains(b.page, "<html") {
		b.t.Errorf("%s: got %s, want only a part of the page", path, b.page)
	}
}

func wrong(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

// local makes one of the server's own calls.
func (b *browser) local(method, path, body string) string {
	b.t.Helper()
	return b.called(method, path, "", body)
}

// called makes a call with a bearer, which may be empty. The call has to succeed.
func (b *browser) called(method, path, bearer, body string) string {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode/100 != 2 {
		b.t.Fatalf("%s %s: status %d, %v: %s", method, path, a.StatusCode, err, text)
	}
	return string(text)
}

// now is the server's time.
func (b *browser) now() time.Time {
	b.t.Helper()
	var clock struct{ Now time.Time }
	if err := json.Unmarshal([]byte(b.local("GET", "/local/clock", "")), &clock); err != nil {
		b.t.Fatal(err)
	}
	return clock.Now
}

func TestANewcomerSignsInWithTheCodeThatTheMailboxShows(t *testing.T) {
	b := open(t)
	b.want("Demo desk", "Sign in", "Any password is accepted here")
	if !strings.Contains(b.page, `value="ana"`) {
		t.Error("no user name is filled in")
	}
	b.signIn("ana")
	b.want("We sent code A to a***@demo.example", "look in your spam folder", "We will never ask you for this code",
		"Trust this browser for 30 days", "this browser isn’t trusted yet", "Send a new code")
	for _, want := range []string{`inputmode="numeric"`, `autocomplete="one-time-code"`, `pattern="[\s\-]*([0-9][\s\-]*){6}"`, `<label for="code">`} {
		if !strings.Contains(b.page, want) {
			t.Errorf("the code's field lacks %s", want)
		}
	}
	b.submit("/demo/code", "code", b.code())
	b.want("Hello, ana", "Decision challenge", "Reason new_browser", "not trusted by this sign-in", `"verified": true`,
		`"sub": "ana"`, `"org": "demo"`, `"aud": "local"`, `"nonce": "`)
	b.submit("/demo/sign-out")
	b.want("You are signed out.")
	b.signIn("ana")
	b.want("Enter your code")
}

func TestAWrongCodeIsToldWithTheAttemptsLeft(t *testing.T) {
	b := open(t)
	b.signIn("ana")
	code := b.code()
	b.submit("/demo/code", "code", wrong(code))
	b.want("That code is not right. You have 4 attempts left.")
	if !strings.Contains(b.page, `role="alert"`) || !strings.Contains(b.page, `aria-invalid="true"`) {
		t.Error("the error isn't told to who can't see it")
	}
	b.get()
	if strings.Contains(b.said(), "not right") {
		t.Error("the error is told twice")
	}
	b.submit("/demo/code", "code", "12345")
	b.want("exactly six digits", "not counted")
	for _, left := range []string{"3 attempts left", "2 attempts left", "1 attempt left"} {
		b.submit("/demo/code", "code", wrong(code))
		b.want(left)
	}
	b.submit("/demo/code", "code", wrong(code))
	b.want("the last attempt", "User name")
}

func TestATrustedBrowserIsNotAskedUntilItsThirtyDaysAreOver(t *testing.T) {
	b := open(t)
	b.signIn("ana")
	b.submit("/demo/code", "code", b.code(), "trust", "yes")
	b.want("Hello, ana", "trusted until")
	for range 3 {
		b.submit("/demo/sign-out")
		b.signIn("ana")
		b.want("Hello, ana", "You weren’t asked, because you trust this browser", "Decision allow", "Reason trusted_browser", `"verified": false`)
	}
	b.submit("/demo/sign-out")
	b.signIn("bob")
	b.want("Enter your code") // trust is one user's
	b.submit("/demo/code", "code", b.code(), "trust", "yes")
	for _, user := range []string{"ana", "bob"} {
		b.submit("/demo/sign-out")
		b.signIn(user)
		b.want("Hello, "+user, "Reason trusted_browser")
	}

	b.submit("/demo/clock", "by", "days")
	b.want("30 days have passed", "Your session at Demo desk has ended")
	b.signIn("ana")
	b.want("Enter your code", "the 30 days for which you trusted this browser are over")
	b.submit("/demo/code", "code", b.code(), "trust", "yes")
	b.want("Reason trust_expired", "trusted until")
	b.clear()
	b.get()
	b.signIn("ana")
	b.want("Enter your code", "this browser isn’t trusted yet")
}

func TestTB6CookiesAreForTheServerAlone(t *testing.T) {
	b := open(t)
	b.signIn("ana")
	b.submit("/demo/code", "code", b.code(), "trust", "yes")
	b.submit("/demo/sign-out")
	b.signIn("ana")
	names := map[string]int{}
	for _, c := range b.set {
		name, _, _ := strings.Cut(c.Name, "_")
		names[c.Name]++
		site := http.SameSiteStrictMode
		if c.Name == "demo_session" { // the browser comes back with it from hosted pages of another site
			site = http.SameSiteLaxMode
		}
		if !c.HttpOnly || c.SameSite != site || c.Path != "/" || name != "demo" {
			t.Errorf("got %s, want HttpOnly and SameSite mode %v", c, site)
		}
	}
	trust, known := 0, 0
	for name, n := range names {
		switch {
		case strings.HasPrefix(name, "demo_trust_"):
			trust = n
		case strings.HasPrefix(name, "demo_known_"):
			known = n
		}
	}
	if delete(names, "demo_way"); len(names) != 3 || names["demo_session"] < 3 || trust != 2 || known != 1 {
		t.Errorf("got %v, want a session under new ids, a trust token that rotated once, and a known token", names)
	}
	for _, secret := range []string{"csk_", "cst_", "cbt_", "ckt_", "eyJ"} {
		if strings.Contains(b.page, secret) {
			t.Errorf("the page holds a %s…", secret)
		}
	}
}

func TestASecondCodeKillsTheFirst(t *testing.T) {
	b := open(t)
	b.signIn("ana")
	first := b.code()
	b.submit("/demo/send")
	b.want("A new code can be sent in", "code A")
	b.local("POST", "/local/clock", `{"advance_s":30}`)
	b.submit("/demo/send")
	b.want("A new code is on its way", "We sent code B")
	if second := b.code(); second != first {
		b.submit("/demo/code", "code", first)
		b.want("not right")
	}
	b.submit("/demo/code", "code", b.code())
	b.want("Hello, ana")
}

func TestASignInThatTookTooLongStartsAgain(t *testing.T) {
	b := open(t)
	b.signIn("ana")
	b.submit("/demo/clock", "by", "minutes")
	b.want("15 minutes have passed. The time for this sign-in is over.", "User name")
}

func TestTheCompanysSingleSignOnIsNotAsked(t *testing.T) {
	b := open(t)
	b.submit("/demo/sign-in", "user", "ana", "how", "sso")
	b.want("Hello, ana", "Reason sso")
}

func TestNobodyGetsInWhileCountersignFails(t *testing.T) {
	b := open(t)
	b.signIn("ana")
	code := b.code()
	b.local("POST", "/local/faults", `{"target":"store","mode":"fail","count":1000}`)
	b.submit("/demo/code", "code", code)
	b.want("Countersign can’t answer right now, so nobody can sign in")
	b.local("POST", "/local/faults", `{"target":"store","mode":"fail","count":0}`)
	b.submit("/demo/code", "code", code)
	b.want("Hello, ana")
	b.submit("/demo/sign-out")
	b.local("POST", "/local/faults", `{"target":"email","mode":"fail","count":1}`)
	b.signIn("bob")
	b.want("could not be sent", "Send the code")
	b.submit("/demo/send")
	b.want("We sent code B")
	b.submit("/demo/code", "code", b.code())
	b.want("Hello, bob")
}

func TestUserNamesAreCheckedBeforeCountersignIsAsked(t *testing.T) {
	b := open(t)
	for _, user := range []string{"", "a b", "<script>", "ana@x", strings.Repeat("a", 41)} {
		b.signIn(user)
		b.want("letters and digits")
	}
	b.submit("/demo/sign-in", "user", "ana", "password", "", "how", "password")
	b.want("Type a password")
	var got struct{ Messages []any }
	if err := json.Unmarshal([]byte(b.local("GET", "/local/outbox", "")), &got); err != nil || len(got.Messages) > 0 {
		t.Errorf("got %d messages and %v, want none", len(got.Messages), err)
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	b := open(t)
	for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
		for _, path := range []string{
			"/demo/sign-in", "/demo/sign-out", "/demo/clock", "/demo/forget", "/demo/type-key", "/demo/code", "/demo/recover", "/demo/way", "/demo/send",
			"/demo/change", "/demo/password", "/demo/cancel", "/demo/scan", "/demo/finish", "/demo/kept",
			"/demo/credential", "/demo/finish-key", "/demo/ceremony",
			"/demo/hosted/sign-in", "/demo/hosted/transfer", "/demo/hosted/settings", "/demo/hosted/console",
		} {
			r := b.request("POST", path, url.Values{"user": {"ana"}, "how": {"sso"}})
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set(header[0], header[1])
			if a := b.do(r); a.StatusCode != 403 {
				t.Errorf("%s with %s: got status %d, want 403", path, header, a.StatusCode)
			}
		}
	}
}

func TestThePageRunsNothingThatIsNotTheServers(t *testing.T) {
	b := open(t)
	a := b.get()
	policy := a.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q lacks %s", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") || regexp.MustCompile(`(?i)<script>|style=|\son[a-z]+=|https?://`).MatchString(b.page) {
		t.Error("the page has something inline or from elsewhere")
	}
	if got := a.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("got Cache-Control %q, want no-store", got)
	}
	for _, path := range []string{"style.css", "print.css", "demo.js", "times.js", "codes.js", "keys.js", "icon.svg"} {
		if a := b.do(b.request("GET", "/demo/static/"+path, nil)); a.StatusCode != 200 {
			t.Errorf("%s: got status %d, want 200", path, a.StatusCode)
		}
	}
}

func TestTheMailboxRefreshesByItself(t *testing.T) {
	b := open(t)
	if b.part("/demo/mailbox"); !strings.Contains(b.page, "There are no messages yet") {
		t.Errorf("got %s, want an empty mailbox", b.page)
	}
	b.get()
	b.signIn("ana")
	code := b.code()
	b.part("/demo/mailbox")
	wanted(t, "code", b.code(), code)
}
