package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// quoted returns s as a JSON string.
func quoted(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // a text can always be encoded
	}
	return string(text)
}

// The code counts bytes, but a schema counts characters. So all long values here are ASCII.
func TestLengthsAndPatternsInTheDocumentAreThoseOfTheCode(t *testing.T) {
	w := newWorld(t)
	w.asks()
	long := func(n int) string { return strings.Repeat("a", n) }
	texts := func(most int) []string {
		return []string{"", "a", "é ö", long(most), long(most + 1), "a\nb", "a\x7f", "\u009f"}
	}
	ids := append(texts(128), " a", "a ", "a b", "\u00a0a", "a\u2028", "a\u3000", "\u1680", "\u0085", "a\u0085b", "a\u00a0b", "\tb", "é", ".", "~YQ")
	numbers := func(least, most int) (all []string) {
		for _, n := range []int{least - 1, least, most, most + 1} {
			all = append(all, fmt.Sprint(n))
		}
		return append(all, "1.5", `"5"`)
	}
	verify := "/v1/challenges/" + w.start().word("challenge.id") + "/verify"
	policy := func(group, setting string) string {
		return `{"acknowledge":true,"` + group + `":{"` + setting + `":%s}}`
	}
	for _, c := range []struct {
		method, path, body string
		texts, raw         []string
	}{
		{"PUT", "/v1/orgs/acme/users/u", `{"email":%s}`, []string{
			"a@b", "a@b.example", "a.b+c@b.example", "", "a", "@b", "a@", "a..b@c", ".a@b", "a.@b", "a@b.", "a@.b", "a@-b", "a@b-", "a@b-c", "a@b@c",
			"a b@c", "é@b", "a@é", "a@" + long(63), "a@" + long(64), "a@" + long(63) + "." + long(63) + "." + long(63) + "." + long(60),
			"a@" + long(63) + "." + long(63) + "." + long(63) + "." + long(61), "a\"@b", "!#$%&'*+-/=?^_`{|}~@b",
		}, nil},
		{"PUT", "/v1/orgs/acme/users/u", `{"phone":%s}`, []string{
			"+1234567", "+123456", "+123456789012345", "+1234567890123456", "+0123456789", "1234567", "+12345a7", "", "+१२३४५६७",
		}, nil},
		{"PUT", "/v1/orgs/acme/users/u", `{"name":%s}`, texts(200), nil},
		{"PUT", "/v1/orgs/acme/users/u", `{"locale":%s}`, []string{"e", "en", "fr-CA", "en_US", long(35), long(36), "é-é", ""}, nil},
		{"POST", "/v1/decisions", `{"org":"acme","user":{"id":%s}}`, ids, nil},
		{"POST", "/v1/decisions", `{"org":%s,"user":{"id":"u"}}`, ids, nil},
		{"POST", "/v1/decisions", `{"org":"acme","user":{"id":"u"},"action":%s,"purpose":"step_up"}`, texts(256), nil},
		{"POST", "/v1/decisions", `{"org":"acme","user":{"id":"u"},"nonce":%s}`, texts(256), nil},
		{"POST", "/v1/decisions", `{"org":"acme","user":{"id":"u"},"first_factor":{"idp":%s}}`, texts(256), nil},
		{"POST", "/v1/decisions", `{"org":"acme","user":{"id":"u"},"first_factor":{"acr":%s}}`, texts(256), nil},
		{"POST", "/v1/decisions", `{"org":"acme","user":{"id":"u"},"first_factor":{"amr":[%s]}}`, texts(64), nil},
		{"POST", "/v1/decisions", `{"org":"acme","user":{"id":"u"},"first_factor":{"amr":["a"%s]}}`, nil, []string{strings.Repeat(`,"a"`, 15), strings.Repeat(`,"a"`, 16)}},
		{"POST", "/v1/decisions", `{"org":"acme","user":{"id":"u"},"first_factor":{"at":%s}}`, []string{
			"2026-11-22T10:00:00Z", "2026-11-22T10:00:00.5+02:00", "2026-11-22", "2026-02-30T10:00:00Z", "2026-11-22 10:00:00Z", "",
		}, nil},
		{"POST", "/v1/decisions", `{"org":"acme","user":{"id":"u"},"context":{"user_agent":%s}}`, []string{"", "a\tb", long(2048), long(2049)}, nil},
		{"POST", "/v1/enrolments", `{"org":"acme","user":{"id":"u"},"kind":"totp","label":%s}`, texts(100), nil},
		{"POST", "/v1/enrolments", `{"org":"acme","user":{"id":"u"},"kind":"totp","on_behalf":{"actor":"a","reason":%s}}`, texts(500), nil},
		{"POST", "/v1/enrolments", `{"org":"acme","user":{"id":"u"},"kind":"totp","on_behalf":{"actor":%s,"reason":"r"}}`, ids, nil},
		{"PATCH", "/v1/orgs/acme/users/u/factors/fa_a", `{"label":%s}`, texts(100), nil},
		{"POST", verify, `{"code":%s}`, []string{"12345", "1234567", "12345a", "१२३४५६", "", " 12345"}, nil},
		{"POST", verify, `{"code":"123456","trust":{"name":%s}}`, texts(100), nil},
		{"POST", "/v1/orgs/acme/policy/preview", policy("challenge", "window_s"), nil, numbers(300, 900)},
		{"POST", "/v1/orgs/acme/policy/preview", policy("challenge", "email_code_s"), nil, numbers(60, 900)},
		{"POST", "/v1/orgs/acme/policy/preview", policy("challenge", "sms_code_s"), nil, numbers(60, 600)},
		{"POST", "/v1/orgs/acme/policy/preview", policy("challenge", "attempts"), nil, numbers(3, 10)},
		{"POST", "/v1/orgs/acme/policy/preview", policy("challenge", "sends"), nil, numbers(1, 10)},
		{"POST", "/v1/orgs/acme/policy/preview", policy("challenge", "resend_after_s"), nil, numbers(10, 300)},
		{"POST", "/v1/orgs/acme/policy/preview", policy("trust", "days"), nil, numbers(0, 90)},
		{"POST", "/v1/orgs/acme/policy/preview", policy("trust", "cap"), nil, numbers(1, 50)},
		{"POST", "/v1/orgs/acme/policy/preview", policy("recovery", "count"), nil, numbers(0, 20)},
		{"POST", "/v1/orgs/acme/policy/preview", policy("totp", "skew"), nil, numbers(0, 1)},
	} {
		for _, text := range c.texts {
			c.raw = append(c.raw, quoted(text))
		}
		for _, value := range c.raw {
			body := fmt.Sprintf(c.body, value)
			documented := w.check.Request(c.method, c.path, []byte(body)) == nil
			got := w.do(c.method, c.path, body, at("99"))
			if taken := got.word("code") != "invalid_request"; taken != documented {
				t.Errorf("%s %s %s: taken %v, documented %v\n%s", c.method, c.path, body, taken, documented, got.text)
			}
		}
	}
}

func TestAnIDInAPathIsWhatTheDocumentSaysItIs(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{
		"a", "a.b", "...", "....", ".a", "..a", ".", "..", "A-Z_@:+|=,", "a~", "a b", "a%", "é", strings.Repeat("a", 128), strings.Repeat("a", 173),
		"~", "~Y", "~YQ", "~YR", "~YWE", "~YWF", "~YWFh", "~YWFhY", "~YWFhYQ", "~YQ==", "~Y.", "~" + strings.Repeat("YWFh", 42) + "YWE",
		"~" + strings.Repeat("YWFh", 43) + "YQ",
	} {
		documented := w.check.Value("PathId", id) == nil
		got := w.do("GET", "/v1/orgs/"+url.PathEscape(id)+"/policy", "", func(r *http.Request) { r.URL.Path = "/v1/orgs/" + id + "/policy" })
		if taken := got.status == http.StatusOK; taken != documented {
			t.Errorf("%q: taken %v, documented %v\n%s", id, taken, documented, got.text)
		}
	}
}
