package demo_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// A combination is one way in which an authenticator, a policy and the user's choice meet.
type combination struct {
	verification string // the policy's webauthn.user_verification
	variant      string // the words on the button
	authenticator
}

func (c combination) String() string {
	return fmt.Sprintf("%s, %s, %s, %s, resident key %t, verifies %t", c.verification, c.variant, c.protocol, c.transport, c.residentKey, c.verifies)
}

// What comes of a combination.
const (
	signsIn    = "the key is set up, and signs in"
	notMade    = "the browser makes no key"
	impossible = "there is no such authenticator"
)

// outcomes says what is expected of a combination, and why. The first line that fits counts.
var outcomes = []struct {
	fits     func(combination) bool
	expected string
	why      string
}{
	{func(c combination) bool {
		return c.protocol == "u2f" && (c.transport == "internal" || c.transport == "hybrid")
	}, impossible,
		"U2F is spoken over USB, NFC and Bluetooth only"},
	{func(c combination) bool { return c.protocol == "u2f" && (c.residentKey || c.verifies) }, impossible,
		"U2F has neither resident keys nor user verification"},
	{func(c combination) bool { return c.variant == "security key" && c.transport == "internal" }, notMade,
		"the options ask for an authenticator that can be carried about (Web Authentication Level 3, section 5.4.4)"},
	{func(c combination) bool { return c.verification == "required" && !c.verifies }, notMade,
		"the options demand user verification, and the authenticator has none (section 5.8.6)"},
	{func(c combination) bool {
		return c.variant == "passkey" && c.residentKey && !c.verifies && c.transport != "internal"
	}, notMade, "the options prefer a resident key, and Chromium makes none on a removable authenticator that can't verify its user"},
	{func(combination) bool { return true }, signsIn, "nothing is against it"},
}

// combinations returns all of them. Those of one policy stand together.
func combinations() (all []combination) {
	for _, verification := range []string{"discouraged", "preferred", "required"} {
		for _, variant := range []string{"passkey", "security key"} {
			for _, transport := range []string{"usb", "nfc", "ble", "internal", "hybrid"} {
				for _, protocol := range []string{"ctap2", "u2f"} {
					for bits := range 4 {
						all = append(all, combination{verification, variant, authenticator{
							protocol: protocol, transport: transport, residentKey: bits&1 != 0, verifies: bits&2 != 0,
						}})
					}
				}
			}
		}
	}
	return all
}

func (c combination) expected() (what, why string) {
	for _, o := range outcomes {
		if o.fits(c) {
			return o.expected, o.why
		}
	}
	return "", ""
}

// demand changes one setting of the demo's policy.
func (b *browser) demand(verification string) {
	b.t.Helper()
	var key struct{ Key string }
	var policy map[string]any
	if err := json.Unmarshal([]byte(b.local("POST", "/local/keys", `{"scopes":["admin"]}`)), &key); err != nil {
		b.t.Fatal(err)
	}
	call := func(method, body, ifMatch string) *http.Response {
		r, err := http.NewRequestWithContext(b.t.Context(), method, b.base+"/v1/orgs/demo/policy", strings.NewReader(body))
		if err != nil {
			b.t.Fatal(err)
		}
		r.Header = http.Header{"Authorization": {"Bearer " + key.Key}, "Content-Type": {"application/json"}, "If-Match": {ifMatch}}
		a := b.do(r)
		if err := json.Unmarshal([]byte(b.page), &policy); err != nil || a.StatusCode != http.StatusOK {
			b.t.Fatalf("%s: status %d, %v: %s", method, a.StatusCode, err, b.page)
		}
		return a
	}
	tag := call("GET", "", "").Header.Get("ETag")
	policy["webauthn"], policy["acknowledge"] = map[string]any{"user_verification": verification}, true
	body, err := json.Marshal(policy)
	if err != nil {
		b.t.Fatal(err)
	}
	call("PUT", string(body), tag)
}

// behind fills in forms without showing their pages, which takes a fraction of the time. The page is loaded again afterwards.
func (c *page) behind(steps string) {
	c.T.Helper()
	c.Run(`(async () => {
		let page;
		const post = async (action, fields = {}) => {
			const form = [...page?.querySelectorAll("form[action='" + action + "']") ?? []].find((f) => !fields.what || f.elements.what.value === fields.what);
			const body = new URLSearchParams(form && new FormData(form));
			for (const name in fields) body.set(name, fields[name]);
			const answer = await fetch(action, { method: "POST", body });
			page = new DOMParser().parseFromString(await answer.text(), "text/html");
		};
		const enterCode = () => post("/demo/code", { code: page.querySelector(".mails .digits").textContent });
		await post("/demo/sign-out");
		` + steps + `
	})()`)
	c.Loading(func() { c.Call("Page.reload", nil, nil) })
}

// tryKey sets a key up and signs in with it, and returns what came of that.
func (c *page) tryKey(user string, k combination) string {
	c.T.Helper()
	c.Wait()
	defer c.unplug(c.plug(k.authenticator))
	signIn := fmt.Sprintf(`await post("/demo/sign-in", { user: %q, how: "password" });`, user)
	c.behind(signIn + fmt.Sprintf(`await enterCode(); await post("/demo/change", { what: "key", variant: %q }); await enterCode();`, strings.ReplaceAll(k.variant, " ", "_")))
	if expected, _ := k.expected(); expected == notMade { // with no authenticator that fits, the browser waits for one
		c.Run(`{
			const parse = PublicKeyCredential.parseCreationOptionsFromJSON;
			PublicKeyCredential.parseCreationOptionsFromJSON = (options) => parse.call(PublicKeyCredential, { ...options, timeout: 1000 });
		}`)
	}
	if said := c.useKey(); said != "" {
		if said != "It was cancelled, it took too long, or no fitting key was found. Try again, or choose another way." {
			return said
		}
		return notMade
	}
	if title := c.Text("h1"); title != "Your recovery codes" {
		return "the new key: " + c.Text("main")
	}
	c.behind(signIn)
	if said := c.useKey(); said != "" || c.Text("h1") != "Hello, "+user {
		return "the sign-in: " + said + c.Text("main")
	}
	return signsIn
}

func TestKeysOfEverySortAreSetUpAndSignIn(t *testing.T) {
	b, c := withKeys(t)
	full := os.Getenv("COUNTERSIGN_ROUNDS") == "full"
	possible, tried, demanded := 0, map[string]int{}, ""
	for _, k := range combinations() {
		expected, why := k.expected()
		if expected == impossible {
			continue
		}
		if possible++; !full && possible%11 != 3 {
			continue
		}
		if k.verification != demanded {
			demanded = k.verification
			b.demand(demanded)
		}
		if got := c.tryKey(fmt.Sprintf("user%d", possible), k); got != expected {
			t.Errorf("%v: got %q, want %q, because %s", k, got, expected, why)
		}
		tried[expected]++
	}
	t.Logf("%d of %d combinations: %v", tried[signsIn]+tried[notMade], possible, tried)
	if tried[signsIn] < 6 || tried[notMade] < 3 {
		t.Errorf("got %v, want a spread over what can be expected", tried)
	}
	c.noProblems()
}
