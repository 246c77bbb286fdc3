package demo_test

import (
	"fmt"
	"strings"
	"testing"
)

// atLocalhost is the address of the demo whose origin keys are bound to.
func (b *browser) atLocalhost() string { return strings.Replace(b.base, "127.0.0.1", "localhost", 1) }

// An authenticator is one that Chromium plays (Web Authentication Level 3, section 11.2).
type authenticator struct {
	protocol, transport    string
	residentKey, verifies  bool
	backupEligible, backed bool
}

// plug gives the browser an authenticator, and returns its id.
func (c *page) plug(a authenticator) string {
	c.T.Helper()
	var added struct{ AuthenticatorID string }
	c.Call("WebAuthn.addVirtualAuthenticator", map[string]any{"options": map[string]any{
		"protocol": a.protocol, "transport": a.transport, "hasResidentKey": a.residentKey, "hasUserVerification": a.verifies,
		"isUserVerified": a.verifies, "automaticPresenceSimulation": true,
		"defaultBackupEligibility": a.backupEligible, "defaultBackupState": a.backed,
	}}, &added)
	return added.AuthenticatorID
}

// unplug takes an authenticator away.
func (c *page) unplug(id string) {
	c.T.Helper()
	c.Call("WebAuthn.removeVirtualAuthenticator", map[string]any{"authenticatorId": id}, nil)
}

// withKeys opens the demo in a browser that has no authenticator yet.
func withKeys(t *testing.T) (*browser, *page) {
	t.Helper()
	b := open(t)
	c := startChromium(t, 1280, 900)
	c.Call("WebAuthn.enable", map[string]any{"enableUI": false}, nil)
	c.Call("Runtime.addBinding", map[string]any{"name": "told"}, nil)
	c.Open(b.atLocalhost() + "/?way=own")
	return b, c
}

// signedIn signs a user in with an emailed code.
func (c *page) signedIn(user string) {
	c.T.Helper()
	c.Submit("/demo/sign-in", "user", user)
	c.Submit("/demo/code", "code", c.Text(".mails .digits"))
}

// change begins a change of the account: the words on its button say which.
func (c *page) change(words string) {
	c.T.Helper()
	c.Loading(func() {
		c.Run(fmt.Sprintf(`[...document.querySelectorAll('form[action="/demo/change"] button')].find((b) => b.textContent.startsWith(%q)).click()`, words))
	})
}

// useKey presses the button of a ceremony, and waits until the page was loaded again or says what went wrong.
func (c *page) useKey() (said string) {
	c.T.Helper()
	before := c.Loaded
	c.Told = ""
	c.Run(`(() => {
		const form = document.querySelector(".ceremony"), said = form.querySelector("[data-told]");
		new MutationObserver(() => said.textContent && told(said.textContent)).observe(said, { childList: true });
		form.querySelector("button").click();
	})()`)
	for c.Loaded == before && c.Told == "" {
		c.Hear()
	}
	return c.Told
}

// setUpKey signs ana in and sets up a key.
func (c *page) setUpKey(variant string) {
	c.T.Helper()
	c.signedIn("ana")
	c.change("Set up a " + variant)
	c.Submit("/demo/code", "code", c.Text(".mails .digits"))
	wanted(c.T, "what went wrong", c.useKey(), "")
	c.Submit("/demo/kept")
}

func TestAKeyIsSetUpAndSignsIn(t *testing.T) {
	_, c := withKeys(t)
	c.plug(authenticator{protocol: "ctap2", transport: "usb"})
	c.setUpKey("security key")
	wanted(t, "title", c.Text("h1"), "Hello, ana")
	c.Submit("/demo/sign-out")
	c.Submit("/demo/sign-in")
	wanted(t, "title", c.Text("h1"), "Use your security key or passkey")
	wanted(t, "what went wrong", c.useKey(), "")
	wanted(t, "title", c.Text("h1"), "Hello, ana")
	c.noProblems()
}

func TestAKeyIsUsedOnAPageThatWasOpenForMinutes(t *testing.T) {
	b, c := withKeys(t)
	c.plug(authenticator{protocol: "ctap2", transport: "usb"})
	minutes := func() { b.local("POST", "/local/clock", `{"advance_s":400}`) }
	c.signedIn("ana")
	c.change("Set up a security key")
	c.Submit("/demo/code", "code", c.Text(".mails .digits"))
	minutes()
	wanted(t, "what went wrong", c.useKey(), "")
	c.Submit("/demo/kept")
	c.Submit("/demo/sign-out")
	c.Submit("/demo/sign-in")
	minutes()
	wanted(t, "what went wrong", c.useKey(), "")
	wanted(t, "title", c.Text("h1"), "Hello, ana")
	c.Submit("/demo/sign-out")
	c.Submit("/demo/sign-in")
	b.local("POST", "/local/clock", `{"advance_s":900}`)
	wanted(t, "what is told after the sign-in's time", c.useKey(), "This page is out of date. Load it again.")
}

func TestTheAccountSaysWhatAKeyIs(t *testing.T) {
	_, c := withKeys(t)
	c.plug(authenticator{protocol: "ctap2", transport: "internal", residentKey: true, verifies: true, backupEligible: true, backed: true})
	c.setUpKey("passkey")
	if got := c.Text(".factors li .hint"); !strings.HasPrefix(got, "Passkey · synced to your other devices · last used ") {
		t.Errorf("got %q, want a synced passkey", got)
	}
	c.change("Set up a passkey")
	wanted(t, "what went wrong with the confirmation", c.useKey(), "")
	wanted(t, "what is told of a second passkey on the same device", c.useKey(), "This passkey is already set up for you. Use another one.")
	c.Submit("/demo/cancel")
	wanted(t, "title", c.Text("h1"), "Hello, ana")
	c.noProblems()
}

func TestASignInWithoutTheKeyCanBeTriedAgainOrAnsweredOtherwise(t *testing.T) {
	_, c := withKeys(t)
	key := authenticator{protocol: "ctap2", transport: "usb"}
	id := c.plug(key)
	c.setUpKey("security key")
	c.unplug(id)
	c.plug(key) // another one
	c.Submit("/demo/sign-out")
	c.Submit("/demo/sign-in")
	for range 2 {
		wanted(t, "what is told of a key that isn't the user's", c.useKey(),
			"It was cancelled, it took too long, or no fitting key was found. Try again, or choose another way.")
	}
	c.Submit("/demo/way")
	c.Submit("/demo/code", "code", c.Text(".mails .digits"))
	wanted(t, "title", c.Text("h1"), "Hello, ana")
	c.noProblems()
}

func TestALockOfCodesLeavesTheKey(t *testing.T) {
	b, c := withKeys(t)
	c.plug(authenticator{protocol: "ctap2", transport: "usb"})
	c.setUpKey("security key")
	stranger := b.other()
	for range 2 {
		stranger.signIn("ana")
		stranger.way("Use an emailed code instead")
		stranger.guess()
		stranger.later("seconds")
	}
	stranger.signIn("ana")
	stranger.want("Use your security key or passkey", "need JavaScript")
	if strings.Contains(stranger.said(), "emailed code") {
		t.Error("codes are offered although they are locked")
	}
	c.Submit("/demo/sign-out")
	c.Submit("/demo/sign-in")
	wanted(t, "what went wrong", c.useKey(), "")
	wanted(t, "title", c.Text("h1"), "Hello, ana")
}

func TestAPageThatCantUseKeysSaysSo(t *testing.T) {
	b, c := withKeys(t)
	c.plug(authenticator{protocol: "ctap2", transport: "usb"})
	c.setUpKey("security key")
	c.Open(b.base + "/?way=own")
	c.Submit("/demo/sign-in")
	wanted(t, "what is told at 127.0.0.1", c.Text("[data-told]:not([hidden])"), "Keys can be used only at "+b.atLocalhost()+". Open the page there, or choose another way.")
	c.Call("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": "delete window.PublicKeyCredential"}, nil)
	c.Open(b.atLocalhost() + "/?way=own")
	c.Submit("/demo/sign-out")
	c.Submit("/demo/sign-in")
	wanted(t, "what is told without WebAuthn", c.Text("[data-told]:not([hidden])"), "This browser can’t use security keys and passkeys. Choose another way, or another browser.")
}
