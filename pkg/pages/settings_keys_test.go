package pages_test

import (
	"encoding/hex"
	"encoding/json"
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/pkg/passkey/passkeytest"
)

var (
	optionsOf  = regexp.MustCompile(`data-options="([^"]*)"`)
	selectorOf = regexp.MustCompile(`"authenticatorSelection":\{[^}]*\}`)
)

// addsKey sets up a key of that variant in the settings, up to the page after it. It returns the options that the browser was given.
func (v *visitor) addsKey(key *passkeytest.Authenticator, variant, label string) (options string) {
	v.desk.t.Helper()
	v.follow("/add")
	v.follow("?kind=webauthn")
	v.says("A passkey", "A security key")
	v.submit("begin", "variant", variant, "label", label)
	found := optionsOf.FindStringSubmatch(v.page)
	if found == nil {
		v.desk.t.Fatalf("the page has no options:\n%s", v.page)
	}
	options = html.UnescapeString(found[1])
	made, err := key.Create(json.RawMessage(options), v.desk.base)
	if err != nil {
		v.desk.t.Fatal(err)
	}
	v.submit("finish", "credential", string(made))
	return options
}

// model is the id of a model of authenticators (Web Authentication Level 3, section 6.5.1).
func model(t *testing.T, id string) (aaguid [16]byte) {
	t.Helper()
	raw, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	if err != nil || copy(aaguid[:], raw) != len(aaguid) {
		t.Fatalf("%s is no id of a model: %v", id, err)
	}
	return aaguid
}

func TestTheSettingsSayWhoMadeAPasskeyAndThatItIsOnAllDevices(t *testing.T) {
	const apple, yubico = "fbfc3007-154e-4ecc-8c0b-6e020557d7bd", "149a2021-8ef6-4133-96b8-81f8d5b7f1f5"
	for _, c := range []struct {
		key     *passkeytest.Authenticator
		variant string
		label   string
		want    string
		options []string
	}{
		{&passkeytest.Authenticator{AAGUID: model(t, apple), Platform: true, Resident: true, Verifies: true, Eligible: true, Synced: true, NoCounter: true},
			"passkey", "", "Security key or passkey | Apple Passwords · kept on all your devices", []string{`"residentKey":"preferred"`, `"client-device"`}},
		{&passkeytest.Authenticator{AAGUID: model(t, apple), Platform: true, Resident: true, Verifies: true, Eligible: true, Synced: true, NoCounter: true},
			"passkey", "My laptop", "My laptop | Security key or passkey · Apple Passwords · kept on all your devices", nil},
		{&passkeytest.Authenticator{AAGUID: model(t, apple), Platform: true, Resident: true, Verifies: true, Eligible: true, NoCounter: true},
			"passkey", "", "Security key or passkey | Apple Passwords", nil},
		{&passkeytest.Authenticator{Resident: true, Verifies: true, Eligible: true, Synced: true, NoCounter: true},
			"passkey", "", "Security key or passkey | kept on all your devices", nil},
		{&passkeytest.Authenticator{AAGUID: model(t, yubico)}, "security_key", "Blue key",
			"Blue key | Security key or passkey · Security Key NFC by Yubico", []string{`"residentKey":"discouraged"`, `"authenticatorAttachment":"cross-platform"`, `"security-key"`}},
		{&passkeytest.Authenticator{}, "security_key", "", "Security key or passkey |", nil},
	} {
		d := open(t, `{"methods":{"email":"forbidden"},"enrolment_proof":"none"}`)
		d.user("ana", `{"email":"ana@acme.example"}`)
		v := d.settings("ana")
		options := v.addsKey(c.key, c.variant, c.label)
		for _, want := range c.options {
			if !strings.Contains(options, want) {
				t.Errorf("%s: the options lack %s: %s", c.variant, want, selectorOf.FindString(options))
			}
		}
		v.submit("kept")
		_, way, found := strings.Cut(v.page, `<ul class="owned">`)
		name, rest, _ := strings.Cut(way, "</h3>")
		facts, _, whole := strings.Cut(rest, "</p>")
		plain := func(s string) string { return strings.TrimSpace(html.UnescapeString(tagOf.ReplaceAllString(s, ""))) }
		if got := strings.TrimSpace(plain(name) + " | " + plain(facts)); !found || !whole || got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestAKeyThatIsSetUpAlreadyIsNotMadeTwice(t *testing.T) {
	d := open(t, `{"methods":{"email":"forbidden"},"enrolment_proof":"none"}`)
	d.user("ana", `{"email":"ana@acme.example"}`)
	key := &passkeytest.Authenticator{}
	v := d.settings("ana")
	v.addsKey(key, "security_key", "")
	v.submit("kept")
	d.later(time.Minute)
	v.follow("/add")
	v.follow("?kind=webauthn")
	v.submit("begin", "variant", "security_key")
	answer, err := key.Get(json.RawMessage(html.UnescapeString(optionsOf.FindStringSubmatch(v.page)[1])), d.base)
	if err != nil {
		t.Fatal(err)
	}
	v.says("Confirm that it’s you")
	v.submit("credential", "credential", string(answer))
	v.goesOn()
	options := html.UnescapeString(optionsOf.FindStringSubmatch(v.page)[1])
	if _, err := key.Create(json.RawMessage(options), d.base); err != passkeytest.ErrExcluded {
		t.Errorf("got %v, want the browser to know the key", err)
	}
}
