package demo_test

import (
	"strings"
	"testing"
)

const (
	mustSetUp      = `{"profile":"karbon","require":"everyone","enrolment_proof":"none","acknowledge":true}`
	mustProveFirst = `{"profile":"karbon","require":"everyone","acknowledge":true}`
)

func TestAUserWhoMustSetUpAFactorIsSignedInByTheSetUp(t *testing.T) {
	b := open(t)
	b.policy("demo", mustSetUp)
	b.get()
	b.signIn("ana")
	b.want("Set up a second factor", "Before ana is signed in", "because your organisation requires it of everyone", "Set up an authenticator app")
	if strings.Contains(b.said(), "passkey") || strings.Contains(b.said(), "by email") {
		t.Errorf("the page offers what the policy forbids:\n%s", b.said())
	}
	if strings.Contains(b.page, "cse_") {
		t.Error("the page holds the enrolment token")
	}
	b.submit("/demo/change", "what", "app")
	b.want("Set up your app")
	b.submit("/demo/scan")
	b.submit("/demo/finish", "code", wrong(b.appCode()))
	b.want("That code is not right")
	b.submit("/demo/finish", "code", b.appCode())
	b.want("Your recovery codes")
	b.recoveryCodes()
	b.submit("/demo/kept")
	b.want("Hello, ana", "Decision enrol", `"verified": true`)
	b.submit("/demo/sign-out")
	b.submit("/demo/clock", "by", "seconds")
	b.signIn("ana")
	b.want("Enter your code", "authenticator app")
}

func TestAUserWhoMustSetUpAFactorFirstProvesTheKnownAddress(t *testing.T) {
	b := open(t)
	b.policy("demo", mustProveFirst)
	b.get()
	b.signIn("ana")
	b.submit("/demo/change", "what", "app")
	b.want("First, your address", "We sent code A to a***@demo.example")
	b.submit("/demo/prove", "code", wrong(b.code()))
	b.want("That code is not right. You have 4 attempts left.")
	b.submit("/demo/clock", "by", "seconds")
	b.submit("/demo/send")
	b.want("We sent code B")
	b.submit("/demo/prove", "code", "12")
	b.want("exactly six digits")
	b.submit("/demo/prove", "code", b.code())
	b.want("Set up your app")
	b.submit("/demo/scan")
	b.submit("/demo/finish", "code", b.appCode())
	b.recoveryCodes()
	b.submit("/demo/kept")
	b.want("Hello, ana", "Decision enrol")
}

func TestTheLastWrongCodeForTheKnownAddressEndsTheSignIn(t *testing.T) {
	b := open(t)
	b.policy("demo", mustProveFirst)
	b.get()
	b.signIn("ana")
	b.submit("/demo/change", "what", "app")
	code := b.code()
	for range 5 {
		b.want("First, your address")
		b.submit("/demo/prove", "code", wrong(code))
	}
	b.want("it was the last attempt", "User name")
}

func TestASetUpThatASignInNeedsCanBeLeftAndEndsWithItsTime(t *testing.T) {
	b := open(t)
	b.policy("demo", mustSetUp)
	b.get()
	b.signIn("ana")
	b.submit("/demo/change", "what", "app")
	late := b.form("/demo/finish", "code", "123456")
	b.submit("/demo/cancel")
	b.want("Nothing was set up. Choose again.", "Set up a second factor")
	b.send(late)
	b.want("That page was out of date", "Set up a second factor")
	b.local("POST", "/local/faults", `{"target":"store","mode":"fail","count":1000}`)
	b.submit("/demo/change", "what", "app")
	b.want("Countersign can’t answer right now")
	b.local("POST", "/local/faults", `{"target":"store","mode":"fail","count":0}`)
	b.submit("/demo/clock", "by", "minutes")
	b.want("The time for this sign-in is over", "User name")
}

func TestARecoveryCodeThatDemandsANewFactorLeadsToItsSetUp(t *testing.T) {
	b := open(t)
	b.policy("demo", `{"profile":"karbon","require":"everyone","enrolment_proof":"none","recovery":{"count":10,"effect":"reenrol"},"acknowledge":true}`)
	b.get()
	b.signIn("ana")
	b.submit("/demo/change", "what", "app")
	b.submit("/demo/scan")
	b.submit("/demo/finish", "code", b.appCode())
	codes := b.recoveryCodes()
	b.submit("/demo/kept")
	b.submit("/demo/sign-out")
	b.local("POST", "/local/clock", `{"advance_s":60}`)
	b.get()
	b.signIn("ana")
	b.way("Use a recovery code")
	b.submit("/demo/recover", "code", codes[0])
	b.want("The recovery code is right. Now set up a new factor.", "Set up a second factor")
	b.submit("/demo/change", "what", "app")
	b.submit("/demo/scan")
	b.submit("/demo/finish", "code", b.appCode())
	b.recoveryCodes()
	b.submit("/demo/kept")
	b.want("Hello, ana", "Decision enrol")
}
