package api_test

import (
	"slices"
	"strings"
	"testing"

	"countersign/pkg/api"
	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
)

// A repeatable is a POST that succeeds once. An API key needs one of the scopes for it.
type repeatable struct {
	path, body  string
	scopes      []apikey.Scope
	alterations []alteration
	byToken     bool // whether only a token, and no API key, can make the call
}

// repeatables returns, by the name of its operation, how to prepare a world in which a POST of the route table succeeds. An
// operation may have several.
func repeatables() map[string][]func(w *world) repeatable {
	signIn, manage := []apikey.Scope{apikey.SignIn}, []apikey.Scope{apikey.Manage}
	begun := func(w *world, body string) string {
		return w.wants("begin", w.do("POST", "/v1/enrolments", body, w.reauthenticated()), 201).word("id")
	}
	finishing := func(body string, scopes ...apikey.Scope) func(w *world) repeatable {
		return func(w *world) repeatable {
			begun := w.wants("begin", w.do("POST", "/v1/enrolments", body, w.reauthenticated()), 201)
			return repeatable{path: "/v1/enrolments/" + begun.word("id") + "/finish", body: w.shown(begun.word("totp.secret")), scopes: scopes}
		}
	}
	resending := func(body string, scopes ...apikey.Scope) func(w *world) repeatable {
		return func(w *world) repeatable {
			id := begun(w, strings.Replace(body, "totp", "email", 1))
			w.clock.Advance(31e9)
			return repeatable{path: "/v1/enrolments/" + id + "/send", body: "{}", scopes: scopes}
		}
	}
	waiting := func(w *world, settings string) (path string) {
		w.enrolled()
		w.wants("the policy", w.do("PUT", policy, settings, at("0")), 200)
		other := as(w.make(apikey.Grant{Client: "backoffice", Scopes: apikey.Scopes()}))
		return "/v1/resets/" + w.wants("a request", w.do("POST", anasPath+"/reset", `{"actor":"olga","reason":"lost"}`, other), 202).word("id")
	}
	return map[string][]func(w *world) repeatable{
		"decide": {func(*world) repeatable {
			return repeatable{path: "/v1/decisions", body: ana, scopes: signIn}
		}},
		"startChallenge": {func(*world) repeatable {
			return repeatable{path: "/v1/challenges", body: strings.TrimSuffix(ana, "}") + `,"return_url":"https://app.example/back"}`, scopes: signIn}
		}},
		"sendCode": {func(w *world) repeatable {
			w.asks()
			id := w.start().word("challenge.id")
			w.clock.Advance(31e9)
			return repeatable{path: "/v1/challenges/" + id + "/send", body: "{}", scopes: signIn}
		}},
		"verifyChallenge": {func(w *world) repeatable {
			w.asks()
			id := w.start().word("challenge.id")
			return repeatable{path: "/v1/challenges/" + id + "/verify", body: `{"code":"` + w.mail.last() + `","trust":{"name":"n"}}`, scopes: signIn}
		}},
		"recoverChallenge": {func(w *world) repeatable {
			_, finished := w.enrolled()
			return repeatable{path: "/v1/challenges/" + w.start().word("challenge.id") + "/recover", body: codeOf(finished, 0), scopes: signIn}
		}},
		"beginEnrolment": {
			func(w *world) repeatable {
				return repeatable{path: "/v1/enrolments", body: anasApp, scopes: manage, alterations: []alteration{w.reauthenticated()}}
			},
			func(w *world) repeatable {
				return repeatable{path: "/v1/enrolments", body: onBehalf(anasApp), scopes: []apikey.Scope{apikey.Admin}}
			},
		},
		"proveAddress": {func(w *world) repeatable {
			token := as(w.mustEnrol("").word("enrolment.token"))
			w.wants("begin", w.do("POST", "/v1/enrolments", `{"kind":"totp"}`, token), 201)
			return repeatable{path: "/v1/enrolments/prove", body: `{"code":"` + w.mail.last() + `"}`, alterations: []alteration{token}, byToken: true}
		}},
		"sendEnrolmentCode": {resending(anasApp, apikey.Manage), resending(onBehalf(anasApp), apikey.Manage, apikey.Admin)},
		"finishEnrolment":   {finishing(anasApp, apikey.Manage), finishing(onBehalf(anasApp), apikey.Manage, apikey.Admin)},
		"makeRecoveryCodes": {func(w *world) repeatable {
			secret, _ := w.enrolled()
			token := w.steppedUp(secret, "null")
			return repeatable{path: anasPath + "/recovery-codes", scopes: manage, alterations: []alteration{w.reauthenticated(), proof(token)}}
		}},
		"reportEvent": {func(w *world) repeatable {
			w.wants("a user", w.do("PUT", anasPath, "{}"), 200)
			return repeatable{path: anasPath + "/events", body: `{"kind":"signed_out"}`, scopes: manage}
		}},
		"introspect": {func(*world) repeatable {
			return repeatable{path: "/v1/introspect", body: `{"org":"acme","user":"u-17","issued_at":"2026-11-22T10:00:00Z"}`, scopes: []apikey.Scope{apikey.SignIn, apikey.Manage}}
		}},
		"unlockUser": {func(w *world) repeatable {
			w.wants("a user", w.do("PUT", anasPath, "{}"), 200)
			return repeatable{path: anasPath + "/unlock", body: `{"actor":"olga","reason":"called"}`, scopes: []apikey.Scope{apikey.Admin}}
		}},
		"resetUser": {func(w *world) repeatable {
			w.enrolled()
			return repeatable{path: anasPath + "/reset", body: `{"actor":"olga","reason":"lost"}`, scopes: []apikey.Scope{apikey.Admin}}
		}},
		"requestReset": {func(w *world) repeatable {
			w.enrolled()
			w.wants("the policy", w.do("PUT", policy, `{"reset":{"self_service":"approve"}}`, at("0")), 200)
			return repeatable{path: "/v1/challenges/" + w.start().word("challenge.id") + "/reset-request", body: `{"reason":"lost"}`, scopes: signIn}
		}},
		"approveReset": {func(w *world) repeatable {
			path := waiting(w, `{"reset":{"second_approver":true,"hold_s":60}}`)
			return repeatable{path: path + "/approve", body: `{"actor":"paul"}`, scopes: []apikey.Scope{apikey.Admin}}
		}},
		"cancelReset": {func(w *world) repeatable {
			return repeatable{path: waiting(w, `{"reset":{"hold_s":60}}`) + "/cancel", body: `{"actor":"olga"}`, scopes: []apikey.Scope{apikey.Admin}}
		}},
		"beginPortalSession": {
			func(w *world) repeatable {
				w.wants("a user", w.do("PUT", anasPath, "{}"), 200)
				return repeatable{path: "/v1/portal-sessions", body: `{"org":"acme","user":"u-17"}`, scopes: manage}
			},
			func(w *world) repeatable {
				w.wants("a user", w.do("PUT", anasPath, "{}"), 200)
				return repeatable{path: "/v1/portal-sessions", body: `{"org":"acme","administrator":{"org":"acme","user":"u-17"}}`, scopes: []apikey.Scope{apikey.Admin}}
			},
		},
		"issuePass": {func(w *world) repeatable {
			w.enrolled()
			w.wants("passes", w.do("PUT", policy, `{"pass":{"max_s":3600}}`, at("0")), 200)
			return repeatable{path: anasPath + "/passes", body: `{"actor":"olga","reason":"forgot"}`, scopes: []apikey.Scope{apikey.Admin}}
		}},
		"importUsers": {func(*world) repeatable {
			return repeatable{path: importPath, body: `{"id":"u-17"}`, scopes: []apikey.Scope{apikey.Admin}}
		}},
		"previewPolicy": {func(*world) repeatable {
			return repeatable{path: policy + "/preview", body: "{}", scopes: []apikey.Scope{apikey.Admin}}
		}},
	}
}

func TestARememberedAnswerIsGivenOnlyToAKeyThatCouldMakeTheCallNow(t *testing.T) {
	prepare := repeatables()
	for _, step := range api.Steps {
		for _, route := range step.Routes {
			if route.Method != "POST" || route.Open {
				continue
			}
			if len(prepare[route.Operation]) == 0 {
				t.Errorf("%s: this test has no call of it that succeeds", route.Operation)
			}
			for _, bring := range prepare[route.Operation] {
				t.Run(route.Operation, func(t *testing.T) {
					w := newWorld(t)
					call := bring(w)
					post := func(more ...alteration) reply {
						return w.do("POST", call.path, call.body, append(append(slices.Clone(call.alterations), with("X-Request-Id", "same")), more...)...)
					}
					first := post(once("k"))
					if first.status >= 300 {
						t.Fatalf("the call: got %d %s, want a success", first.status, first.text)
					}
					if call.byToken {
						w.refused("an API key", post(once("k"), as(w.key)), 401, mfa.Unauthenticated, "")
						return
					}
					narrow := map[string]apikey.Grant{
						"for another org": {Client: "portal", Scopes: apikey.Scopes(), Org: "globex", Origins: []string{"https://app.example"}},
					}
					for _, scope := range apikey.Scopes() {
						if !slices.Contains(call.scopes, scope) {
							narrow["with the scope "+string(scope)] = apikey.Grant{Client: "portal", Scopes: []apikey.Scope{scope}, Origins: []string{"https://app.example"}}
						}
					}
					if route.Operation == "startChallenge" {
						narrow["without the origin"] = apikey.Grant{Client: "portal", Scopes: apikey.Scopes()}
					}
					for name, k := range narrow {
						key := as(w.make(k))
						anew := post(key)
						if got := post(once("k"), key); got.text == first.text || got.text != anew.text || got.status != anew.status {
							t.Errorf("a key %s: got %d %s, want what it hears without an Idempotency-Key, %d %s", name, got.status, got.text, anew.status, anew.text)
						}
						if got := post(once("k2"), key); got.text != anew.text {
							t.Errorf("a key %s, with a key of its own: got %d %s, want %s", name, got.status, got.text, anew.text)
						}
					}
					enough := apikey.Grant{Client: "portal", Org: "acme", Origins: []string{"https://app.example"}}
					for _, scope := range call.scopes {
						enough.Scopes = []apikey.Scope{scope}
						if got := post(once("k"), as(w.make(enough))); got.text != first.text {
							t.Errorf("a key of the org and the scope %s: got %d %s, want the first answer", scope, got.status, got.text)
						}
					}
				})
			}
		}
	}
}
