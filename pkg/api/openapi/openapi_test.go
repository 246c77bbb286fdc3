package openapi

import (
	"net/http"
	"strings"
	"testing"
)

func newValidator(t testing.TB) *Validator {
	t.Helper()
	v, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func document(t *testing.T) *reader {
	t.Helper()
	root, err := parse()
	if err != nil {
		t.Fatal(err)
	}
	r, err := read(root)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryExampleIsWhatItsSchemaSays(t *testing.T) {
	r := document(t)
	checked := 0
	var walk func(pointer string, here any)
	walk = func(pointer string, here any) {
		switch here := here.(type) {
		case map[string]any:
			examples, several := here["examples"].(map[string]any)
			_, typed := here["schema"]
			if several && typed {
				schema := r.schema(pointer + "/schema")
				for name, e := range examples {
					checked++
					if err := schema.Validate(e.(map[string]any)["value"]); err != nil {
						t.Errorf("%s, example %s: %v", pointer, name, err)
					}
				}
			}
			if example, ok := here["example"]; ok && typed {
				checked++
				if err := r.schema(pointer + "/schema").Validate(example); err != nil {
					t.Errorf("%s: %v", pointer, err)
				}
			}
			for name, value := range here {
				walk(below(pointer, name), value)
			}
		}
	}
	walk("#", r.root)
	if r.err != nil {
		t.Fatal(r.err)
	}
	if checked < 70 {
		t.Errorf("found %d examples, want 70 or more", checked)
	}
}

func TestEveryContentHasAnExample(t *testing.T) {
	r := document(t)
	for name, said := range r.root["components"].(map[string]any)["responses"].(map[string]any) {
		for kind, content := range said.(map[string]any)["content"].(map[string]any) {
			if content.(map[string]any)["examples"] == nil {
				t.Errorf("the response %s has no example of %s", name, kind)
			}
		}
	}
}

const asked = `{"decision":"challenge","reason":"new_browser","policy_version":3}`

func headers(more ...string) http.Header {
	h := http.Header{
		"Content-Type": {"application/json"}, "X-Request-Id": {"r-1"}, "Cache-Control": {"no-store"},
		"X-Content-Type-Options": {"nosniff"},
	}
	for i := 0; i < len(more); i += 2 {
		if h.Set(more[i], more[i+1]); more[i+1] == "" {
			h.Del(more[i])
		}
	}
	return h
}

func TestAnAnswerThatTheDocumentDoesNotHaveIsFound(t *testing.T) {
	v := newValidator(t)
	missing := func(code string, status string) string {
		return `{"type":"/problems/` + code + `","title":"t","status":` + status + `,"code":"` + code + `","detail":"d","request_id":"r-1"}`
	}
	problem := headers("Content-Type", "application/problem+json")
	for _, c := range []struct {
		name         string
		method, path string
		status       int
		header       http.Header
		body         string
		want         string // a part of the error; empty if there is none
	}{
		{"a good one", "POST", "/v1/decisions", 200, headers(), asked, ""},
		{"a content type with a parameter", "POST", "/v1/decisions", 200, headers("Content-Type", "application/json; charset=utf-8"), asked, ""},
		{"a stray field", "POST", "/v1/decisions", 200, headers(), strings.Replace(asked, `{`, `{"extra":1,`, 1), "extra"},
		{"a field that is missing", "POST", "/v1/decisions", 200, headers(), `{"decision":"allow","reason":"sso"}`, "policy_version"},
		{"a reason of the other decision", "POST", "/v1/decisions", 200, headers(), `{"decision":"allow","reason":"required","policy_version":3}`, "oneOf"},
		{"another status", "POST", "/v1/decisions", 202, headers(), asked, "this status"},
		{"another content type", "POST", "/v1/decisions", 200, headers("Content-Type", "text/html"), asked, "Content-Type"},
		{"no content type", "POST", "/v1/decisions", 200, headers("Content-Type", ""), asked, "Content-Type"},
		{"no JSON", "POST", "/v1/decisions", 200, headers(), asked + "x", "no JSON"},
		{"a header that is missing", "POST", "/v1/decisions", 200, headers("Cache-Control", ""), asked, "Cache-Control"},
		{"a header with another value", "POST", "/v1/decisions", 200, headers("Cache-Control", "public"), asked, "Cache-Control"},
		{"a header that doesn't belong", "POST", "/v1/decisions", 200, headers("ETag", `"1"`), asked, "ETag"},
		{"a body where there is none", "DELETE", "/v1/orgs/a/users/u", 204, headers(), "{}", "there is a body"},
		{"a time that is none", "GET", "/v1/challenges/ch_a", 200, headers(),
			`{"state":"verified","outcome":{"verified":true,"issued_at":"2026-02-30T10:00:00Z","token":"` + unsigned(tokenHeader, claims) + `"}}`, "date-time"},
		{"a problem", "GET", "/v1/orgs/a/users/u", 404, problem, missing("not_found", "404"), ""},
		{"a problem of another status", "GET", "/v1/orgs/a/users/u", 404, problem, missing("not_found", "400"), "status"},
		{"a code that doesn't belong", "GET", "/v1/orgs/a/users/u", 404, problem, missing("challenge_invalid", "404"), "code"},
		{"a code that is none", "GET", "/v1/orgs/a/users/u", 404, problem, missing("gone", "404"), "code"},
		{"a wrong code that doesn't say what is left", "POST", "/v1/challenges/ch_a/verify", 422, problem, missing("wrong_code", "422"), "attempts_left"},
		{"a path that isn't there", "GET", "/v2", 404, problem, missing("not_found", "404"), ""},
		{"a path that isn't there, answered", "GET", "/v2", 200, headers(), "{}", "this status"},
		{"a method that the path doesn't have", "PATCH", "/v1/decisions", 405,
			headers("Content-Type", "application/problem+json", "Allow", "POST"), missing("method_not_allowed", "405"), ""},
		{"a method that the path doesn't have, answered", "PATCH", "/v1/decisions", 200, headers(), asked, "this status"},
	} {
		err := v.Response(c.method, c.path, c.status, c.header, []byte(c.body))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: got %v, want it good", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want an error about %q", c.name, err, c.want)
		}
	}
}

func TestARequestThatTheDocumentDoesNotHaveIsFound(t *testing.T) {
	v := newValidator(t)
	for _, c := range []struct {
		method, path, body string
		good               bool
	}{
		{"POST", "/v1/challenges/ch_a/verify", `{"code":"123456"}`, true},
		{"POST", "/v1/challenges/ch_a/verify", `{"code":123456}`, false},
		{"POST", "/v1/challenges/ch_a/verify", `{"code":"123456","verified":true}`, false},
		{"POST", "/v1/challenges/ch_a/verify", ``, false},
		{"POST", "/v1/enrolments/en_a/send", ``, true},
		{"POST", "/v1/enrolments/en_a/send", `{}`, true},
		{"POST", "/v1/enrolments/en_a/send", `{"factor":"fa_a"}`, false},
		{"PUT", "/v1/orgs/a/policy", `{"trust":{"days":7}}`, true},
		{"PUT", "/v1/orgs/a/policy", `{"trust":{"weeks":1}}`, false},
		{"GET", "/v1/orgs/a/policy", ``, true},
		{"GET", "/v1/orgs/a/policy", `{}`, false},
		{"GET", "/v1/orgs/a/policies", ``, false},
	} {
		if err := v.Request(c.method, c.path, []byte(c.body)); (err == nil) != c.good {
			t.Errorf("%s %s %s: got %v, want good: %v", c.method, c.path, c.body, err, c.good)
		}
	}
}
