package server

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheOutboxShowsWhatWouldHaveBeenSent(t *testing.T) {
	r := serve(t, t.TempDir())
	if got := r.call("GET", "/local/outbox", ""); got.body != `{"messages":[]}`+"\n" {
		t.Errorf("got %s, want no messages", got.body)
	}
	r.challenge("ana")
	r.challenge("bob")
	all := r.messages("")
	if len(all) != 2 || all[0].To != "ana@demo.example" || all[1].To != "bob@demo.example" {
		t.Fatalf("got %+v, want the message to ana and then that to bob", all)
	}
	m := r.messages("bob@demo.example")
	if len(m) != 1 || m[0].Channel != "email" || m[0].At.IsZero() || m[0].Subject == nil || m[0].HTML == nil || m[0].Code == nil ||
		!strings.Contains(m[0].Text, *m[0].Code) || !strings.Contains(*m[0].HTML, *m[0].Code) {
		t.Errorf("got %+v, want one whole message to bob with its code", m)
	}
	if got := len(r.messages("nobody@demo.example")); got != 0 {
		t.Errorf("got %d messages to nobody", got)
	}
	if got := r.call("DELETE", "/local/outbox", ""); got.status != 204 {
		t.Errorf("got status %d, want 204", got.status)
	}
	if got := len(r.messages("")); got != 0 {
		t.Errorf("got %d messages after they were deleted", got)
	}
	r.challenge("eve")
	if got := len(r.messages("")); got != 1 {
		t.Errorf("got %d messages, want 1", got)
	}
}

func TestTheOutboxHasTheNoticesOfAllThatWasCommittedBefore(t *testing.T) {
	r := serve(t, t.TempDir())
	for range 2 {
		b := r.challenge("ana")
		wrong := wrongCode(r.code("ana"))
		for range 5 {
			r.verify(b, wrong, "")
		}
	}
	m := r.messages("ana@demo.example")
	if len(m) != 3 || m[2].Code != nil {
		t.Errorf("got %d messages, want two codes and then the notice of the lock", len(m))
	}
}

func TestDeletingTheOutboxHandsOnWhatWasCommittedBeforeOrDeletesNothing(t *testing.T) {
	r := serve(t, t.TempDir())
	locked := func() {
		for range 2 {
			b := r.challenge("ana")
			wrong := wrongCode(r.code("ana"))
			for range 5 {
				r.verify(b, wrong, "")
			}
		}
	}
	r.told("events", "fail", 1000)
	locked()
	if got := r.call("DELETE", "/local/outbox", ""); got.status != 503 {
		t.Errorf("while the bus can't be had: got status %d, want 503", got.status)
	}
	if got := len(r.messages("")); got != 2 {
		t.Errorf("got %d messages, want the two codes", got)
	}
	r.told("events", "fail", 0)
	if got := r.call("DELETE", "/local/outbox", ""); got.status != 204 {
		t.Errorf("got status %d, want 204", got.status)
	}
	if got := r.messages(""); len(got) != 0 {
		t.Errorf("got %+v, want nothing, not even the notice of the lock", got)
	}
}

func TestTheEventsAreThoseOfAllThatWasCommittedBefore(t *testing.T) {
	r := serve(t, t.TempDir())
	r.challenge("ana")
	type event struct {
		ID, Type, Org, User string
		Time                time.Time
	}
	var got struct{ Events []event }
	r.call("GET", "/local/events", "").into(t, 200, &got)
	// The sweep that runs when the server starts may have made a checkpoint meanwhile.
	events := slices.DeleteFunc(got.Events, func(e event) bool { return e.Type == "activity.checkpointed" })
	last := events[len(events)-1]
	if last.Type != "challenge.sent" || last.Org != "demo" || last.User != "ana" || !strings.HasPrefix(last.ID, "ev_") || last.Time.IsZero() {
		t.Errorf("got %+v, want that ana's code was sent", last)
	}
}

func TestTheClockOnlyMovesForward(t *testing.T) {
	dir := t.TempDir()
	r := serve(t, dir)
	now := func(a answered) time.Time {
		var got struct{ Now time.Time }
		a.into(t, 200, &got)
		return got.Now
	}
	before := now(r.call("GET", "/local/clock", ""))
	if off := time.Since(before).Abs(); off > time.Minute {
		t.Errorf("the clock begins %s off", off)
	}
	after := now(r.call("POST", "/local/clock", `{"advance_s":3600}`))
	if d := after.Sub(before); d < time.Hour || d > time.Hour+time.Minute {
		t.Errorf("got %s later, want an hour", d)
	}
	if d := now(r.call("POST", "/local/clock", `{"advance_s":0}`)).Sub(after); d < 0 || d > time.Minute {
		t.Errorf("advanced by 0: got %s later", d)
	}
	for _, bad := range []string{`{"advance_s":-1}`, `{"advance_s":1.5}`, `{"advance_s":"1"}`, `{"advance_s":null}`, `{}`,
		`{"advance_s":9223372036854775807}`, `{"advance_s":3153600001}`} {
		got := r.call("POST", "/local/clock", bad)
		if got.status != 400 || !strings.Contains(got.body, `"param":"advance_s"`) {
			t.Errorf("%s: got %d %s, want it refused for advance_s", bad, got.status, got.body)
		}
	}
	if d := now(r.call("GET", "/local/clock", "")).Sub(after); d < 0 || d > time.Minute {
		t.Errorf("after refusals: got %s later", d)
	}
	r.halt()
	second := serve(t, dir)
	if got := now(second.call("GET", "/local/clock", "")); got.Before(after) {
		t.Errorf("after a restart: got %s, want no earlier than %s", got, after)
	}
	second.halt()
	for _, damaged := range []string{"", "soon", "-1", "99999999999999"} {
		if err := os.WriteFile(filepath.Join(dir, "clock"), []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "clock") {
			t.Errorf("a clock of %q: got %v, want an error that names it", damaged, err)
		}
	}
}

func TestTheSweepCanBeRunNow(t *testing.T) {
	r := serve(t, t.TempDir())
	if got := r.verify(r.challenge("ana"), r.code("ana"), `,"trust":{"name":"Mine"}`); got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	for _, step := range []struct {
		advance string
		want    string
	}{{"2591990", `{"announced":0}`}, {"20", `{"announced":1}`}, {"0", `{"announced":0}`}} {
		r.call("POST", "/local/clock", `{"advance_s":`+step.advance+`}`)
		if got := r.call("POST", "/local/sweep", ""); got.status != 200 || strings.TrimSpace(got.body) != step.want {
			t.Errorf("after %s s more: got %d %s, want %s", step.advance, got.status, got.body, step.want)
		}
	}
	if got := count(r.events(), "browser.expired"); got != 1 {
		t.Errorf("the end of trust was announced %d times", got)
	}
	if got := r.call("POST", "/local/sweep", `{"all":true}`); got.status != 400 {
		t.Errorf("a body that means nothing: got status %d, want 400", got.status)
	}
}

func TestKeysAreMadeAsAskedFor(t *testing.T) {
	r := serve(t, t.TempDir())
	made := func(body string) string {
		var got struct{ Key string }
		r.call("POST", "/local/keys", body).into(t, 200, &got)
		return got.Key
	}
	status := func(key, method, path, body string) int {
		return r.call(method, path, body, "Authorization", "Bearer "+key).status
	}
	start := `{"org":"demo","user":{"id":"ana","email":"ana@demo.example"}}`
	all := made(`{}`)
	limited := made(`{"scopes":["sign_in"],"org":"demo","client":"other"}`)
	for _, check := range []struct {
		name, key, method, path, body string
		want                          int
	}{
		{"every scope by default", all, "POST", "/v1/challenges", start, 201},
		{"every scope by default", all, "GET", "/v1/orgs/demo/users/ana", "", 200},
		{"every scope and every org by default", all, "GET", "/v1/orgs/acme/policy", "", 200},
		{"the scope that was asked for", limited, "POST", "/v1/decisions", start, 200},
		{"no other scope", limited, "GET", "/v1/orgs/demo/policy", "", 403},
		{"no other org", limited, "POST", "/v1/decisions", strings.Replace(start, "demo", "acme", 1), 403},
		{"any org when it is null", made(`{"org":null,"client":null,"scopes":["admin"]}`), "GET", "/v1/orgs/acme/policy", "", 200},
	} {
		if got := status(check.key, check.method, check.path, check.body); got != check.want {
			t.Errorf("%s: got status %d, want %d", check.name, got, check.want)
		}
	}
	for key, want := range map[string]string{
		made(`{"name":"Anna’s Shop"}`): "Anna’s Shop", made(`{"name":null}`): "Countersign",
	} {
		r.call("POST", "/v1/challenges", strings.ReplaceAll(start, "ana", "leo"), "Authorization", "Bearer "+key)
		got := r.messages("leo@demo.example")
		if len(got) == 0 || !strings.HasSuffix(got[len(got)-1].Text, "\n"+want+"\n") {
			t.Errorf("got %+v, want the last message to be of %q", got, want)
		}
	}
	b := r.challenge("bob")
	if got := status(limited, "GET", "/v1/challenges/"+b.Challenge.ID, ""); got != 404 {
		t.Errorf("another client's challenge: got status %d, want 404", got)
	}
	if got := status(all, "GET", "/v1/challenges/"+b.Challenge.ID, ""); got != 200 {
		t.Errorf("the same client's challenge: got status %d, want 200", got)
	}
	for _, bad := range []string{`{"scopes":[]}`, `{"scopes":["root"]}`, `{"scopes":null}`, `{"org":""}`, `{"org":7}`, `{"client":""}`, `{"name":""}`, `{"name":7}`, `{"name":"A\r\nB"}`} {
		if got := r.call("POST", "/local/keys", bad); got.status != 400 || strings.Contains(got.body, "csk_") {
			t.Errorf("%s: got status %d, want 400", bad, got.status)
		}
	}
}

func TestLocalCallsKeepTheGroundRules(t *testing.T) {
	r := serve(t, t.TempDir())
	for _, check := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		code                     string
	}{
		{"unknown path", "GET", "/local/nothing", "", nil, 404, "not_found"},
		{"slash at the end", "GET", "/local/outbox/", "", nil, 404, "not_found"},
		{"path in another spelling", "GET", "/local/%6futbox", "", nil, 404, "not_found"},
		{"method", "PUT", "/local/outbox", "", nil, 405, "method_not_allowed"},
		{"method", "GET", "/local/sweep", "", nil, 405, "method_not_allowed"},
		{"not JSON", "POST", "/local/clock", `advance`, nil, 400, "invalid_request"},
		{"no object", "POST", "/local/clock", `[1]`, nil, 400, "invalid_request"},
		{"no body", "POST", "/local/clock", "", nil, 400, "invalid_request"},
		{"unknown field", "POST", "/local/clock", `{"advance_s":1,"back":1}`, nil, 400, "invalid_request"},
		{"field in another case", "POST", "/local/clock", `{"Advance_s":1}`, nil, 400, "invalid_request"},
		{"name twice", "POST", "/local/clock", `{"advance_s":1,"advance_s":1}`, nil, 400, "invalid_request"},
		{"something behind it", "POST", "/local/clock", `{"advance_s":1}{}`, nil, 400, "invalid_request"},
		{"cut short", "POST", "/local/clock", `{"advance_s":1`, nil, 400, "invalid_request"},
		{"not UTF-8", "POST", "/local/keys", "{\"client\":\"\xff\"}", nil, 400, "invalid_request"},
		{"other media type", "POST", "/local/clock", `{"advance_s":1}`, []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type"},
		{"too large", "POST", "/local/clock", strings.Repeat(" ", 64<<10+1), nil, 413, "too_large"},
		{"body without use", "GET", "/local/clock", `{}`, nil, 400, "invalid_request"},
		{"unknown query", "GET", "/local/outbox?from=ana", "", nil, 400, "invalid_request"},
		{"a query that doesn't parse", "GET", "/local/outbox?to=%zz", "", nil, 400, "invalid_request"},
		{"half a query that doesn't parse", "GET", "/local/outbox?to=ana@demo.example&%FF=", "", nil, 400, "invalid_request"},
		{"an empty query", "GET", "/local/outbox?to=", "", nil, 400, "invalid_request"},
		{"a query where there is none", "GET", "/local/events?type=user", "", nil, 400, "invalid_request"},
		{"query twice", "GET", "/local/outbox?to=a&to=b", "", nil, 400, "invalid_request"},
	} {
		got := r.call(check.method, check.path, check.body, append([]string{"X-Request-Id", "mine-1"}, check.header...)...)
		var p struct {
			Type, Title, Code, Detail string
			Status                    int
			RequestID                 string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(got.body), &p); err != nil {
			t.Errorf("%s: %v: %s", check.name, err, got.body)
			continue
		}
		if got.status != check.status || p.Status != check.status || p.Code != check.code || p.Type != "/problems/"+check.code ||
			p.Title == "" || p.Detail == "" || p.RequestID != "mine-1" {
			t.Errorf("%s: got %d %s, want %d %s", check.name, got.status, got.body, check.status, check.code)
		}
		if h := got.header; h.Get("Content-Type") != "application/problem+json" || h.Get("X-Request-Id") != "mine-1" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got header %v", check.name, h)
		}
	}
	if got := r.call("PUT", "/local/outbox", "").header.Get("Allow"); got != "DELETE, GET, HEAD" {
		t.Errorf("got Allow %q, want DELETE, GET, HEAD", got)
	}
	for path, want := range map[string]int{"/local/outbox?to=ana@demo.example": 200, "/local/events": 200, "/local/clock": 200, "/local/outbox?to=": 400, "/local/sweep": 405} {
		if got := r.call("HEAD", path, ""); got.status != want || got.body != "" || got.header.Get("X-Request-Id") == "" {
			t.Errorf("HEAD %s: got %d %s, want %d", path, got.status, got.body, want)
		}
	}
	good := r.call("GET", "/local/clock", "", "X-Request-Id", "not sane")
	if h := good.header; h.Get("X-Request-Id") == "not sane" || h.Get("X-Request-Id") == "" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/json" {
		t.Errorf("got header %v", h)
	}
}

func TestLocalCallsAnswerThisMachineAndItsOwnPagesOnly(t *testing.T) {
	r := serve(t, t.TempDir())
	own := strings.TrimPrefix(r.url, "http://")
	for _, check := range []struct {
		name   string
		header []string
		status int
	}{
		{"no browser", nil, 200},
		{"by name", []string{"Host", "localhost:8080"}, 200},
		{"by name without port", []string{"Host", "LOCALHOST"}, 200},
		{"by IPv6", []string{"Host", "[::1]:8080"}, 200},
		{"our own page", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://" + own}, 200},
		{"typed by the user", []string{"Sec-Fetch-Site", "none"}, 200},
		{"a rebound name", []string{"Host", "evil.example"}, 403},
		{"a name that looks like ours", []string{"Host", "localhost.evil.example"}, 403},
		{"a name that begins like loopback", []string{"Host", "127.0.0.1.evil.example:80"}, 403},
		{"another address", []string{"Host", "192.0.2.1"}, 403},
		{"another site's page", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a page on another port", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"another site's page in an old browser", []string{"Origin", "https://evil.example"}, 403},
		{"a page on another port in an old browser", []string{"Origin", "http://127.0.0.1:1"}, 403},
		{"our own page and another", []string{"Origin", "http://" + own, "Origin", "https://evil.example"}, 403},
		{"our own page twice", []string{"Origin", "http://" + own, "Origin", "http://" + own}, 403},
		{"a page without an origin", []string{"Origin", "null"}, 403},
	} {
		for _, path := range []string{"/local/outbox", "/local/events", "/local/clock"} {
			if got := r.call("GET", path, "", check.header...); got.status != check.status {
				t.Errorf("%s at %s: got status %d, want %d", check.name, path, got.status, check.status)
			}
		}
		want := map[int]int{200: http.StatusOK, 403: http.StatusForbidden}[check.status]
		if got := r.call("POST", "/local/keys", `{}`, check.header...); got.status != want {
			t.Errorf("%s making a key: got status %d, want %d", check.name, got.status, want)
		}
	}
	if got := r.call("GET", "/", "", "Host", "evil.example"); got.status != 403 {
		t.Errorf("the demo by a rebound name: got status %d, want 403", got.status)
	}
	if got := r.call("GET", "/health", "", "Host", "countersign.example"); got.status != 200 {
		t.Errorf("the API by another name: got status %d, want 200", got.status)
	}
}
