package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"countersign/pkg/api"
	"countersign/pkg/api/openapi"
	"countersign/pkg/mfa"
)

func TestTheRoutesAndTheDocumentAgree(t *testing.T) {
	check, err := document()
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, step := range api.Steps {
		for _, r := range step.Routes {
			got = append(got, fmt.Sprint(r.Method, " ", r.Pattern, " ", r.Operation, " open ", r.Open))
		}
	}
	for _, o := range check.Operations() {
		want = append(want, fmt.Sprint(o.Method, " ", o.Pattern, " ", o.ID, " open ", o.Open))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the steps have\n%s\nand the document has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if names := slices.CompactFunc(slices.Sorted(slices.Values(got)), func(a, b string) bool {
		return strings.Fields(a)[2] == strings.Fields(b)[2]
	}); len(names) != len(got) {
		t.Error("two routes have one operation")
	}
}

func TestTheDocumentNamesTheTokensThatEachRouteTakes(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]any
	}
	if err := yaml.Unmarshal(openapi.Document, &doc); err != nil {
		t.Fatal(err)
	}
	schemes := map[string]string{
		"cst_": "challengeToken", "cse_": "enrolmentToken", "csp_": "portalToken", "csx_": "cancelToken",
		"sign_in": "apiKey", "manage": "apiKey", "admin": "apiKey",
	}
	for _, step := range api.Steps {
		for _, route := range step.Routes {
			said, stated := doc.Paths[route.Pattern][strings.ToLower(route.Method)].(map[string]any)["security"].([]any)
			want := map[string]bool{"apiKey": !stated}
			for _, scheme := range said {
				for name := range scheme.(map[string]any) {
					want[name] = true
				}
			}
			got := map[string]bool{"apiKey": false}
			for _, caller := range strings.Fields(route.Callers) {
				got[schemes[caller]] = true
			}
			if !maps.Equal(got, want) {
				t.Errorf("%s: the route takes %v, and the document says %v", route.Operation, got, want)
			}
		}
	}
}

func TestEveryCodeOfTheTableIsDocumented(t *testing.T) {
	var doc struct {
		Components struct {
			Schemas struct {
				Code struct {
					Description string
					Enum        []mfa.ErrorCode
				} `yaml:"Code"`
			}
		}
	}
	if err := yaml.Unmarshal(openapi.Document, &doc); err != nil {
		t.Fatal(err)
	}
	code := doc.Components.Schemas.Code
	var want []mfa.ErrorCode
	rows := 0
	for _, p := range api.Problems {
		want = append(want, p.Code)
		if row := fmt.Sprintf("| %d | `%s` | %s |\n", p.Status, p.Code, p.Title); strings.Contains(code.Description, row) {
			rows++
		} else {
			t.Errorf("the document has no row %s", row)
		}
		if p.Title == "" || p.Explanation == "" || p.Advice == "" {
			t.Errorf("%s isn't explained", p.Code)
		}
	}
	if !slices.Equal(code.Enum, want) {
		t.Errorf("the document has %v, want %v", code.Enum, want)
	}
	if got := strings.Count(code.Description, "\n| "); got != rows+1 {
		t.Errorf("the document has %d rows, want %d", got, rows+1)
	}
}

func TestAnExampleOfAProblemSaysWhatTheTableSays(t *testing.T) {
	var doc struct {
		Components struct {
			Responses struct {
				ProblemAnswer struct {
					Content map[string]struct {
						Examples map[string]struct {
							Value struct {
								Type, Title string
								Status      int
								Code        mfa.ErrorCode
							}
						}
					}
				} `yaml:"ProblemAnswer"`
			}
		}
	}
	if err := yaml.Unmarshal(openapi.Document, &doc); err != nil {
		t.Fatal(err)
	}
	examples := doc.Components.Responses.ProblemAnswer.Content["application/problem+json"].Examples
	if len(examples) < 5 {
		t.Errorf("%d examples were looked at, want 5 or more", len(examples))
	}
	for name, example := range examples {
		at := slices.IndexFunc(api.Problems, func(p api.Explanation) bool { return p.Code == example.Value.Code })
		if at < 0 {
			t.Errorf("example %s: no problem has the code %q", name, example.Value.Code)
			continue
		}
		p := api.Problems[at]
		if v := example.Value; v.Title != p.Title || v.Status != p.Status || v.Type != "/problems/"+string(p.Code) {
			t.Errorf("example %s: got %+v, want %d %s", name, v, p.Status, p.Title)
		}
	}
}

// The document says the defaults in words: "By default 30."
func TestTheDefaultsOfAPolicyAreDocumented(t *testing.T) {
	var doc struct {
		Components struct{ Schemas map[string]documented }
	}
	if err := yaml.Unmarshal(openapi.Document, &doc); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(mfa.DefaultPolicy())
	if err != nil {
		t.Fatal(err)
	}
	var standard map[string]any
	if err := json.Unmarshal(text, &standard); err != nil {
		t.Fatal(err)
	}
	checked := 0
	var walk func(place string, s documented, want map[string]any)
	walk = func(place string, s documented, want map[string]any) {
		for name, value := range want {
			about := s.Properties[name]
			if group, ok := value.(map[string]any); ok {
				walk(place+name+".", doc.Components.Schemas[about.Ref[strings.LastIndex(about.Ref, "/")+1:]], group)
				continue
			}
			checked++
			said, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			if word := "By default " + strings.ReplaceAll(string(said), `"`, "") + "."; !strings.Contains(about.Description, word) {
				t.Errorf("of %s%s the document says %q, and not %q", place, name, about.Description, word)
			}
		}
	}
	walk("", doc.Components.Schemas["PolicyChange"], standard)
	if checked < 30 {
		t.Errorf("%d settings were looked at, want 30 or more", checked)
	}
}

// documented has the parts of a schema that this test reads.
type documented struct {
	Description string
	Ref         string `yaml:"$ref"`
	Properties  map[string]documented
}

func TestEveryTypeOfEventIsDocumented(t *testing.T) {
	var doc struct {
		Components struct {
			Schemas struct {
				Event struct {
					Properties struct{ Type struct{ Description string } }
				} `yaml:"Event"`
			}
		}
	}
	if err := yaml.Unmarshal(openapi.Document, &doc); err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../mfa/event.go")
	if err != nil {
		t.Fatal(err)
	}
	named := func(pattern, text string) (all []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			all = append(all, m[1])
		}
		slices.Sort(all)
		return all
	}
	got := named("`([a-z]+\\.[a-z_]+)`", doc.Components.Schemas.Event.Properties.Type.Description)
	want := named(`(?m)^\t\w+ += "([a-z]+\.[a-z_]+)"$`, string(source))
	if len(want) < 20 || !slices.Equal(got, want) {
		t.Errorf("the document has\n%v\nand the code has\n%v", got, want)
	}
}

// Each code has one place in the table, and each code of package mfa is in the table.
func TestEveryCodeOfTheDomainIsInTheTableOnce(t *testing.T) {
	seen := map[mfa.ErrorCode]bool{}
	for _, p := range api.Problems {
		if seen[p.Code] {
			t.Errorf("%s stands twice", p.Code)
		}
		seen[p.Code] = true
	}
	for _, code := range []mfa.ErrorCode{
		mfa.InvalidRequest, mfa.Unauthenticated, mfa.Forbidden, mfa.MethodForbidden, mfa.ReauthenticationNeeded, mfa.StepUpNeeded,
		mfa.NotFound, mfa.ChallengeInvalid, mfa.EnrolmentInvalid, mfa.Busy, mfa.EmailPinned, mfa.LastFactor, mfa.RequiredByPolicy,
		mfa.AlreadyExists, mfa.AcknowledgementRequired, mfa.NothingToSend, mfa.VersionMismatch, mfa.PreconditionRequired, mfa.WrongCode,
		mfa.IdempotencyMismatch, mfa.Locked, mfa.TooManySends, mfa.DeliveryFailed, mfa.Unavailable,
	} {
		if !seen[code] {
			t.Errorf("%s isn't in the table", code)
		}
	}
}

func TestNullIsTakenWhereTheDocumentHasItAndNowhereElse(t *testing.T) {
	w := newWorld(t)
	w.asks()
	verify := "/v1/challenges/" + w.start().word("challenge.id") + "/verify"
	for _, c := range []struct {
		method, path, body string // with %s where the test can add a field
		within             map[string][]string
	}{
		{"POST", "/v1/decisions", `{"org":"acme","user":{"id":"u"%s}}`, map[string][]string{"": {"email", "phone", "name", "locale"}}},
		{"POST", "/v1/decisions", `{"org":"acme","user":{"id":"u","email":"a@b.example"},%s}`, map[string][]string{
			"":             {"first_factor", "purpose", "action", "nonce", "method", "trust_token", "context", "return_url"},
			"first_factor": {"kind", "at", "idp", "amr", "acr"},
			"context":      {"ip", "user_agent"},
		}},
		{"POST", "/v1/enrolments", `{"kind":"totp",%s}`, map[string][]string{"": {"org", "user", "label", "phone", "on_behalf"}}},
		{"POST", "/v1/enrolments", `{"org":"acme","user":{"id":"u"%s},"kind":"totp"}`, map[string][]string{"": {"email", "phone", "name", "locale"}}},
		{"POST", "/v1/enrolments", `{"org":"acme","user":{"id":"u"},%s}`, map[string][]string{"": {"kind"}, "on_behalf": {"actor", "reason"}}},
		{"POST", "/v1/enrolments/prove", `{%s}`, map[string][]string{"": {"code"}}},
		{"POST", "/v1/enrolments/en_a/finish", `{%s}`, map[string][]string{"": {"code"}}},
		{"POST", strings.Replace(verify, "/verify", "/recover", 1), `{%s}`, map[string][]string{"": {"code"}}},
		{"PATCH", "/v1/orgs/acme/users/u", `{%s}`, map[string][]string{"": {"enabled", "enforced", "grace_until"}}},
		{"PATCH", "/v1/orgs/acme/users/u/factors/fa_a", `{%s}`, map[string][]string{"": {"label"}}},
		{"POST", "/v1/orgs/acme/users/u/events", `{%s}`, map[string][]string{"": {"kind"}}},
		{"PUT", "/v1/orgs/acme/users/u", `{%s}`, map[string][]string{"": {"id", "email", "phone", "name", "locale"}}},
		{"POST", strings.Replace(verify, "/verify", "/send", 1), `{%s}`, map[string][]string{"": {"factor"}}},
		{"POST", verify, `{"code":"x",%s}`, map[string][]string{"": {"factor", "trust"}, "trust": {"name"}}},
		{"PUT", "/v1/orgs/other/policy", `{%s}`, map[string][]string{
			"": {"email_backup", "require", "effect", "grace_until", "max_skips", "sso", "sso_amr", "sso_acr", "sso_max_age_s",
				"enrolment_proof", "locale", "methods", "trust", "profile", "acknowledge", "org", "version", "updated"},
			"methods":   {"totp", "webauthn", "sms", "email"},
			"challenge": {"window_s", "email_code_s", "sms_code_s", "attempts", "sends", "resend_after_s"},
			"trust":     {"days", "cap", "rotate"}, "recovery": {"count", "effect"}, "webauthn": {"user_verification"},
			"totp": {"skew"}, "sms": {"countries", "daily_cap", "user_daily_cap", "hourly_prefix_cap", "min_conversion"}, "reset": {"reason", "second_approver", "hold_s"}, "risk": {"high"},
		}},
	} {
		for group, fields := range c.within {
			for _, field := range fields {
				path, said := field, `"`+field+`":null`
				if group != "" {
					path, said = group+"."+field, `"`+group+`":{`+said+`}`
				}
				if strings.Contains(c.body, `"u"%s`) {
					path, said = "user."+field, ","+said
				}
				body := fmt.Sprintf(c.body, said)
				documented := w.check.Request(c.method, c.path, []byte(strings.Replace(body, `"code":"x"`, `"code":"123456"`, 1))) == nil
				got := w.do(c.method, c.path, body, at("99"))
				taken := got.word("param") != path
				if taken != documented {
					t.Errorf("%s %s with null for %s: taken %v, documented %v\n%s", c.method, c.path, path, taken, documented, got.text)
				}
			}
		}
	}
}
