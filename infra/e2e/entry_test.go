package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// entrances has what a client can say of a sign-in. None of it may make the question easier.
func entrances(sso string) map[string]doc {
	all := map[string]doc{
		"a password":                   {"first_factor": doc{"kind": "password"}},
		"a password that claims more":  {"first_factor": doc{"kind": "password", "amr": []string{"mfa", "hwk"}, "acr": "aal3"}},
		"another first factor":         {"first_factor": doc{"kind": "other"}},
		"another one that claims more": {"first_factor": doc{"kind": "other", "idp": "social", "amr": []string{"mfa"}, "acr": "aal3"}},
		"no risk":                      {"context": doc{"ip": "203.0.113.9", "user_agent": "Mozilla/5.0", "risk": "low"}},
		"a high risk":                  {"context": doc{"risk": "high"}},
		"made-up tokens":               {"trust_token": strings.Repeat("A", 86), "known_token": strings.Repeat("A", 86)},
		"a nonce":                      {"nonce": "n-1"},
		"a step-up":                    {"purpose": "step_up"},
		"a step-up after SSO":          {"purpose": "step_up", "first_factor": doc{"kind": "sso", "idp": "corp", "amr": []string{"mfa"}}},
		"a step-up with lines":         {"purpose": "step_up", "action": doc{"name": "pay", "lines": []string{"100 EUR to Bob"}}},
	}
	if sso != "bypass" {
		all["SSO"] = doc{"first_factor": doc{"kind": "sso", "idp": "corp"}}
		all["SSO with a password only"] = doc{"first_factor": doc{"kind": "sso", "idp": "corp", "amr": []string{"pwd"}}}
	}
	return all
}

func TestB3EveryWayInAsksForTheSame(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		for _, profile := range profiles() {
			p := person{"b3-" + profile, ana.id, ana.email}
			policy := w.policy(t, p.org, doc{"profile": profile})
			var a app
			if policy.text("methods", "totp") == "allowed" {
				a, _ = w.enrolApp(t, p, "")
			}
			first := w.asked(t, p, nil)
			want := kindsOf(first)
			for name, said := range entrances(policy.text("sso")) {
				name = profile + ", " + name
				decided := w.do(t, call{method: "POST", path: "/v1/decisions", body: p.signIn(said)}).want(t, 200, "")
				started := w.start(t, p, said).want(t, 201, "")
				if decided.text("decision") != "challenge" || started.text("decision") != "challenge" || started.at("token") != nil {
					t.Errorf("%s: got %s and %s, want a challenge", name, decided.raw, started.raw)
				}
				if got := kindsOf(started); !slices.Equal(got, want) {
					t.Errorf("%s: got the kinds %v, want %v", name, got, want)
				}
			}
			for _, kind := range []string{"totp", "webauthn", "sms", "email"} {
				if slices.Contains(want, kind) {
					continue
				}
				// A kind that the user can't answer with is a preference at a sign-in, and refused at a step-up.
				if got := kindsOf(w.asked(t, p, doc{"method": kind})); !slices.Equal(got, want) {
					t.Errorf("%s, %s preferred: got %v, want %v", profile, kind, got, want)
				}
				if got := w.start(t, p, doc{"method": kind, "purpose": "step_up"}); got.status < 400 && got.text("decision") != "enrol" {
					t.Errorf("%s, a step-up by %s: got %d %s", profile, kind, got.status, got.raw)
				}
			}
			w.refusesTheUnknown(t, p, first, a)
		}
	})
}

// refusesTheUnknown fails the test if a kind or a factor that doesn't exist is taken anywhere, or costs an attempt.
func (w *world) refusesTheUnknown(t *testing.T, p person, asked answer, a app) {
	t.Helper()
	for name, said := range map[string]doc{
		"method": {"method": "voice"}, "method, by a number": {"method": 2}, "first factor": {"first_factor": doc{"kind": "magic_link"}}, "purpose": {"purpose": "enrol"},
		"first factor, in capitals": {"first_factor": doc{"kind": "SSO"}}, "method, of a recovery": {"method": "recovery"},
	} {
		for _, path := range []string{"/v1/challenges", "/v1/decisions"} {
			if got := w.do(t, call{method: "POST", path: path, body: p.signIn(said)}); got.status != 400 || got.text("code") != "invalid_request" {
				t.Errorf("%s, an unknown %s at %s: got %d %s", p.org, name, path, got.status, got.raw)
			}
		}
	}
	w.begin(t, p, "voice", "").want(t, 400, "invalid_request")
	id := asked.text("challenge", "id")
	for _, factor := range []string{"fa_AAAAAAAAAAAAAAAAAAAAAA", "voice", "totp"} {
		if got := w.verify(t, id, doc{"factor": factor, "code": "123456"}); got.status/100 != 4 || got.status == 422 {
			t.Errorf("%s, the factor %q: got %d %s, want it refused and nothing spent", p.org, factor, got.status, got.raw)
		}
	}
	if a.secret == "" {
		return
	}
	left := w.verify(t, id, doc{"factor": a.factor, "code": wrong(a.code(t, w))}).want(t, 422, "wrong_code").number("attempts_left")
	if left != 4 {
		t.Errorf("%s: got %d attempts left, want 4", p.org, left)
	}
	verified := w.verify(t, id, doc{"factor": a.factor, "code": a.next(t, w)}).want(t, 200, "")
	if claims := w.claims(t, verified.text("token")); claims["verified"] != true || claims["acr"] != "aal2" || !slices.Contains(claims["amr"].([]any), any("otp")) {
		t.Errorf("%s: got the claims %v", p.org, fmt.Sprint(claims))
	}
}
