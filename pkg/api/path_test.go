package api_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"countersign/pkg/api"
	"countersign/pkg/mfa"
)

func TestOnlyTheExactPathOfARouteLeadsToIt(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{
		"/", "//", "/v1", "/v1/", "/v1/challenges/", "//v1/challenges", "/v1//challenges", "/V1/challenges", "/v1/Challenges",
		"/v1/challenges/..", "/./v1/challenges", "/v1/./challenges", "/x/../v1/challenges", "/v1/challenges;a=b", "/v1/challenges%20",
		"/prod/v1/challenges", "/%2e/v1/challenges", "/v1%2f%2fchallenges", "/v1/challenges%00", "/v1/challenges/a/send/",
		"/v1/challenges//send", "/v1/challenges/a/verify/b", "/v1/orgs//policy", "/v1/orgs/acme/policy/", "/v1/orgs/acme/Policy",
		"/v1/orgs/acme/users/", "/v1/orgs//users/u", "/health/", "/Health", "/.well-known/jwks", "/problems", "/problems/",
		"/v1/enrolments/", "/v1/enrolments/a/b/finish", "/v1/enrolments/prove/", "/v1/enrolments/a/prove", "/v1/orgs/acme/policy/preview/",
		"/v1/orgs/acme/users/u/recovery_codes", "/v1/orgs/acme/users/u/factors", "/v1/orgs/acme/users/u/factors//", "/v1/orgs/acme/users/u/browsers/",
		"/v1/orgs/a/b/policy", "/v1/orgs/a%2Fb/users/u",
	} {
		for _, method := range []string{"GET", "POST", "PUT"} {
			got := w.do(method, path, "", without("Authorization"))
			if path == "/v1/challenges/.." && got.status != 404 { // here ".." is in the place of an id
				w.refused(method+" "+path, got, map[string]int{"GET": 401, "POST": 405, "PUT": 405}[method], mfa.ErrorCode(got.word("code")), "")
				continue
			}
			w.refused(method+" "+path, got, 404, mfa.NotFound, "")
			if got.header.Get("Location") != "" {
				t.Errorf("%s %s: redirects", method, path)
			}
		}
	}
	asterisk := w.do("OPTIONS", "/", "", func(r *http.Request) { r.URL.Path = "*" })
	w.refused("the asterisk form", asterisk, 404, mfa.NotFound, "")
	empty := w.do("GET", "/", "", func(r *http.Request) { r.URL.Path = "" })
	w.refused("an empty path", empty, 404, mfa.NotFound, "")
}

func TestAPathSaysWhichMethodsItHas(t *testing.T) {
	w := newWorld(t)
	methods := map[string][]string{}
	for _, step := range api.Steps {
		for _, route := range step.Routes {
			methods[route.Pattern] = append(methods[route.Pattern], route.Methods()...)
		}
	}
	for pattern, has := range methods {
		allow := strings.Join(has, ", ")
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "QUERY"} {
			if strings.Contains(", "+allow+",", ", "+method+",") {
				continue
			}
			got := w.do(method, places.Replace(pattern), "")
			if method == "HEAD" && got.status != 405 {
				t.Errorf("HEAD %s: got %d, want 405", pattern, got.status)
			} else if method != "HEAD" {
				w.refused(method+" "+pattern, got, 405, "method_not_allowed", "")
			}
			if got.header.Get("Allow") != allow {
				t.Errorf("%s %s: got Allow %q, want %q", method, pattern, got.header.Get("Allow"), allow)
			}
		}
	}
	override := w.do("POST", "/v1/orgs/acme/users/u", `{}`, with("X-HTTP-Method-Override", "DELETE"))
	w.refused("a method by header", override, 405, "method_not_allowed", "")
}

func TestAnyIdCanStandInAPath(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"u-17", "U-17", "a.b_c@d:e+f|g=h,i", "...", "a b", "é", "😀", "a/b", "a#b", "%2e", "~", "~u", ".", "..", "<b>", strings.Repeat("x", 128)} {
		segment := "~" + base64.RawURLEncoding.EncodeToString([]byte(id))
		made := w.wants(id, w.do("PUT", "/v1/orgs/acme/users/"+segment, `{"name":"n"}`), 200)
		if made.word("id") != id {
			t.Errorf("got the id %q, want %q", made.word("id"), id)
		}
		w.wants(id, w.do("GET", "/v1/orgs/acme/users/"+segment, ""), 200)
		w.refused("the same user in another org", w.do("GET", "/v1/orgs/~"+base64.RawURLEncoding.EncodeToString([]byte("acme#"))+"/users/"+segment, ""),
			404, mfa.NotFound, "")
	}
	for _, plain := range []string{"u-17", "a.b_c@d:e+f|g=h,i", "..."} {
		w.wants(plain, w.do("GET", "/v1/orgs/acme/users/"+plain, ""), 200)
	}
	w.wants("percent-encoded where that changes nothing", w.do("GET", "/v1/orgs/%61cme/users/u%2D17", ""), 200)
}

func TestWhatIsNoIdInAnIdsPlaceIsRefused(t *testing.T) {
	w := newWorld(t)
	encoded := func(id string) string { return "~" + base64.RawURLEncoding.EncodeToString([]byte(id)) }
	for _, bad := range []string{
		".", "..", "%2e", "%2e%2e", "a%20b", "a%252eb", "%C3%A9", "a%00", "a*", "a'b", "(a)", "a;b", "a!b", "a&b", "$a", "a~", "%7B%7D", "%5C",
		"~", "~a", "~dS0xNw=", "~dS0xNx", "~d S0", "~dS0x%0ANw", "~dS+x", "~dS/x", "~~", "%7EdS0xNw==",
		encoded("\xff"), encoded("a\x00"), encoded(" a"), encoded(strings.Repeat("x", 129)), strings.Repeat("x", 129),
	} {
		if strings.Contains(bad, "/") {
			continue // these would be two segments
		}
		bad = strings.ReplaceAll(bad, " ", "%20")
		w.refused("org "+bad, w.do("GET", "/v1/orgs/"+bad+"/policy", ""), 400, mfa.InvalidRequest, "org")
		w.refused("org "+bad, w.do("GET", "/v1/orgs/"+bad+"/users/u", ""), 400, mfa.InvalidRequest, "org")
		w.refused("user "+bad, w.do("GET", "/v1/orgs/acme/users/"+bad, ""), 400, mfa.InvalidRequest, "user")
		w.refused("user "+bad, w.do("PUT", "/v1/orgs/acme/users/"+bad, `{}`), 400, mfa.InvalidRequest, "user")
		w.refused("without a bearer", w.do("GET", "/v1/orgs/"+bad+"/policy", "", without("Authorization")), 401, mfa.Unauthenticated, "")
	}
}

func TestADoorHasTheRoutesOfItsStepsOnly(t *testing.T) {
	w := newWorld(t)
	w.door = api.New(api.Options{}, api.Verify(w.service))
	w.refused("its own", w.do("POST", "/v1/challenges/ch_a/verify", `{"code":"123456"}`), 404, mfa.ChallengeInvalid, "")
	for _, path := range []string{"/health", "/problems/busy"} {
		got := w.do("GET", path, "", func(r *http.Request) { r.URL.Path = "/elsewhere" + path })
		w.refused(path, got, 404, mfa.NotFound, "")
	}
	if panicked := func() (v any) {
		defer func() { v = recover() }()
		api.New(api.Options{}, api.Verify(w.service), api.Verify(w.service))
		return nil
	}(); panicked == nil {
		t.Error("a step can be bound twice")
	}
	if panicked := func() (v any) {
		defer func() { v = recover() }()
		api.New(api.Options{}, api.Handlers{})
		return nil
	}(); panicked == nil {
		t.Error("a step that isn't there can be bound")
	}
}
