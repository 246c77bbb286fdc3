package machine_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"countersign/infra/local/machine"
)

// asked sends a request through the access of one origin to an API that answers as any would.
func asked(t *testing.T, origins []string, method string, header ...string) *http.Response {
	t.Helper()
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Reached", "yes")
		w.WriteHeader(http.StatusTeapot)
	})
	r := httptest.NewRequest(method, "/v1/challenges/ch_a/verify", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	machine.AccessFrom(origins).Before(api).ServeHTTP(w, r)
	return w.Result()
}

// corsHeaders are those of an answer that are for browsers.
func corsHeaders(a *http.Response) (names []string) {
	for name := range a.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			names = append(names, name)
		}
	}
	return names
}

func TestAPageOfAnAllowedOriginMayCallAndNoOther(t *testing.T) {
	const app, desk = "https://app.example", "http://localhost:3000"
	for _, c := range []struct {
		name    string
		origins []string // as they are sent
		allowed bool
	}{
		{"the first", []string{app}, true},
		{"the second", []string{desk}, true},
		{"another", []string{"https://evil.example"}, false},
		{"null", []string{"null"}, false},
		{"a star", []string{"*"}, false},
		{"an empty one", []string{""}, false},
		{"another case", []string{"https://App.example"}, false},
		{"another case of the scheme", []string{"HTTPS://app.example"}, false},
		{"http for https", []string{"http://app.example"}, false},
		{"https for http", []string{"https://localhost:3000"}, false},
		{"what begins like it", []string{app + ".evil.example"}, false},
		{"what ends like it", []string{"https://evil-app.example"}, false},
		{"a host under it", []string{"https://a.app.example"}, false},
		{"the host above it", []string{"https://example"}, false},
		{"the port that goes without saying", []string{app + ":443"}, false},
		{"another port", []string{"http://localhost:3001"}, false},
		{"no port", []string{"http://localhost"}, false},
		{"a path", []string{app + "/"}, false},
		{"user information", []string{"https://app.example@evil.example"}, false},
		{"a space after it", []string{app + " "}, false},
		{"two in one header", []string{app + ", " + desk}, false},
		{"two headers", []string{app, desk}, false},
		{"itself twice", []string{app, app}, false},
		{"it and another", []string{app, "https://evil.example"}, false},
		{"another and it", []string{"https://evil.example", app}, false},
	} {
		var sent []string
		for _, origin := range c.origins {
			sent = append(sent, "Origin", origin)
		}
		preflight := asked(t, []string{app, desk}, "OPTIONS", append(sent, "Access-Control-Request-Method", "POST")...)
		if preflight.StatusCode != 204 || preflight.Header.Get("X-Reached") != "" {
			t.Errorf("%s: the preflight: got %d %v, want 204 and the API not asked", c.name, preflight.StatusCode, preflight.Header)
		}
		call := asked(t, []string{app, desk}, "POST", sent...)
		if call.StatusCode != http.StatusTeapot {
			t.Errorf("%s: the call: got %d, want the API's answer", c.name, call.StatusCode)
		}
		for what, a := range map[string]*http.Response{"the preflight": preflight, "the call": call} {
			got := a.Header.Values("Access-Control-Allow-Origin")
			if c.allowed && (len(got) != 1 || got[0] != c.origins[0]) {
				t.Errorf("%s: %s: got %q, want the origin", c.name, what, got)
			}
			if names := corsHeaders(a); !c.allowed && len(names) > 0 {
				t.Errorf("%s: %s: got %v, want nothing for browsers", c.name, what, names)
			}
			if a.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s: %s: lets cookies in", c.name, what)
			}
		}
	}
}

func TestAPageLearnsWhatItMaySendAndRead(t *testing.T) {
	const app = "https://app.example"
	preflight := asked(t, []string{app}, "OPTIONS", "Origin", app, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "x-evil").Header
	for name, want := range map[string]string{
		"Access-Control-Allow-Methods": "GET,HEAD,POST,PUT,PATCH,DELETE",
		"Access-Control-Allow-Headers": "authorization,content-type,idempotency-key,if-match,countersign-proof,x-request-id",
		"Access-Control-Max-Age":       "7200",
	} {
		if got := preflight.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := asked(t, []string{app}, "POST", "Origin", app).Header.Get("Access-Control-Expose-Headers"); got != "x-request-id,retry-after,etag" {
		t.Errorf("got %q to be read, want what a page needs", got)
	}
}

func TestWhatIsNoPreflightGoesToTheAPI(t *testing.T) {
	const app = "https://app.example"
	for name, a := range map[string]*http.Response{
		"no origin":           asked(t, []string{app}, "OPTIONS", "Access-Control-Request-Method", "POST"),
		"no method asked for": asked(t, []string{app}, "OPTIONS", "Origin", app),
		"no browser":          asked(t, []string{app}, "POST"),
		"no origin allowed":   asked(t, nil, "OPTIONS", "Origin", app, "Access-Control-Request-Method", "POST"),
		"another method":      asked(t, []string{app}, "GET", "Origin", app, "Access-Control-Request-Method", "POST"),
	} {
		if a.StatusCode != http.StatusTeapot {
			t.Errorf("%s: got %d, want the API's answer", name, a.StatusCode)
		}
	}
	if names := corsHeaders(asked(t, nil, "POST", "Origin", app)); len(names) > 0 {
		t.Errorf("where no origin is allowed: got %v", names)
	}
}

func TestACommandTakesOriginsOnly(t *testing.T) {
	for list, good := range map[string]bool{
		"": true, "https://app.example": true, "https://app.example,http://localhost:3000": true,
		"*": false, "null": false, "app.example": false, "http://app.example": false, "https://app.example/": false, "https://App.example": false,
		"https://app.example, http://localhost:3000": false, "https://app.example,": false,
	} {
		var errs strings.Builder
		command := machine.Command{Name: "test", Addr: "127.0.0.1:0"}
		code := command.Run(t.Context(), []string{"-browser-origins", list, "-addr", "192.0.2.1:0"}, io.Discard, &errs)
		if told := strings.Contains(errs.String(), "-browser-origins"); code != map[bool]int{true: 1, false: 2}[good] || told == good {
			t.Errorf("%q: got exit code %d and %q", list, code, errs.String())
		}
	}
}
