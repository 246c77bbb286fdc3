package api_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/api"
	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store/bolt"
	"countersign/pkg/store/fault"
	"countersign/pkg/store/storetest"
)

// A countedWorld is a world whose store counts its calls. In it, Ana has begun a challenge and an enrolment.
type countedWorld struct {
	*world
	store                *fault.Store
	challenge, enrolment string // ids
	reset                string // the id of a request for a reset that waits for an approver
	token                string // the token of the challenge
}

func newCountedWorld(t *testing.T) *countedWorld {
	t.Helper()
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	db, err := bolt.Open(filepath.Join(t.TempDir(), "store"), bolt.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	c := &countedWorld{store: fault.New(db)}
	c.world = newWorldOver(t, clock, c.store)
	c.wants("the policy", c.do("PUT", policy, `{"methods":{"email":"implicit"},"require":"everyone","reset":{"second_approver":true},"acknowledge":true}`, at("0")), 200)
	began := c.start()
	c.challenge, c.token = began.word("challenge.id"), began.word("challenge.token")
	c.reset = c.wants("a request", c.do("POST", anasPath+"/reset", `{"actor":"olga","reason":"lost"}`, as(c.make(apikey.Grant{Client: "backoffice", Scopes: apikey.Scopes()}))), 202).word("id")
	c.enrolment = c.wants("begin", c.do("POST", "/v1/enrolments", onBehalf(anasApp)), 201).word("id")
	return c
}

// goodBodies returns the bodies of valid requests, by operation. A route that isn't listed has no body, or an empty object.
func goodBodies() map[string]string {
	return map[string]string{
		"decide": ana, "startChallenge": ana, "verifyChallenge": `{"code":"123456"}`,
		"beginEnrolment": anasApp, "proveAddress": `{"code":"123456"}`, "finishEnrolment": `{"code":"123456"}`,
		"recoverChallenge": `{"code":"` + strings.Repeat("A", 24) + `"}`,
		"patchUser":        `{"enabled":true}`, "renameFactor": `{"label":"l"}`, "reportEvent": `{"kind":"signed_out"}`,
		"putPolicy": `{"profile":"kls"}`, "unlockUser": `{"actor":"olga","reason":"called"}`, "resetUser": `{"actor":"olga","reason":"lost"}`, "issuePass": `{"actor":"olga","reason":"forgot"}`,
		"requestReset": `{"reason":"lost"}`, "approveReset": `{"actor":"paul"}`, "cancelReset": `{"actor":"paul"}`,
		"introspect":  `{"org":"acme","user":"u-17","issued_at":"2026-11-22T10:00:00Z"}`,
		"importUsers": `{"id":"u-17"}`, "beginPortalSession": `{"org":"acme","user":"u-17"}`, "putBrand": `{}`, "previewPolicy": `{}`,
	}
}

// portalBodies returns the bodies of valid requests with a portal token, by operation, where they differ from those with an API key.
func portalBodies() map[string]string {
	return map[string]string{
		"startChallenge": `{"org":"acme","user":{"id":"u-17"},"purpose":"step_up"}`, "beginEnrolment": `{"kind":"totp"}`,
		"unlockUser": `{"reason":"called"}`, "resetUser": `{"reason":"lost"}`, "issuePass": `{"reason":"forgot"}`, "approveReset": `{}`, "cancelReset": `{}`,
	}
}

// ask makes the call of a route with a bearer. It returns the answer and the number of calls of the store.
func (c *countedWorld) ask(route api.Route, bearer string) (reply, int) {
	c.t.Helper()
	id := c.challenge
	switch {
	case strings.HasPrefix(route.Pattern, "/v1/enrolments"):
		id = c.enrolment
	case strings.HasPrefix(route.Pattern, "/v1/resets"):
		id = c.reset
	}
	path := strings.NewReplacer("{org}", "acme", "{user}", "u-17", "{id}", id, "{factor}", "fa_AAAAAAAAAAAAAAAAAAAAAA").Replace(route.Pattern)
	body := goodBodies()[route.Operation]
	if body == "" && route.Method != "GET" && route.Method != "HEAD" && route.Method != "DELETE" {
		body = "{}"
	}
	if token, made := strings.CutPrefix(bearer, seal.EnrolmentToken); made && token != "" && route.Operation == "beginEnrolment" {
		body = `{"kind":"totp"}`
	}
	if portal := portalBodies()[route.Operation]; portal != "" && strings.HasPrefix(bearer, seal.PortalToken) {
		body = portal
	}
	alterations := []alteration{as(bearer), with("X-Request-Id", "same"), c.reauthenticated()}
	if route.Method == "POST" {
		alterations = append(alterations, once("k"))
	}
	if route.Operation == "putPolicy" {
		alterations = append(alterations, at("0"))
	}
	c.store.Reset()
	got := c.do(route.Method, path, body, alterations...)
	return got, c.store.Counts().Calls()
}

// A caller with a made-up bearer must not hear what is wrong with the rest of the request, so the bearer is judged first.
func TestAMadeUpBearerIsRefusedBeforeAnythingElseIsJudged(t *testing.T) {
	w := newWorld(t)
	for _, bearer := range []string{"csk_x", "x", seal.NewFilter().NewBearer(seal.APIKey, make([]byte, 33)).Reveal()} {
		for _, route := range closedRoutes() {
			path := strings.NewReplacer("{org}", "a!b", "{user}", "a!b", "{id}", "x", "{factor}", "x").Replace(route.Pattern)
			w.refused(route.Operation, w.do(route.Method, path+"?unknown=1", `{"unknown":1`, as(bearer)), 401, "unauthenticated", "")
		}
	}
}

func TestATokenOfAKindThatACallDoesNotTakeIsRefusedBeforeItsBody(t *testing.T) {
	c := newCountedWorld(t)
	c.wants("the policy", c.do("PUT", "/v1/orgs/globex/policy", `{"require":"everyone","acknowledge":true}`, at("0")), 200)
	tokens := map[string]string{
		seal.ChallengeToken: c.token,
		seal.EnrolmentToken: c.wants("start", c.do("POST", "/v1/challenges", `{"org":"globex","user":{"id":"u-1","email":"a@globex.example"}}`), 201).word("enrolment.token"),
		seal.PortalToken:    c.portal(`{"org":"acme","user":"u-17"}`),
	}
	for _, scope := range apikey.Scopes() {
		tokens[string(scope)] = c.newKey([]apikey.Scope{scope}, "")
	}
	elsewhere := c.newKey(apikey.Scopes(), "globex")
	for _, route := range closedRoutes() {
		wrong := func(bearer string) reply {
			path := strings.NewReplacer("{org}", "acme", "{user}", "u-17", "{id}", "x", "{factor}", "x").Replace(route.Pattern)
			return c.do(route.Method, path+"?unknown=1", `{"unknown":1`, as(bearer))
		}
		for kind, bearer := range tokens {
			callers := strings.Fields(route.Callers)
			got, taken := wrong(bearer), slices.Contains(callers, kind)
			if !strings.HasSuffix(kind, "_") && !slices.ContainsFunc(callers, func(c string) bool { return !strings.HasSuffix(c, "_") }) {
				taken = true // no API key can make the call, which says so once the rest of the request is right
			}
			if (got.status == 400) != taken || !taken && got.status != 401 && got.status != 403 {
				t.Errorf("%s, by a token of the kind %s: got %d %s", route.Operation, kind, got.status, got.text)
			}
		}
		if strings.Contains(route.Pattern, "{org}") {
			c.refused(route.Operation+" of another org", wrong(elsewhere), 403, mfa.Forbidden, "")
		}
	}
}

// closedRoutes returns all routes that need a bearer.
func closedRoutes() (routes []api.Route) {
	for _, step := range api.Steps {
		for _, route := range step.Routes {
			if !route.Open {
				routes = append(routes, route)
			}
		}
	}
	return routes
}

func TestAMadeUpBearerReadsNothingOnAnyRoute(t *testing.T) {
	c := newCountedWorld(t)
	elsewhere := seal.NewFilter()
	altered := func(bearer string, at int) string {
		next := map[byte]byte{'A': 'B'}[bearer[at]]
		if next == 0 {
			next = 'A'
		}
		return bearer[:at] + string(next) + bearer[at+1:]
	}
	madeUp := map[string]string{
		"an API key made up":          elsewhere.NewBearer(seal.APIKey, make([]byte, 33)).Reveal(),
		"a challenge token so":        elsewhere.NewBearer(seal.ChallengeToken, make([]byte, 48)).Reveal(),
		"an enrolment token so":       elsewhere.NewBearer(seal.EnrolmentToken, make([]byte, 48)).Reveal(),
		"a portal token so":           elsewhere.NewBearer(seal.PortalToken, make([]byte, 48)).Reveal(),
		"a key, its client":           altered(c.key, 5),
		"a key, its scopes":           altered(c.key, len(seal.APIKey)+43),
		"a key, its random part":      altered(c.key, 60),
		"a key, its MAC":              altered(c.key, len(c.key)-2),
		"a key cut short":             c.key[:len(c.key)-4],
		"a key of another kind":       seal.ChallengeToken + c.key[4:],
		"a token, its challenge":      altered(c.token, 5),
		"a token, its MAC":            altered(c.token, len(c.token)-2),
		"a token of another kind":     seal.EnrolmentToken + c.token[4:],
		"a token as if it were a key": seal.APIKey + c.token[4:],
	}
	for _, route := range closedRoutes() {
		var heard string
		for name, bearer := range madeUp {
			got, reads := c.ask(route, bearer)
			if got.status != 401 {
				t.Errorf("%s, %s: got %d %s, want 401 (is this test's body a good one?)", route.Operation, name, got.status, got.text)
			}
			if heard == "" {
				heard = got.text
			}
			if reads != 0 || got.text != heard {
				t.Errorf("%s, %s: heard %s after %d calls of the store, want 0 and %s", route.Operation, name, got.text, reads, heard)
			}
		}
	}
}

func TestAKeyThatDoesNotFitTheCallReadsNothingOnAnyRoute(t *testing.T) {
	c := newCountedWorld(t)
	elsewhere := c.newKey(apikey.Scopes(), "globex")
	for _, route := range closedRoutes() {
		if route.Operation == "proveAddress" || route.Operation == "getEnrolment" || route.Operation == "getPortalSession" {
			continue // API keys can't make these calls
		}
		want := map[bool]mfa.ErrorCode{true: mfa.Forbidden}[!strings.Contains(route.Pattern, "{id}") || strings.Contains(route.Pattern, "{org}")]
		switch {
		case want != "":
		case strings.HasPrefix(route.Pattern, "/v1/challenges"):
			want = mfa.ChallengeInvalid
		case strings.HasPrefix(route.Pattern, "/v1/enrolments"):
			want = mfa.EnrolmentInvalid
		case strings.HasPrefix(route.Pattern, "/v1/resets"):
			want = mfa.NotFound
		}
		// A key that is limited to an org may ask for the list of orgs, and gets its own.
		if got, calls := c.ask(route, elsewhere); route.Operation != "listOrgs" && (got.at("code") != string(want) || calls != 0) {
			t.Errorf("%s, by a key of another org: got %s after %d calls of the store, want %s after none", route.Operation, got.text, calls, want)
		}
		refused := 0
		for _, scope := range apikey.Scopes() {
			others := slices.DeleteFunc(apikey.Scopes(), func(s apikey.Scope) bool { return s == scope })
			for _, scopes := range [][]apikey.Scope{{scope}, others} {
				c := newCountedWorld(t)
				for _, org := range []string{"", "acme"} {
					got, calls := c.ask(route, c.newKey(scopes, org))
					if got.at("code") != string(mfa.Forbidden) {
						continue
					}
					if refused++; calls != 0 {
						t.Errorf("%s, with the scopes %v: forbidden after %d calls of the store, want none", route.Operation, scopes, calls)
					}
				}
			}
		}
		if want := 2 * refusals(route); refused != want { // for every org, and for one
			t.Errorf("%s: %d keys of other scopes are refused, want %d", route.Operation, refused, want)
		}
	}
}

// refusals returns how many of the three scopes, and of the three pairs of scopes, are not enough for a route.
func refusals(route api.Route) int {
	switch route.Operation {
	case "sendEnrolmentCode", "finishEnrolment", "introspect": // two of the three scopes will do
		return 1
	}
	return 2 + 1
}

func TestATokenOfSomethingElseReadsNothingAndHearsWhatIsSaidOfWhatIsMissing(t *testing.T) {
	c := newCountedWorld(t)
	another := c.start().word("challenge.token")
	c.wants("the policy", c.do("PUT", "/v1/orgs/globex/policy", `{"require":"everyone","acknowledge":true}`, at("0")), 200)
	enrolling := c.wants("start", c.do("POST", "/v1/challenges", `{"org":"globex","user":{"id":"u-1","email":"a@globex.example"}}`), 201).word("enrolment.token")
	tried := 0
	for _, route := range closedRoutes() {
		if !strings.Contains(route.Pattern, "{id}") || strings.Contains(route.Pattern, "{org}") {
			continue
		}
		token := another
		if strings.HasPrefix(route.Pattern, "/v1/enrolments") {
			token = enrolling
		}
		got, calls := c.ask(route, token)
		if got.status == 401 {
			continue // tokens can't make that call
		}
		tried++
		there := *c
		there.challenge, there.enrolment = seal.ID("ch_", make([]byte, 32)), seal.ID("en_", make([]byte, 32))
		missing, _ := there.ask(route, c.key)
		if calls != 0 || got.text != missing.text || got.status != 404 {
			t.Errorf("%s: got %d %s after %d calls of the store, want none and %s", route.Operation, got.status, got.text, calls, missing.text)
		}
	}
	if tried < 5 {
		t.Errorf("%d routes were tried, want at least 5", tried)
	}
}
