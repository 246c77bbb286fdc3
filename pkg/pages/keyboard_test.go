package pages_test

import (
	"fmt"
	"testing"
	"time"
)

// A typist is a person who uses nothing but the keyboard.
type typist struct{ *person }

const shift = 8 // as DevTools counts modifiers

// to presses Tab until the focus is on what a selector and a text name. The text may be empty. Wherever the focus goes, it has to be seen.
func (k *typist) to(selector, text string) { k.T.Helper(); k.move(0, selector, text) }

// backTo is to with Shift+Tab.
func (k *typist) backTo(selector, text string) { k.T.Helper(); k.move(shift, selector, text) }

func (k *typist) move(modifiers int, selector, text string) {
	k.T.Helper()
	for range 100 {
		k.pressKey("Tab", "Tab", 9, modifiers)
		at := k.Run(fmt.Sprintf(`(() => {
			const at = document.activeElement, seen = getComputedStyle(at);
			if (at === document.body) return "";
			if (seen.outlineStyle === "none" || parseFloat(seen.outlineWidth) < 2) return "unseen on " + at.outerHTML.slice(0, 100);
			return at.matches(%q) && at.textContent.includes(%q) ? "there" : "";
		})()`, selector, text))
		switch at {
		case "there":
			return
		case "":
		default:
			k.T.Fatalf("the focus is %s", at)
		}
	}
	k.T.Fatalf("the key doesn't lead to %s %q", selector, text)
}

// presses presses Enter or Space where the focus is.
func (k *typist) presses(key string) {
	k.T.Helper()
	if key == "Enter" {
		k.pressKey("Enter", "Enter", 13, 0)
		return
	}
	k.pressKey(" ", "Space", 32, 0)
}

// leaves presses Enter, which leads to the page with that heading.
func (k *typist) leaves(title string) {
	k.T.Helper()
	k.Run(`window.left = true`)
	k.presses("Enter")
	k.reaches(title)
}

// types writes where the focus is.
func (k *typist) types(text string) {
	k.T.Helper()
	for _, c := range text {
		k.pressKey(string(c), "", 0, 0)
	}
}

// writesCode writes a code where the focus is. It is sent when it is whole, and leads to the page with that heading.
func (k *typist) writesCode(code, title string) {
	k.T.Helper()
	k.isAt("#code")
	k.Run(`window.left = true`)
	k.types(code)
	k.reaches(title)
}

// isAt fails the test unless the page has put the focus there by itself, which it does when it is painted.
func (k *typist) isAt(selector string) {
	k.T.Helper()
	if got := k.Run(fmt.Sprintf(`(async () => {
		for (let i = 0; i < 50 && !document.activeElement.matches(%[1]q); i++) await new Promise((later) => setTimeout(later, 20));
		return document.activeElement.matches(%[1]q) ? "" : document.activeElement.outerHTML.slice(0, 100);
	})()`, selector)); got != "" {
		k.T.Fatalf("the focus is on %s, want it on %s", got, selector)
	}
}

func TestAUserSetsUpSignsInAndRemovesWithTheKeyboardAlone(t *testing.T) {
	d := open(t, `{"methods":{"totp":"allowed","email":"enrolled"},"require":"everyone","enrolment_proof":"none","email_backup":"forbidden","acknowledge":true}`)
	k := &typist{d.person()}

	k.arrive(d.start("ana", ""))
	k.reaches("Set up two-step sign-in")
	k.to(".kinds a", "Authenticator app")
	k.leaves("Authenticator app")
	k.to("#label", "")
	k.types("My phone")
	k.leaves("Authenticator app")
	k.isAt("#code")
	key := k.Text("#key")
	k.backTo("summary", "Can’t scan it?")
	k.presses("Space")
	k.says("Type this key into the app")
	k.to("#code", "")
	k.writesCode(wrong(appCode(t, key, d.now())), "Authenticator app")
	k.says("That code was not right")
	k.isAt("#code[aria-describedby~=said]")
	k.writesCode(appCode(t, key, d.now()), "Keep your recovery codes")
	k.to("[name=kept]", "")
	k.presses("Space")
	k.to("button", "Continue")
	k.leaves("Not signed in") // this browser didn't begin the sign-in at the application

	d.later(time.Minute)
	k.arrive(d.start("ana", ""))
	k.reaches("Enter your code")
	k.writesCode(wrong(appCode(t, key, d.now())), "Enter your code")
	k.isAt("#code[aria-describedby~=said]")
	k.to(".ways a", "Recovery code")
	k.backTo("#code", "")
	k.writesCode(appCode(t, key, d.now()), "Not signed in")

	d.policy(`{"methods":{"totp":"allowed","email":"enrolled"},"email_backup":"forbidden"}`)
	d.later(time.Minute)
	k.settings("ana")
	k.reaches("Security settings")
	k.to("summary", "Remove")
	k.presses("Enter")
	k.to("button", "Remove it")
	k.leaves("Confirm that it’s you")
	k.writesCode(appCode(t, key, d.now()), "Security settings")
	k.says("It is removed")
	k.isAt("#said")
}

func TestAnAdministratorSavesAPolicyWithTheKeyboardAlone(t *testing.T) {
	d := open(t, talkdesk)
	secret := d.withApp("olga")
	d.start("bob", "")
	k := &typist{d.person()}
	k.console(d.portalLink("olga", ""), "Users")
	k.to(".menu a", "Policy")
	k.leaves("Policy")
	k.to("a[href='?group=demand']", "Change")
	k.leaves("Who has to use it")
	k.to("#require", "")
	k.types("E") // the browser chooses what begins so: Everyone
	k.to("button", "Show what it does")
	k.leaves("What this does")
	k.to("button", "Save")
	k.presses("Enter")
	k.isAt("[name=acknowledge]") // the browser leads to what is missing
	k.presses("Space")
	k.to("button", "Save")
	k.leaves("Confirm that it’s you")
	d.later(30 * time.Second)
	k.writesCode(appCode(t, secret, d.now()), "Policy")
	k.says("The policy is saved")
	k.isAt("#said")
	if got := d.api("GET", "/v1/orgs/"+org+"/policy", "", nil)["require"]; got != "everyone" {
		t.Errorf("got %v, want everyone", got)
	}
}
