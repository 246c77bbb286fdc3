package demo_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// openHosted opens the demo in a browser in which hosted pages ask. The browser is at the issuer's host, as theirs is.
func openHosted(t *testing.T) *browser {
	t.Helper()
	b := open(t)
	b.base = b.atLocalhost()
	b.asNew()
	return b
}

// asNew makes it a browser that was never here, in which hosted pages ask.
func (b *browser) asNew() {
	b.t.Helper()
	b.clear()
	b.choose(hostedWay)
}

// leave sends a form that leads to a hosted page, and returns the address of the page.
func (b *browser) leave(action string, fields ...string) string {
	b.t.Helper()
	r := b.form(action, fields...)
	b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a := b.do(r)
	b.http.CheckRedirect = nil
	to := a.Header.Get("Location")
	if !strings.HasPrefix(to, b.base+"/pages/") {
		b.t.Fatalf("%s: the browser goes to %q, want a hosted page", action, to)
	}
	return to
}

// signInAt signs a user of an organisation in, as far as the hosted page.
func (b *browser) signInAt(org, user string) string {
	b.t.Helper()
	return b.leave("/demo/hosted/sign-in", "org", org, "user", user, "password", "x", "how", "password")
}

// A hosted is what a hosted page holds once its link was redeemed.
type hosted struct{ ID, Token string }

// redeem does what the page of a link does.
func (b *browser) redeem(link string) (h hosted) {
	b.t.Helper()
	b.api("POST", "/v1/handles", "", map[string]any{"handle": link[strings.LastIndex(link, "/")+1:]}, &h)
	return h
}

// api makes a call of the API with a bearer, which has to succeed.
func (b *browser) api(method, path, bearer string, body, into any) {
	b.t.Helper()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			b.t.Fatal(err)
		}
	}
	answer := b.called(method, path, bearer, string(text))
	if into != nil {
		if err := json.Unmarshal([]byte(answer), into); err != nil {
			b.t.Fatal(err)
		}
	}
}

// sentCode returns the newest code that was sent to an address.
func (b *browser) sentCode(to string) string {
	b.t.Helper()
	found := regexp.MustCompile(`"code":"(\d{6})"`).FindAllStringSubmatch(b.local("GET", "/local/outbox?to="+url.QueryEscape(to), ""), -1)
	if len(found) == 0 {
		b.t.Fatalf("no code was sent to %s", to)
	}
	return found[len(found)-1][1]
}

// answers answers a challenge as the hosted page does, with the code that was sent to an address.
func (b *browser) answers(h hosted, to string, trust bool) {
	b.t.Helper()
	body := map[string]any{"code": b.sentCode(to)}
	if trust {
		body["trust"] = map[string]any{"name": "A browser"}
	}
	b.api("POST", "/v1/challenges/"+h.ID+"/verify", h.Token, body, nil)
}

// back comes back from a hosted page.
func (b *browser) back(id string) {
	b.t.Helper()
	b.do(b.request("GET", "/demo/return?challenge="+url.QueryEscape(id), nil))
}

// inByHosted signs ana of the demo's own organisation in by the hosted page.
func inByHosted(t *testing.T) *browser {
	t.Helper()
	b := openHosted(t)
	h := b.redeem(b.signInAt("demo", "ana"))
	b.answers(h, "ana@demo.example", false)
	b.back(h.ID)
	b.want("Hello, ana")
	return b
}

func TestASignInByHostedPagesComesBackWithTheTokenAndTheTrust(t *testing.T) {
	b := openHosted(t)
	b.want("Hosted pages", "Organisation", "this window goes there")
	h := b.redeem(b.signInAt("demo", "ana"))
	b.answers(h, "ana@demo.example", true)
	b.back(h.ID)
	b.want("Hello, ana", "Decision challenge", "Reason new_browser", "trusted until", `"verified": true`, `"sub": "ana"`, `"org": "demo"`, `"aud": "local"`)
	for _, call := range []string{"POST /v1/challenges", "201, challenge, new_browser", "GET /v1/challenges/ch_", "200, verified", "GET /.well-known/jwks.json"} {
		if !strings.Contains(b.page, call) {
			t.Errorf("the page doesn't show the call %q", call)
		}
	}
	for _, secret := range []string{"csk_", "cst_", "csh_", "cbt_", "ckt_", "eyJ"} {
		if strings.Contains(b.page, secret) {
			t.Errorf("the page holds a %s…", secret)
		}
	}
	for range 2 {
		b.submit("/demo/sign-out")
		b.submit("/demo/hosted/sign-in", "org", "demo", "user", "ana", "password", "x", "how", "password")
		b.want("Hello, ana", "Decision allow", "Reason trusted_browser")
	}
}

func TestK7WhoComesFromTheCompanysSignInIsNotSentToAPage(t *testing.T) {
	b := openHosted(t)
	b.submit("/demo/hosted/sign-in", "org", "kls", "user", "ana", "how", "sso")
	b.want("Hello, ana", "signed in at Kls Desk", "Decision allow", "Reason sso")
}

func TestS2APhoneIsSetUpInTheSettingsOfSALTO(t *testing.T) {
	b := openHosted(t)
	b.submit("/demo/hosted/sign-in", "org", "salto", "user", "sam", "password", "x", "how", "password")
	b.want("Hello, sam", "signed in at SALTO", "Reason not_required")
	settings := b.redeem(b.leave("/demo/hosted/settings"))
	var begun struct{ ID string }
	b.api("POST", "/v1/enrolments", settings.Token, map[string]any{"kind": "sms", "phone": number}, &begun)
	b.api("POST", "/v1/enrolments/"+begun.ID+"/finish", settings.Token, map[string]any{"code": b.sentCode("+4915228817386")}, nil)
	b.get()
	b.submit("/demo/sign-out")
	h := b.redeem(b.signInAt("salto", "sam"))
	b.answers(h, "+4915228817386", false)
	b.back(h.ID)
	b.want("Hello, sam", "Reason enabled")
}

func TestAReturnFromAStrangersChallengeSignsNobodyIn(t *testing.T) {
	b := openHosted(t)
	stranger := *b
	stranger.asNew()
	theirs := stranger.redeem(stranger.signInAt("demo", "mallory"))
	stranger.answers(theirs, "mallory@demo.example", false)

	const refused = "That link belongs to nothing that this browser has begun, or it was used already. Nothing was done."
	b.back(theirs.ID) // this browser has begun nothing
	b.want(refused, "User name")
	own := b.redeem(b.signInAt("demo", "ana"))
	for _, id := range []string{theirs.ID, "", "ch_", own.ID + "x"} {
		b.back(id)
		b.want(refused, "User name")
	}
	b.answers(own, "ana@demo.example", false) // what this browser has begun isn't lost by that
	b.back(own.ID)
	b.want("Hello, ana")
	b.back(theirs.ID)
	b.want(refused, "Hello, ana")
}

func TestAReturnCountsOnce(t *testing.T) {
	b := openHosted(t)
	h := b.redeem(b.signInAt("demo", "ana"))
	b.answers(h, "ana@demo.example", false)
	b.back(h.ID)
	b.want("Hello, ana")
	b.back(h.ID)
	b.want("was used already", "Hello, ana")
	b.submit("/demo/sign-out")
	b.back(h.ID)
	b.want("was used already", "User name")
}

func TestOfTwoTabsTheLaterOneCounts(t *testing.T) {
	b := openHosted(t)
	first := b.redeem(b.signInAt("demo", "ana"))
	b.get()
	second := b.redeem(b.signInAt("demo", "bob"))
	b.answers(first, "ana@demo.example", false)
	b.back(first.ID)
	b.want("Nothing was done.", "User name")
	b.answers(second, "bob@demo.example", false)
	b.back(second.ID)
	b.want("Hello, bob")
}

func TestWhoComesBackTooEarlyOrTooLateIsNotSignedIn(t *testing.T) {
	b := openHosted(t)
	h := b.redeem(b.signInAt("demo", "ana"))
	b.back(h.ID)
	b.want("You came back before you answered.", "User name")
	b.answers(h, "ana@demo.example", false)
	b.back(h.ID) // as a page that is loaded again
	b.want("Hello, ana")

	b.submit("/demo/sign-out")
	h = b.redeem(b.signInAt("demo", "ana"))
	b.answers(h, "ana@demo.example", false)
	b.local("POST", "/local/clock", `{"advance_s":660}`)
	b.back(h.ID)
	b.want("Countersign didn’t let you through", "User name")

	h = b.redeem(b.signInAt("demo", "ana"))
	b.local("POST", "/local/clock", `{"advance_s":901}`)
	b.back(h.ID)
	b.want("Countersign didn’t let you through (expired)", "User name")
	b.back(h.ID)
	b.want("was used already")
}

func TestASessionIDThatWasPlantedInTheBrowserIsOfNoUse(t *testing.T) {
	b := openHosted(t)
	b.submit("/demo/hosted/sign-in", "org", "demo", "user", "a b", "password", "x", "how", "password") // the browser has a session now
	b.want("User name")
	planter := *b
	planter.clear()
	at, err := url.Parse(b.base)
	if err != nil {
		t.Fatal(err)
	}
	planter.http.Jar.SetCookies(at, b.http.Jar.Cookies(at))
	h := b.redeem(b.signInAt("demo", "ana"))
	b.answers(h, "ana@demo.example", false)
	planter.choose(hostedWay)
	planter.back(h.ID)
	planter.want("Nothing was done.", "User name")
	b.back(h.ID)
	b.want("Hello, ana")
}

func TestNobodyComesBackWhileCountersignFails(t *testing.T) {
	b := openHosted(t)
	h := b.redeem(b.signInAt("demo", "ana"))
	b.answers(h, "ana@demo.example", false)
	b.local("POST", "/local/faults", `{"target":"store","mode":"fail","count":1}`)
	b.back(h.ID)
	b.want("nobody can sign in", "User name")
	b.back(h.ID)
	b.want("Hello, ana")
	b.local("POST", "/local/faults", `{"target":"store","mode":"fail","count":100}`)
	b.submit("/demo/hosted/settings")
	b.want("Countersign can’t answer right now", "Hello, ana")
	b.local("POST", "/local/faults", `{"target":"store","mode":"fail","count":0}`)
	b.leave("/demo/hosted/settings")
}

func TestATransferIsMadeOnlyOnceItWasConfirmed(t *testing.T) {
	b := inByHosted(t)
	h := b.redeem(b.leave("/demo/hosted/transfer", "to", "Zoe", "amount", "50.00 EUR"))
	var shown struct {
		Challenge struct {
			ActionLines []string `json:"action_lines"`
		}
	}
	b.api("GET", "/v1/challenges/"+h.ID, h.Token, nil, &shown)
	if got := strings.Join(shown.Challenge.ActionLines, "; "); got != "To: Zoe; Amount: 50.00 EUR" {
		t.Errorf("the hosted page shows %q", got)
	}
	b.back(h.ID)
	b.want("You came back before you answered.")
	b.answers(h, "ana@demo.example", false)
	b.back(h.ID)
	b.want("You have sent 50.00 EUR to Zoe.", "Hello, ana")
	b.back(h.ID)
	b.want("was used already")

	b.submit("/demo/hosted/transfer", "to", "", "amount", "1 EUR")
	b.want("Type who gets the money")
	h = b.redeem(b.leave("/demo/hosted/transfer", "to", "Zoe", "amount", "50.00 EUR"))
	b.answers(h, "ana@demo.example", false)
	b.get()
	b.submit("/demo/sign-out")
	b.back(h.ID)
	b.want("Nothing was done.", "User name")
}

func TestTheConsoleIsForAdministratorsAndSettingsWantAFreshPassword(t *testing.T) {
	b := inByHosted(t)
	b.leave("/demo/hosted/settings")
	b.get()
	b.want("Sign in as admin to administer Demo desk.")
	b.send(b.request("POST", "/demo/hosted/console", url.Values{}))
	b.want("Only an administrator can open these pages.")

	b.local("POST", "/local/clock", `{"advance_s":600}`)
	b.get()
	b.submit("/demo/hosted/settings")
	b.want("Before you see your security settings, type your password again.")
	b.leave("/demo/password", "password", "x")

	for _, org := range []string{"demo", "kls", "salto", "talkdesk", "karbon", "helpdesk"} {
		b.asNew()
		r := b.form("/demo/hosted/sign-in", "org", org, "user", "admin", "password", "x", "how", "sso")
		b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		to := b.do(r).Header.Get("Location")
		b.http.CheckRedirect = nil
		if to != "/" {
			h := b.redeem(to)
			b.answers(h, "admin@"+org+".example", false)
			b.back(h.ID)
		}
		b.get()
		b.want("Hello, admin")
		b.submit("/demo/hosted/console")
		b.want("type your password again") // the company's sign-in says nothing of a password
		if to := b.leave("/demo/password", "password", "x"); !strings.Contains(to, "/pages/portal/") {
			t.Errorf("%s: the browser goes to %s, want the console", org, to)
		}
	}
}

// policy replaces the first policy of an organisation.
func (b *browser) policy(org, policy string) {
	b.t.Helper()
	var key struct{ Key string }
	if err := json.Unmarshal([]byte(b.local("POST", "/local/keys", `{}`)), &key); err != nil {
		b.t.Fatal(err)
	}
	r := b.request("PUT", "/v1/orgs/"+org+"/policy", nil)
	r.Header.Set("Authorization", "Bearer "+key.Key)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("If-Match", `"1"`)
	r.Body, r.ContentLength, r.GetBody = io.NopCloser(strings.NewReader(policy)), int64(len(policy)), nil
	if a, err := http.DefaultClient.Do(r); err != nil || a.StatusCode != http.StatusOK {
		b.t.Fatalf("%v %v", a, err)
	}
}

func TestT3WhoHasNoFactorIsSignedOutOfTheDemoAndMustEnrol(t *testing.T) {
	b := openHosted(t)
	b.submit("/demo/hosted/sign-in", "org", "talkdesk", "user", "tom", "password", "x", "how", "password")
	b.want("Hello, tom", "Reason not_required")
	b.policy("talkdesk", `{"profile":"talkdesk","require":"everyone","acknowledge":true}`)
	b.local("POST", "/local/clock", `{"advance_s":60}`)
	b.send(b.form("/demo/hosted/settings")) // a form of the session that has ended does nothing
	b.want("You were signed out (signed_out_by_policy). Sign in again.")
	if link := b.signInAt("talkdesk", "tom"); !strings.Contains(link, "/pages/enrolment/") {
		t.Errorf("the browser goes to %s, want an enrolment", link)
	}
}

// enrolsEmail sets email up with the token of an enrolment, as the hosted page does, and returns the recovery codes that come of it.
func (b *browser) enrolsEmail(token, to string) (codes []string) {
	b.t.Helper()
	var begun struct{ ID string }
	b.api("POST", "/v1/enrolments", token, map[string]any{"kind": "email"}, &begun)
	var finished struct {
		RecoveryCodes []string `json:"recovery_codes"`
	}
	b.api("POST", "/v1/enrolments/"+begun.ID+"/finish", token, map[string]any{"code": b.sentCode(to)}, &finished)
	if len(finished.RecoveryCodes) == 0 {
		b.t.Fatal("the enrolment has brought no recovery codes")
	}
	return finished.RecoveryCodes
}

func TestARecoveryCodeThatLeadsToANewFactorSignsInOnceItIsSetUp(t *testing.T) {
	b := openHosted(t)
	b.submit("/demo/hosted/sign-in", "org", "helpdesk", "user", "nobody", "password", "x", "how", "password")
	b.policy("helpdesk", `{"profile":"helpdesk","require":"everyone","enrolment_proof":"none","recovery":{"count":10,"effect":"reenrol"},"acknowledge":true}`)
	b.asNew()
	h := b.redeem(b.signInAt("helpdesk", "hana"))
	codes := b.enrolsEmail(h.Token, "hana@helpdesk.example")
	b.back(h.ID)
	b.want("Hello, hana", "Decision enrol", "Reason required")
	b.submit("/demo/sign-out")

	h = b.redeem(b.signInAt("helpdesk", "hana"))
	b.local("POST", "/local/clock", `{"advance_s":840}`)
	var recovered struct{ Enrolment struct{ Token string } }
	b.api("POST", "/v1/challenges/"+h.ID+"/recover", h.Token, map[string]any{"code": codes[0]}, &recovered)
	b.back(h.ID)
	b.want("You came back before you answered.")
	b.local("POST", "/local/clock", `{"advance_s":840}`)
	b.enrolsEmail(recovered.Enrolment.Token, "hana@helpdesk.example")
	b.back(h.ID)
	b.want("Hello, hana", "Decision enrol")
}

func TestWhoMayPutASetUpOffIsToldUntilWhen(t *testing.T) {
	b := openHosted(t)
	b.submit("/demo/hosted/sign-in", "org", "helpdesk", "user", "nobody", "password", "x", "how", "password")
	until := b.now().UTC().Add(10 * 24 * time.Hour)
	b.policy("helpdesk", `{"profile":"helpdesk","require":"everyone","grace_until":"`+until.Format(time.RFC3339)+`","acknowledge":true}`)
	b.asNew()
	b.submit("/demo/hosted/sign-in", "org", "helpdesk", "user", "gus", "password", "x", "how", "password")
	b.want("Hello, gus", "signed in at Helpdesk", "wants you to set up a second factor by "+until.Format("2 January 2006"), "Reason grace")
}
