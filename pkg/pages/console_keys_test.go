package pages_test

import (
	"strings"
	"testing"
)

func TestTheConsoleSaysHowAUserGetsAKeyWhichNobodyElseCanSetUp(t *testing.T) {
	d := open(t, `{"profile":"talkdesk","acknowledge":true}`)
	d.user("bob", `{"email":"bob@acme.example"}`)
	a := d.administers("olga", "")
	home := a.home()
	a.get(home + "/users/bob")
	a.says("Authenticator app", "can’t be set up for somebody else", "If you require two-step sign-in of the user", "For a key that was lost")
	if strings.Contains(a.page, `<option value="webauthn"`) {
		t.Error("the console offers to set a key up for a user")
	}
	a.submit("enforce")
	a.stepsUp("enforce")
	a.says("or, without any other way to sign in, at the next sign-in")
	a.get(home + "/users/olga")
	a.says("can’t be set up for somebody else")
	if strings.Contains(a.page, "For a key that was lost") {
		t.Error("the console tells administrators to remove their own two-step sign-in, which they can't")
	}

	d.policy(`{"methods":{"totp":"forbidden","email":"forbidden"},"acknowledge":true}`)
	a.get(home + "/users/bob")
	a.says("Set it up for the user", "can’t be set up for somebody else")
	d.policy(`{"profile":"helpdesk","acknowledge":true}`)
	a.get(home + "/users/bob")
	if strings.Contains(a.page, "can’t be set up for somebody else") {
		t.Error("the console speaks of keys where the policy forbids them")
	}
}

func TestAnAdministratorChoosesTheCountryOfAPhoneNumber(t *testing.T) {
	d := open(t, salto)
	d.user("bob", `{"email":"bob@acme.example"}`)
	a := d.administers("olga", "")
	a.get(a.home() + "/users/bob")
	a.says("France (+33)")
	a.submit("begin", "kind", "sms", "country", "FR", "phone", "06 12 34 56 78", "reason", "A new colleague")
	a.stepsUp("begin")
	a.submit("finish", "code", d.code("+33612345678"))
	a.says("Text message", "78")
}
