package pages_test

import (
	"encoding/json"
	"html"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/infra/local/server"
)

// A desk is an application that uses the hosted pages, with a server of its own. It knows the server only by its public API.
type desk struct {
	t    *testing.T
	base string
	key  string
}

const org = "acme"

// open starts a server, and gives the org a policy.
func open(t *testing.T, policy string) *desk {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	s, err := server.Open(server.Options{Dir: t.TempDir(), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, base: s.Issuer(), key: s.APIKey().Reveal()}
	both := http.NewServeMux()
	both.Handle("/", s)
	both.Handle("/app", &application{d})
	both.Handle("/app/", &application{d})
	web := &http.Server{Handler: both}
	go web.Serve(listener)
	t.Cleanup(func() {
		web.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	d.policy(policy)
	return d
}

// policy replaces the policy of the org.
func (d *desk) policy(policy string) {
	d.t.Helper()
	version := d.api("GET", "/v1/orgs/"+org+"/policy", "", nil)["version"]
	tag, _ := json.Marshal(version)
	d.api("PUT", "/v1/orgs/"+org+"/policy", policy, http.Header{"If-Match": {`"` + string(tag) + `"`}})
}

// api makes a call that has to succeed, with the API key.
func (d *desk) api(method, path, body string, header http.Header) map[string]any {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.base+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if !strings.HasPrefix(path, "/local/") {
		r.Header.Set("Authorization", "Bearer "+d.key)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	if a.StatusCode >= 300 {
		d.t.Fatalf("%s %s: %d %s", method, path, a.StatusCode, text)
	}
	got := map[string]any{}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &got); err != nil {
			d.t.Fatal(err)
		}
	}
	return got
}

// later moves the server's clock.
func (d *desk) later(by time.Duration) {
	d.t.Helper()
	said, _ := json.Marshal(map[string]int{"advance_s": int(by / time.Second)})
	d.api("POST", "/local/clock", string(said), nil)
}

// start begins a sign-in of a user, and returns what began. more are fields of the call's body, as JSON.
func (d *desk) start(user, more string) map[string]any {
	d.t.Helper()
	return d.api("POST", "/v1/challenges", `{"org":"`+org+`","user":{"id":"`+user+`","email":"`+user+`@acme.example"},"return_url":"`+d.base+`/app?from=sign-in"`+more+`}`, nil)
}

// link returns the path of the hosted page of what began, and the id of the challenge.
func (d *desk) link(began map[string]any) (path, id string) {
	d.t.Helper()
	shown, ok := began["challenge"].(map[string]any)
	if !ok {
		shown, _ = began["enrolment"].(map[string]any)
		id, _ = began["id"].(string)
	} else {
		id, _ = shown["id"].(string)
	}
	address, _ := shown["url"].(string)
	path, found := strings.CutPrefix(address, d.base)
	if !found {
		d.t.Fatalf("the page is at %q, want it under %s", address, d.base)
	}
	return path, id
}

// outcome returns what the application hears of a challenge.
func (d *desk) outcome(id string) map[string]any {
	d.t.Helper()
	return d.api("GET", "/v1/challenges/"+id, "", nil)
}

// code returns the newest code that a mailbox or a phone has got.
func (d *desk) code(to string) string {
	d.t.Helper()
	all := d.api("GET", "/local/outbox?to="+url.QueryEscape(to), "", nil)["messages"].([]any)
	for i := len(all) - 1; i >= 0; i-- {
		if code, ok := all[i].(map[string]any)["code"].(string); ok {
			return code
		}
	}
	d.t.Fatalf("%s has got no code", to)
	return ""
}

// A visitor is a browser without scripts.
type visitor struct {
	desk    *desk
	cookies map[string]*http.Cookie
	address string // of the page that it is on
	status  int
	header  http.Header
	page    string
	left    string // where the browser was sent outside the pages
}

func (d *desk) visitor() *visitor { return &visitor{desk: d, cookies: map[string]*http.Cookie{}} }

// send makes a request, and follows to the page that comes of it.
func (v *visitor) send(r *http.Request) {
	v.desk.t.Helper()
	for name, c := range v.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: c.Value})
	}
	a, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		v.desk.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		v.desk.t.Fatal(err)
	}
	for _, c := range a.Cookies() {
		if c.MaxAge < 0 {
			delete(v.cookies, c.Name)
		} else {
			v.cookies[c.Name] = c
		}
	}
	v.status, v.header, v.page = a.StatusCode, a.Header, string(text)
	if to := a.Header.Get("Location"); to != "" {
		if !strings.HasPrefix(to, "/") {
			v.left = to
			return
		}
		v.get(to)
	}
}

func (v *visitor) get(path string) {
	v.desk.t.Helper()
	r, err := http.NewRequestWithContext(v.desk.t.Context(), "GET", v.desk.base+path, nil)
	if err != nil {
		v.desk.t.Fatal(err)
	}
	v.address = path
	v.send(r)
}

var (
	formOf   = regexp.MustCompile(`(?s)<form method="post".*?</form>`)
	inputOf  = regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)"`)
	tagOf    = regexp.MustCompile(`<[^>]*>`)
	buttonOf = regexp.MustCompile(`name="do" value="(\w+)"`)
)

// form is the page's form that does something, with its hidden fields and more. more are names and values.
func (v *visitor) form(do string, more ...string) *http.Request {
	v.desk.t.Helper()
	for _, form := range formOf.FindAllString(v.page, -1) {
		if found := buttonOf.FindStringSubmatch(form); found == nil || found[1] != do {
			continue
		}
		fields := url.Values{"do": {do}}
		for _, f := range inputOf.FindAllStringSubmatch(form, -1) {
			fields.Set(f[1], html.UnescapeString(f[2]))
		}
		for i := 0; i+1 < len(more); i += 2 {
			fields.Set(more[i], more[i+1])
		}
		return v.posted(fields)
	}
	v.desk.t.Fatalf("the page has no form that does %s:\n%s", do, v.page)
	return nil
}

func (v *visitor) posted(fields url.Values) *http.Request {
	path, _, _ := strings.Cut(v.address, "?")
	r, err := http.NewRequestWithContext(v.desk.t.Context(), "POST", v.desk.base+path, strings.NewReader(fields.Encode()))
	if err != nil {
		v.desk.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", "null") // because the page sends no referrer
	return r
}

// submit sends a form of the page.
func (v *visitor) submit(do string, more ...string) {
	v.desk.t.Helper()
	v.send(v.form(do, more...))
}

// says fails the test unless the page has all these texts.
func (v *visitor) says(texts ...string) {
	v.desk.t.Helper()
	read := html.UnescapeString(tagOf.ReplaceAllString(v.page, ""))
	for _, text := range texts {
		if !strings.Contains(read, text) && !strings.Contains(html.UnescapeString(v.page), text) {
			v.desk.t.Errorf("the page doesn't say %q:\n%s", text, read)
		}
	}
}

// arrive opens the link of what began, and goes on to the page.
func (v *visitor) arrive(began map[string]any) (id string) {
	v.desk.t.Helper()
	link, id := v.desk.link(began)
	v.get(link)
	v.submit("open")
	return id
}

const kls = `{"profile":"kls","acknowledge":true}`

func TestAUserSignsInWithACodeByEmailAndNoScript(t *testing.T) {
	d := open(t, kls)
	v := d.visitor()
	id := v.arrive(d.start("ana", ""))
	v.says("a***@acme.example", "code A", "look in your spam folder", "will ever ask you for this code", "Trust this browser for 30 days", "this browser isn’t trusted yet")
	v.submit("code", "code", " 123-45")
	v.says("six digits")
	code := d.code("ana@acme.example")
	v.submit("code", "code", wrong(code))
	v.says("That code was not right. You have 4 tries left.")
	if v.status != http.StatusUnprocessableEntity {
		t.Errorf("got %d for a wrong code", v.status)
	}
	v.submit("code", "code", code[:3]+" "+code[3:], "trust", "yes")
	if want := d.base + "/app?challenge=" + id + "&from=sign-in"; v.left != want {
		t.Fatalf("the browser went to %q, want %q", v.left, want)
	}
	got := d.outcome(id)
	if got["state"] != "verified" || got["outcome"].(map[string]any)["trust_token"] == nil {
		t.Errorf("got %v, want a verified challenge in a trusted browser", got)
	}
	if len(v.cookies) != 0 {
		t.Errorf("got the cookies %v afterwards, want none", v.cookies)
	}
}

func wrong(code string) string { return string('0'+(code[0]-'0'+1)%10) + code[1:] }

func TestANewCodeKillsTheEarlierOneAndThePageSaysWhen(t *testing.T) {
	d := open(t, kls)
	v := d.visitor()
	v.arrive(d.start("ana", ""))
	early := d.code("ana@acme.example")
	v.submit("send")
	v.says("A new code can be sent in")
	d.later(time.Minute)
	v.get(v.address)
	v.submit("send")
	v.says("A new code is on its way", "code B")
	if late := d.code("ana@acme.example"); late != early {
		v.submit("code", "code", early)
		v.says("not right")
	}
}

func TestAChallengeWhoseTimeIsOverSaysSo(t *testing.T) {
	d := open(t, kls)
	v := d.visitor()
	v.arrive(d.start("ana", ""))
	d.later(15 * time.Minute)
	v.submit("code", "code", "123456")
	v.says("This step is over")
	if v.status != http.StatusGone || len(v.cookies) != 0 {
		t.Errorf("got %d and the cookies %v", v.status, v.cookies)
	}
}

func TestAfterTheLastWrongAnswerThePageSaysThatThereWereTooMany(t *testing.T) {
	d := open(t, kls)
	v := d.visitor()
	v.arrive(d.start("ana", ""))
	code := d.code("ana@acme.example")
	for range 5 {
		v.says("Enter your code")
		v.submit("code", "code", wrong(code))
	}
	v.says("Too many wrong answers", "Start again in your application")
	if v.status != http.StatusGone || strings.Contains(v.page, "This step is over</h1>") {
		t.Errorf("got %d:\n%s", v.status, v.page)
	}
	v.arrive(d.start("ana", ""))
	v.says("Enter your code") // the start after it is an ordinary one
}
