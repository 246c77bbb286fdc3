package api_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
)

// portal begins a portal session and redeems its link.
func (w *world) portal(body string, alterations ...alteration) string {
	w.t.Helper()
	begun := w.wants("a portal session", w.do("POST", "/v1/portal-sessions", body, alterations...), 201)
	link, _ := strings.CutPrefix(begun.word("url"), "http://localhost:8080/pages/portal/")
	return w.wants("the handle", w.do("POST", "/v1/handles", `{"handle":"`+link+`"}`, without("Authorization")), 200).word("token")
}

// now is the time of the world's clock as a JSON text.
func (w *world) now() string { return `"` + w.clock.Now().UTC().Format(time.RFC3339) + `"` }

// usersSession begins the portal session of a user who has just given the password.
func (w *world) usersSession(org, user string) string {
	w.t.Helper()
	return w.portal(`{"org":"` + org + `","user":"` + user + `","reauthenticated_at":` + w.now() + `}`)
}

// administrators begins the portal session of an administrator who is a user of the org.
func (w *world) administrators(org, user string) string {
	w.t.Helper()
	return w.portal(`{"org":"` + org + `","administrator":{"org":"` + org + `","user":"` + user + `"},"reauthenticated_at":` + w.now() + `}`)
}

// An appUser is a user who has an authenticator app.
type appUser struct{ org, id, secret string }

// withApp makes a user who has enrolled an app.
func (w *world) withApp(org, user string) appUser {
	w.t.Helper()
	someone := `{"org":"` + org + `","user":{"id":"` + user + `"}`
	begun := w.wants("begin", w.do("POST", "/v1/enrolments", someone+`,"kind":"totp"}`, w.reauthenticated()), 201)
	secret := begun.word("totp.secret")
	w.wants("finish", w.do("POST", "/v1/enrolments/"+begun.word("id")+"/finish", w.shown(secret)), 201)
	return appUser{org, user, secret}
}

// stepsUp lets the user of a portal token step up, and returns the proof.
func (w *world) stepsUp(u appUser, token string) string {
	w.t.Helper()
	w.clock.Advance(30 * time.Second)
	began := w.wants("a step-up", w.do("POST", "/v1/challenges", `{"org":"`+u.org+`","user":{"id":"`+u.id+`"},"purpose":"step_up"}`, as(token)), 201)
	verified := w.do("POST", "/v1/challenges/"+began.word("challenge.id")+"/verify", w.shown(u.secret), as(began.word("challenge.token")))
	return w.wants("verify", verified, 200).word("token")
}

func TestAPortalSessionIsSeenByItsOwnTokenOnly(t *testing.T) {
	w := newWorld(t)
	w.withApp("acme", "u-17")
	w.withApp("ops", "olga")
	w.wants("the brand", w.do("PUT", "/v1/orgs/acme/brand", `{"name":"Acme"}`, at("0")), 200)
	token := w.portal(`{"org":"acme","user":"u-17","reauthenticated_at":` + w.now() + `,"return_url":"https://app.example/settings","locale":"fr"}`)
	got := w.wants("look", w.do("GET", "/v1/portal-sessions", "", as(token)), 200)
	for path, want := range map[string]string{"org": "acme", "user": "u-17", "return_url": "https://app.example/settings", "locale": "fr", "brand.name": "Acme", "expires": "2026-11-22T11:00:00Z", "reauthenticated_at": "2026-11-22T10:00:00Z"} {
		if got.word(path) != want {
			t.Errorf("%s: got %q, want %q", path, got.word(path), want)
		}
	}
	if kinds, _ := got.at("account.kinds").([]any); len(kinds) == 0 || got.at("account.recovery_codes") != 10.0 {
		t.Errorf("got %s, want what the user can do", got.text)
	}
	got = w.wants("look", w.do("GET", "/v1/portal-sessions", "", as(w.portal(`{"org":"acme","administrator":{"org":"ops","user":"olga"}}`))), 200)
	if got.word("org") != "acme" || got.at("user") != nil || got.word("administrator.org") != "ops" || got.word("administrator.user") != "olga" || got.at("reauthenticated_at") != nil || got.at("account") != nil {
		t.Errorf("an administrator's: got %s", got.text)
	}
	w.refused("with an API key", w.do("GET", "/v1/portal-sessions", ""), 401, mfa.Unauthenticated, "")
}

func TestThePortalSaysWhichFactorsCannotBeRemovedAndRemovingThemIsRefusedForThatReason(t *testing.T) {
	w := newWorld(t)
	w.wants("the policy", w.do("PUT", policy, `{"enrolment_proof":"none","require":"everyone","acknowledge":true}`, at("0")), 200)
	app := w.withApp("acme", "u-17")
	token := w.usersSession("acme", "u-17")
	got := w.wants("look", w.do("GET", "/v1/portal-sessions", "", as(token)), 200)
	kept, _ := got.at("account.kept").([]any)
	if len(kept) != 1 || kept[0].(map[string]any)["reason"] != "last_factor" {
		t.Fatalf("got %s, want a factor that is kept because it is the last", got.text)
	}
	factor := kept[0].(map[string]any)["factor"].(string)
	w.refused("remove", w.do("DELETE", anasPath+"/factors/"+factor, "", as(token), proof(w.stepsUp(app, token))), 409, mfa.LastFactor, "")
}

func TestAPortalSessionBeginsOnlyForAPersonWhomTheKeyIsGoodFor(t *testing.T) {
	w := newWorld(t)
	w.withApp("acme", "u-17")
	w.withApp("ops", "olga")
	const path = "/v1/portal-sessions"
	limited := as(w.newKey(apikey.Scopes(), "acme"))
	w.wants("a user, by a key for the org", w.do("POST", path, `{"org":"acme","user":"u-17"}`, limited), 201)
	w.wants("an administrator, by such a key", w.do("POST", path, `{"org":"acme","administrator":{"org":"acme","user":"u-17"}}`, limited), 201)
	w.refused("the operator's own, by such a key", w.do("POST", path, `{"org":"acme","administrator":{"org":"ops","user":"olga"}}`, limited), 403, mfa.Forbidden, "")
	w.refused("another org, by such a key", w.do("POST", path, `{"org":"ops","user":"olga"}`, limited), 403, mfa.Forbidden, "")
	w.refused("a user without manage", w.do("POST", path, `{"org":"acme","user":"u-17"}`, as(w.newKey([]apikey.Scope{apikey.SignIn, apikey.Admin}, ""))), 403, mfa.Forbidden, "")
	w.refused("an administrator without admin", w.do("POST", path, `{"org":"acme","administrator":{"org":"acme","user":"u-17"}}`, as(w.newKey([]apikey.Scope{apikey.SignIn, apikey.Manage}, ""))), 403, mfa.Forbidden, "")
	w.refused("nobody", w.do("POST", path, `{"org":"acme","user":"u-99"}`), 404, mfa.NotFound, "")
	w.refused("a user and an administrator", w.do("POST", path, `{"org":"acme","user":"u-17","administrator":{"org":"acme","user":"u-17"}}`), 400, mfa.InvalidRequest, "administrator")
	w.refused("neither", w.do("POST", path, `{"org":"acme"}`), 400, mfa.InvalidRequest, "user")
	w.refused("no org", w.do("POST", path, `{"user":"u-17"}`), 400, mfa.InvalidRequest, "org")
	w.refused("elsewhere", w.do("POST", path, `{"org":"acme","user":"u-17","return_url":"https://evil.example/"}`), 400, mfa.InvalidRequest, "return_url")
	w.refused("no language", w.do("POST", path, `{"org":"acme","user":"u-17","locale":"x"}`), 400, mfa.InvalidRequest, "locale")
	w.refused("a password of tomorrow", w.do("POST", path, `{"org":"acme","user":"u-17","reauthenticated_at":"2026-11-23T10:00:00Z"}`), 400, mfa.InvalidRequest, "reauthenticated_at")
	w.refused("by a portal token", w.do("POST", path, `{"org":"acme","user":"u-17"}`, as(w.usersSession("acme", "u-17"))), 401, mfa.Unauthenticated, "")
	w.wants("deprovision", w.do("POST", "/v1/orgs/acme/users/u-17/events", `{"kind":"deprovisioned"}`), 200)
	w.refused("who was deprovisioned", w.do("POST", path, `{"org":"acme","user":"u-17"}`), 403, mfa.Forbidden, "")
}

func TestTheLinkOfAPortalSessionIsGoodOnceAndForTenMinutes(t *testing.T) {
	w := newWorld(t)
	w.withApp("acme", "u-17")
	begin := func() string {
		url := w.wants("begin", w.do("POST", "/v1/portal-sessions", `{"org":"acme","user":"u-17"}`), 201).word("url")
		return `{"handle":"` + url[strings.LastIndex(url, "/")+1:] + `"}`
	}
	redeem := func(handle string) reply { return w.do("POST", "/v1/handles", handle, without("Authorization")) }
	handle := begin()
	got := w.wants("the first time", redeem(handle), 200)
	if got.word("kind") != "portal" || got.word("expires") != "2026-11-22T11:00:00Z" || !strings.HasPrefix(got.word("token"), "csp_") {
		t.Errorf("got %s", got.text)
	}
	w.refused("the second time", redeem(handle), 404, mfa.NotFound, "")
	handle = begin()
	w.clock.Advance(10 * time.Minute)
	w.refused("after ten minutes", redeem(handle), 404, mfa.NotFound, "")
}

// Which portal sessions may make a call, by operation: a user's own, an administrator's of the org, or both. No other operation takes any.
var (
	ofUsers          = []string{"startChallenge", "getUser", "patchUser", "renameFactor", "removeFactor", "makeRecoveryCodes", "listBrowsers", "revokeBrowsers", "revokeBrowser", "getUserActivity", "beginEnrolment", "sendEnrolmentCode", "finishEnrolment", "getPortalSession"}
	ofAdministrators = []string{
		"getUser", "getPolicy", "putPolicy", "previewPolicy", "getBrand", "putBrand", "listUsers", "getAdoption", "getOrgActivity", "unlockUser", "resetUser", "issuePass", "revokePass",
		"listResets", "getReset", "approveReset", "cancelReset", "sendEnrolmentCode", "finishEnrolment", "getPortalSession",
	}
)

func TestAPortalTokenIsGoodForTheCallsOfItsPersonAndItsOrgOnly(t *testing.T) {
	c := newCountedWorld(t)
	for _, who := range [][2]string{{"acme", "u-18"}, {"acme", "olga"}, {"globex", "u-17"}, {"globex", "olga"}} {
		c.wants("a user", c.do("PUT", "/v1/orgs/"+who[0]+"/users/"+who[1], `{}`), 200)
	}
	tokens := map[string]string{
		"another user's": c.usersSession("acme", "u-18"), "the same id's of another org": c.usersSession("globex", "u-17"),
		"an administrator's": c.administrators("acme", "olga"), "another org's administrator's": c.administrators("globex", "olga"),
	}
	for _, route := range closedRoutes() {
		tokens["the user's own"] = c.usersSession("acme", "u-17") // some calls end it
		for whose, token := range tokens {
			fits := whose == "the user's own" && slices.Contains(ofUsers, route.Operation) || whose == "an administrator's" && slices.Contains(ofAdministrators, route.Operation) ||
				route.Operation == "getPortalSession" ||
				route.Operation == "beginEnrolment" && !strings.Contains(whose, "administrator") // the body names nobody, so it is about the token's own user
			got, calls := c.ask(route, token)
			switch refused := got.status == 401 || got.at("code") == string(mfa.Forbidden) || got.at("code") == string(mfa.EnrolmentInvalid) || got.at("code") == string(mfa.NotFound); {
			case !fits && (!refused || calls != 0):
				t.Errorf("%s, %s: got %d %s after %d calls of the store, want it refused after none", route.Operation, whose, got.status, got.text, calls)
			case fits && (got.status == 401 || calls == 0):
				t.Errorf("%s, %s: got %d %s after %d calls of the store, want it to be let through", route.Operation, whose, got.status, got.text, calls)
			}
		}
	}
}

func TestL4APortalTokenOfOneOrgIsAMadeUpOneInAnotherOnAnyRoute(t *testing.T) {
	c := newCountedWorld(t)
	for _, who := range [][2]string{{"acme", "u-17"}, {"globex", "u-17"}, {"globex", "olga"}} {
		c.wants("a user", c.do("PUT", "/v1/orgs/"+who[0]+"/users/"+who[1], `{}`), 200)
	}
	tokens := map[string]string{"a user's": c.usersSession("globex", "u-17"), "an administrator's": c.administrators("globex", "olga")}
	named := 0
	for _, route := range closedRoutes() {
		if !strings.Contains(route.Pattern, "{org}") && route.Operation != "startChallenge" {
			continue // it names no org, or what it names carries one
		}
		named++
		for whose, token := range tokens {
			heard, calls := c.ask(route, token)
			madeUp, _ := c.ask(route, "csp_"+strings.Repeat("A", len(token)-len("csp_")))
			got, want := strings.ReplaceAll(heard.text, heard.word("request_id"), ""), strings.ReplaceAll(madeUp.text, madeUp.word("request_id"), "")
			if heard.status != madeUp.status || got != want || calls != 0 {
				t.Errorf("%s, %s: got %d %s after %d calls of the store, want what is heard with a made-up one: %d %s", route.Operation, whose, heard.status, got, calls, madeUp.status, want)
			}
		}
	}
	if named < 20 {
		t.Errorf("only %d routes were tried", named)
	}
}
