package pages_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// changed sends a form of the page after a change to the request, and returns the status.
func (v *visitor) changed(form *http.Request, change func(*http.Request)) int {
	v.desk.t.Helper()
	change(form)
	v.send(form)
	return v.status
}

func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del(name)
		for _, value := range values {
			r.Header.Add(name, value)
		}
	}
}

func TestE9AFormOfAnotherPageIsRefusedAndNothingIsDone(t *testing.T) {
	d := open(t, kls)
	v := d.visitor()
	id := v.arrive(d.start("ana", ""))
	shown := v.page
	code := d.code("ana@acme.example")
	for name, change := range map[string]func(*http.Request){
		"from another site":           header("Sec-Fetch-Site", "cross-site"),
		"from a neighbouring site":    header("Sec-Fetch-Site", "same-site"),
		"from the address bar":        header("Sec-Fetch-Site", "none"),
		"with another origin":         header("Origin", "https://evil.example"),
		"with two origins":            header("Origin", d.base, "https://evil.example"),
		"without both headers":        func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Del("Origin") },
		"from nowhere, old browser":   header("Sec-Fetch-Site"),
		"as text":                     header("Content-Type", "text/plain"),
		"as JSON":                     header("Content-Type", "application/json"),
		"as a form with files":        header("Content-Type", "multipart/form-data; boundary=x"),
		"without a type":              header("Content-Type"),
		"with a method that is a GET": func(r *http.Request) { r.Method = "PUT" },
	} {
		v.page = shown
		if status := v.changed(v.form("code", "code", code), change); status < 400 {
			t.Errorf("%s: got %d", name, status)
		}
	}
	v.page = shown
	for name, token := range map[string]string{"no token": "", "another token": "AAAAAAAAAAAAAAAAAAAAAA"} {
		v.page = shown
		v.submit("code", "code", code, "token", token)
		if v.status != http.StatusForbidden {
			t.Errorf("%s: got %d", name, v.status)
		}
	}
	if got := d.outcome(id); got["state"] != "pending" {
		t.Fatalf("got %v, want a challenge that nobody has answered", got)
	}
	v.page = shown
	if v.changed(v.form("code", "code", code), func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", d.base) }); v.left == "" {
		t.Errorf("got %d from a browser that says only its origin", v.status)
	}
}

func TestM6LookingAtALinkConsumesNothing(t *testing.T) {
	d := open(t, kls)
	began := d.start("ana", "")
	link, _ := d.link(began)
	scanner := d.visitor()
	for _, method := range []string{"GET", "HEAD", "GET"} {
		r, _ := http.NewRequest(method, d.base+link, nil)
		scanner.send(r)
		if scanner.status != http.StatusOK || len(scanner.cookies) != 0 {
			t.Errorf("%s: got %d and %v", method, scanner.status, scanner.cookies)
		}
	}
	v := d.visitor()
	v.arrive(began)
	v.says("Enter your code")
}

func TestAHandleIsGoodOnceAndNoLaterAddressHasIt(t *testing.T) {
	d := open(t, kls)
	began := d.start("ana", "")
	link, id := d.link(began)
	v := d.visitor()
	v.get(link)
	if got := v.header.Get("Referrer-Policy"); got != "no-referrer" {
		t.Errorf("got the referrer policy %q: the address has the handle", got)
	}
	v.submit("open")
	handle := link[strings.LastIndexByte(link, '/')+1:]
	if strings.Contains(v.address, handle) || strings.Contains(v.page, handle) || !strings.HasSuffix(v.address, id) {
		t.Errorf("the page is at %s", v.address)
	}
	token := began["challenge"].(map[string]any)["token"].(string)
	if strings.Contains(v.page, token) || strings.Contains(v.address, token) {
		t.Error("the page or its address has the bearer")
	}
	thief := d.visitor()
	thief.get(link)
	thief.submit("open")
	thief.says("This link doesn’t work any more")
	if thief.status != http.StatusGone || len(thief.cookies) != 0 {
		t.Errorf("got %d and %v for a handle that was used", thief.status, thief.cookies)
	}
	thief.get(v.address)
	thief.says("This page can’t be opened here")
}

func TestTwoChallengesInOneBrowserNeverMeet(t *testing.T) {
	d := open(t, kls)
	v := d.visitor()
	first := v.arrive(d.start("ana", ""))
	at, shown := v.address, v.page
	second := v.arrive(d.start("eve", ""))
	if len(v.cookies) != 2 {
		t.Fatalf("got the cookies %v, want one of each challenge", v.cookies)
	}
	// A form of one page, sent to the other's address, has the wrong token. What is typed on one page answers that one only.
	other := v.form("code", "code", d.code("eve@acme.example"))
	other.URL.Path = at
	v.send(other)
	if v.status != http.StatusForbidden {
		t.Errorf("got %d for a form of the other page", v.status)
	}
	v.address, v.page = at, shown
	v.submit("code", "code", d.code("ana@acme.example"))
	if !strings.Contains(v.left, first) {
		t.Errorf("the browser went to %s", v.left)
	}
	if got := d.outcome(second); got["state"] != "pending" {
		t.Errorf("the other challenge is %v", got["state"])
	}
	for name, c := range v.cookies {
		if !strings.HasPrefix(name, "__Host-") || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge < 1 || c.MaxAge > 15*60 {
			t.Errorf("got the cookie %v", c)
		}
	}
}

func TestAFormThatIsSentTwiceIsDoneOnceAndHearsTheSame(t *testing.T) {
	d := open(t, kls)
	v := d.visitor()
	id := v.arrive(d.start("ana", ""))
	shown, cookies := v.page, map[string]*http.Cookie{}
	for name, c := range v.cookies {
		cookies[name] = c
	}
	code := d.code("ana@acme.example")
	once, twice := v.form("code", "code", code), v.form("code", "code", code)
	v.send(once)
	went := v.left
	v.left, v.cookies = "", cookies
	v.send(twice)
	if went == "" || v.left != went {
		t.Errorf("the browser went to %q and then to %q", went, v.left)
	}
	// The page that the back button shows has a form that is over.
	v.left = ""
	v.page = shown
	back := v.form("code", "code", wrong(code))
	v.send(back)
	v.says("This page can’t be opened here")
	v.get(v.address)
	v.says("This page can’t be opened here")
	if got := d.outcome(id); got["state"] != "verified" {
		t.Errorf("got %v", got)
	}
}

func TestM3NoHeaderSaysWhereAnythingLeads(t *testing.T) {
	d := open(t, kls)
	lie := func(r *http.Request) {
		r.Host = "evil.example"
		for name, value := range map[string]string{
			"Forwarded": "host=evil.example;proto=http", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "X-Forwarded-Prefix": "/evil",
			"X-Original-Url": "/evil", "X-Rewrite-Url": "/evil", "X-Host": "evil.example",
		} {
			r.Header.Set(name, value)
		}
	}
	link, _ := d.link(d.start("ana", ""))
	v := d.visitor()
	r, _ := http.NewRequest("GET", d.base+link, nil)
	v.address = link
	lie(r)
	v.send(r)
	if strings.Contains(v.page, "evil") {
		t.Errorf("the page of a link has a lie:\n%s", v.page)
	}
	v.changed(v.form("open"), lie)
	if v.left != "" || strings.Contains(v.page, "evil") {
		t.Errorf("the browser went to %q:\n%s", v.left, v.page)
	}
	v.changed(v.form("code", "code", d.code("ana@acme.example")), lie)
	if !strings.HasPrefix(v.left, d.base+"/app?") {
		t.Errorf("the browser went to %q", v.left)
	}
}

func TestM5NothingInAFormOrAnAddressSaysWhereTheBrowserGoes(t *testing.T) {
	d := open(t, kls)
	for _, to := range []string{
		"https://evil.example", "//evil.example", `\\evil.example`, "javascript:alert(1)", "data:text/html,x", d.base + "@evil.example/", "https://xn--pypal-4ve.example", "",
	} {
		v := d.visitor()
		v.arrive(d.start("ana", ""))
		v.get(v.address + "?back=" + url.QueryEscape(to) + "&return_url=" + url.QueryEscape(to) + "&done=" + url.QueryEscape(to))
		if to != "" && strings.Contains(html.UnescapeString(v.page), to) {
			t.Errorf("%q: the address gets into the page", to)
		}
		v.submit("code", "code", d.code("ana@acme.example"), "back", to)
		if v.left != "" {
			t.Errorf("%q: the browser went to %q", to, v.left)
		}
		v.says("You can close this page")
	}
}

func TestM4MarkupInNamesIsShownAsText(t *testing.T) {
	const evil = `<b id=evil onclick=alert(1)>{{.}} "'</b>`
	d := open(t, `{"profile":"kls","acknowledge":true}`)
	d.api("PUT", "/v1/orgs/"+org+"/brand", `{"name":"<i>Acme</i> & Co","colour":"#ffff00","logo":"https://img.example/a.png?\"onerror=alert(1)"}`, http.Header{"If-Match": {`"0"`}})
	v := d.visitor()
	v.arrive(d.api("POST", "/v1/challenges", `{"org":"`+org+`","user":{"id":"ana","email":"ana@acme.example"},"purpose":"step_up","action":{"name":"pay","lines":["<b id=evil onclick=alert(1)>{{.}} \"'</b>"]}}`, nil))
	v.says("You confirm:", evil, "<i>Acme</i> & Co")
	for _, raw := range []string{"<b id=evil", "<i>Acme", `"onerror`} {
		if strings.Contains(v.page, raw) {
			t.Errorf("the page has %s", raw)
		}
	}
	if policy := v.header.Get("Content-Security-Policy"); !strings.Contains(policy, "img-src 'self' data: https://img.example;") {
		t.Errorf("got the policy %s", policy)
	}
	theme := regexp.MustCompile(`/pages/static/colour-[0-9a-f]{6}\.css`).FindString(v.page)
	v.get(theme)
	if v.status != http.StatusOK || !strings.HasPrefix(v.page, ":root{--accent:#") {
		t.Errorf("got %d %q for the style of the brand", v.status, v.page)
	}
}

func TestE5TheKeyOfAnAppIsReadBackWhateverTheNamesAre(t *testing.T) {
	d := open(t, `{"profile":"karbon","require":"everyone","enrolment_proof":"none","acknowledge":true}`)
	for i, name := range []string{"A:B", "A&B=C?d#e", "Zoë 🙂 SARL", `<"'>`} {
		tag := []string{"0", "1", "2", "3"}[i]
		d.api("PUT", "/v1/orgs/"+org+"/brand", `{"name":`+jsonText(name)+`}`, http.Header{"If-Match": {`"` + tag + `"`}})
		v := d.visitor()
		v.arrive(d.start("ana:x", ""))
		v.submit("begin")
		found := regexp.MustCompile(`href="(otpauth:[^"]+)"`).FindStringSubmatch(v.page)
		if found == nil {
			t.Fatalf("%s: the page has no address for an app:\n%s", name, v.page)
		}
		uri, err := url.Parse(html.UnescapeString(found[1]))
		if err != nil || uri.Query().Get("secret") != strings.ReplaceAll(keyOf.FindStringSubmatch(v.page)[1], " ", "") || len(uri.Query()["secret"]) != 1 ||
			uri.Query().Get("issuer") == "" || uri.Query().Get("digits") != "6" {
			t.Errorf("%s: got %s, %v", name, found[1], err)
		}
	}
}

func TestL8APageSaysNothingOfWhatFailed(t *testing.T) {
	d := open(t, kls)
	v := d.visitor()
	v.arrive(d.start("ana", ""))
	at := v.address
	shown := v.page
	for _, do := range []func(){func() { v.get(at) }, func() { v.page = shown; v.submit("code", "code", "123456") }} {
		d.api("POST", "/local/faults", `{"target":"store","mode":"fail","count":9}`, nil)
		do()
		d.api("POST", "/local/faults", `{"target":"store","mode":"fail","count":0}`, nil)
		v.says("right now")
		if v.status != http.StatusServiceUnavailable {
			t.Errorf("got %d", v.status)
		}
		for _, word := range []string{"store", "fault", "goroutine", "ch_", "panic", "unavailable", "/v1/", "github", "bolt"} {
			if strings.Contains(strings.ReplaceAll(v.page, at, ""), word) {
				t.Errorf("the page has %q:\n%s", word, v.page)
			}
		}
	}
	for _, path := range []string{"/pages/", "/pages/x", "/pages/sign-in/", "/pages/sign-in/ch_x/y", "/pages/sign-in/%00", "/pages/sign-in/" + strings.Repeat("a", 200), "/pages/static/", "/pages/static/../pages.go", "/pages/static/x/style.css"} {
		v.get(path)
		if v.status < 400 || v.status >= 500 {
			t.Errorf("%s: got %d", path, v.status)
		}
	}
}

func TestEveryPageForbidsFramesScriptsOfOthersAndKeeping(t *testing.T) {
	d := open(t, kls)
	began := d.start("ana", "")
	link, _ := d.link(began)
	v := d.visitor()
	for name, go_ := range map[string]func(){
		"a link": func() { v.get(link) }, "a notice": func() { v.get("/pages/none") }, "a challenge": func() { v.arrive(began) },
	} {
		go_()
		policy := v.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "script-src 'self'", "form-action 'self'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy lacks %s: %s", name, want, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			t.Errorf("%s: got the policy %s", name, policy)
		}
		for field, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "X-Frame-Options": "DENY",
		} {
			if got := v.header.Get(field); got != want {
				t.Errorf("%s: %s is %q, want %q", name, field, got, want)
			}
		}
		for _, bad := range []string{"<style", " style=", " onclick=", "<script>", "javascript:"} {
			if strings.Contains(v.page, bad) {
				t.Errorf("%s: the page has %s", name, bad)
			}
		}
	}
}

func jsonText(s string) string {
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(s) + `"`
}
