package pages_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// backedUp is a policy under which everyone must enrol, proves no address first, and is offered email as a backup. more are settings.
func backedUp(more string) string {
	return `{"require":"everyone","enrolment_proof":"none","methods":{"webauthn":"forbidden"},"acknowledge":true` + more + `}`
}

// firstApp goes from the link of a sign-in to the page after the first factor, which is an app.
func (v *visitor) firstApp() (id string) {
	v.desk.t.Helper()
	id = v.arrive(v.desk.start("ana", ""))
	v.follow("?kind=totp")
	v.submit("begin")
	v.submit("finish", "code", appCode(v.desk.t, keyOf.FindStringSubmatch(v.page)[1], v.desk.now()))
	return id
}

// wantSignedIn fails the test unless the browser went back to the application, which hears that the user was verified.
func (v *visitor) wantSignedIn(id string) {
	v.desk.t.Helper()
	if want := v.desk.base + "/app?challenge=" + id + "&from=sign-in"; v.left != want {
		v.desk.t.Errorf("the browser went to %q, want %q:\n%s", v.left, want, v.page)
	}
	got := v.desk.outcome(id)
	if outcome, ok := got["outcome"].(map[string]any); !ok || got["state"] != "verified" || outcome["token"] == nil {
		v.desk.t.Errorf("got %v, want a token", got)
	}
	for name := range v.cookies {
		v.desk.t.Errorf("the browser kept the cookie %s", name)
	}
}

// factors are the kinds of factor that ana has.
func (d *desk) factors() (kinds []string) {
	d.t.Helper()
	for _, f := range d.api("GET", "/v1/orgs/"+org+"/users/ana", "", nil)["factors"].([]any) {
		kinds = append(kinds, f.(map[string]any)["kind"].(string))
	}
	return kinds
}

func TestS4EmailIsOfferedAsABackupAfterTheRecoveryCodesOfASignInWhichWaitsForNothing(t *testing.T) {
	d := open(t, backedUp(`,"email_backup":"pinned"`))
	v := d.visitor()
	id := v.firstApp()
	v.says("Keep your recovery codes")
	if got := d.outcome(id); got["state"] != "verified" {
		t.Errorf("got %v before the codes were kept", got)
	}
	v.submit("kept", "kept", "yes")
	v.says("It is set up", "Add your email as a backup?", "a***@acme.example", "can’t be removed on its own", "Your sign-in goes on either way. You have until", "Not now")
	if got := d.outcome(id)["outcome"].(map[string]any); got["token"] == nil {
		t.Errorf("the sign-in waits for the backup: got %v", got)
	}
	v.submit("begin")
	v.says("a***@acme.example", "code A", "Not now")
	code := d.code("ana@acme.example")
	v.submit("finish", "code", wrong(code))
	v.says("That code was not right", "code A", "Not now")
	v.submit("finish", "code", code)
	v.wantSignedIn(id)
	if got := strings.Join(d.factors(), " "); got != "totp email" {
		t.Errorf("got the factors %s", got)
	}
}

func TestS4ABackupIsSkippedByAButtonFromTheOfferAndFromTheCode(t *testing.T) {
	for _, begun := range []bool{false, true} {
		d := open(t, backedUp(``))
		v := d.visitor()
		id := v.firstApp()
		v.submit("kept", "kept", "yes")
		if strings.Contains(v.page, "can’t be removed on its own") {
			t.Error("the page says that email stays, which it need not")
		}
		if begun {
			v.submit("begin")
		}
		v.submit("skip")
		v.wantSignedIn(id)
		if got := strings.Join(d.factors(), " "); got != "totp" {
			t.Errorf("got the factors %s", got)
		}
	}
}

func TestS4AnAddressThatWasProvenInTheSignInIsABackupWithoutASecondCode(t *testing.T) {
	d := open(t, `{"require":"everyone","enrolment_proof":"email","methods":{"webauthn":"forbidden"},"acknowledge":true}`)
	v := d.visitor()
	id := v.arrive(d.start("ana", ""))
	v.follow("?kind=totp")
	v.submit("begin")
	v.submit("prove", "code", d.code("ana@acme.example"))
	v.submit("finish", "code", appCode(t, keyOf.FindStringSubmatch(v.page)[1], d.now()))
	v.submit("kept", "kept", "yes")
	v.submit("begin")
	v.says("Your address is proven already")
	v.submit("finish", "proven", "yes")
	v.wantSignedIn(id)
	if got := strings.Join(d.factors(), " "); got != "totp email" {
		t.Errorf("got the factors %s", got)
	}
}

func TestS4WhoAnswersTheOfferTooLateIsSignedInAllTheSame(t *testing.T) {
	for name, step := range map[string]func(*visitor){
		"the codes are kept late": func(v *visitor) {
			v.desk.later(9 * time.Minute)
			v.submit("kept", "kept", "yes")
		},
		"the offer is taken up late": func(v *visitor) {
			v.submit("kept", "kept", "yes")
			v.desk.later(9 * time.Minute)
			v.submit("begin")
		},
		"the offer is skipped late": func(v *visitor) {
			v.submit("kept", "kept", "yes")
			v.desk.later(9 * time.Minute)
			v.submit("skip")
		},
		"the code is given late": func(v *visitor) {
			v.submit("kept", "kept", "yes")
			v.submit("begin")
			v.desk.later(9 * time.Minute)
			v.submit("finish", "code", v.desk.code("ana@acme.example"))
		},
		"another code is asked for late": func(v *visitor) {
			v.submit("kept", "kept", "yes")
			v.submit("begin")
			v.desk.later(9 * time.Minute)
			v.submit("again")
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, backedUp(``))
			v := d.visitor()
			id := v.firstApp()
			step(v)
			v.wantSignedIn(id)
		})
	}
}

func TestS4NoBackupIsOfferedWhereThePolicyHasNoneOrThereIsNoAddress(t *testing.T) {
	for _, policy := range []string{backedUp(`,"email_backup":"forbidden"`), backedUp(`,"recovery":{"count":0},"email_backup":"forbidden"`)} {
		d := open(t, policy)
		v := d.visitor()
		id := v.firstApp()
		if strings.Contains(policy, "count") {
			v.wantSignedIn(id)
			continue
		}
		v.submit("kept", "kept", "yes")
		v.wantSignedIn(id)
	}
	d := open(t, backedUp(``))
	d.user("ana", `{}`)
	v := d.visitor()
	id := v.arrive(d.api("POST", "/v1/challenges", `{"org":"`+org+`","user":{"id":"ana"},"return_url":"`+d.base+`/app?from=sign-in"}`, nil))
	v.submit("begin")
	v.submit("finish", "code", appCode(t, keyOf.FindStringSubmatch(v.page)[1], d.now()))
	v.submit("kept", "kept", "yes")
	v.wantSignedIn(id)
}

func TestS4ABackupIsOfferedAtOnceWhereThereAreNoRecoveryCodes(t *testing.T) {
	d := open(t, backedUp(`,"recovery":{"count":0}`))
	v := d.visitor()
	id := v.firstApp()
	v.says("It is set up", "Add your email as a backup?")
	v.submit("skip")
	v.wantSignedIn(id)
}

func TestS4InTheSettingsTheBackupIsOfferedAfterTheFirstFactorOnly(t *testing.T) {
	d := open(t, `{"methods":{"webauthn":"forbidden","sms":"allowed"},"sms":{"countries":["FR"]}}`)
	d.user("ana", `{"email":"ana@acme.example"}`)
	v := d.settings("ana")
	key := v.addApp("")
	v.submit("kept")
	v.says("Add your email as a backup?")
	offer := strings.Split(v.address, "?")[0]
	v.submit("skip")
	v.says("Security settings", "Let codes go to your email address, too")
	d.later(time.Minute)
	v.follow("/add")
	v.follow("?kind=sms")
	v.submit("begin", "phone", "+33 6 12 34 56 78")
	v.confirms(key)
	v.submit("finish", "code", d.code("+33612345678"))
	v.says("Security settings", "It is set up")
	v.get(offer)
	v.says("Security settings")
	if v.status != http.StatusOK || strings.Contains(v.page, "as a backup?") {
		t.Errorf("a user with two factors is offered a backup:\n%s", v.page)
	}
}

func TestS4AnOfferThatNobodyAnswersIsLeftByItselfBeforeTheSignInIsLost(t *testing.T) {
	d := open(t, backedUp(``))
	p := d.person()
	p.password("ana", "en")
	p.reaches("Set up two-step sign-in")
	p.opens(p.here()+"?kind=totp", "Authenticator app")
	p.clicks("begin")
	p.reaches("Authenticator app")
	p.clicks("finish", "code", appCode(t, p.Text("#key"), d.now()))
	p.keepsCodes()
	p.reaches("Add your email as a backup?")
	offer := p.here()
	d.later(7*time.Minute + 55*time.Second)
	p.Open(offer)
	p.reaches("Signed in")
	p.says("verified")
}
