package passkey_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/passkey"
	"countersign/pkg/passkey/passkeytest"
)

// sameJSON compares two JSON texts. The order of members makes no difference.
func sameJSON(t *testing.T, got json.RawMessage, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	gotText, _ := json.MarshalIndent(g, "", " ")
	wantText, _ := json.MarshalIndent(w, "", " ")
	if string(gotText) != string(wantText) {
		t.Errorf("got %s\nwant %s", gotText, wantText)
	}
}

func TestTheVariantShapesTheCreationOptions(t *testing.T) {
	for variant, want := range map[mfa.Variant]string{
		mfa.AnyPasskey: `"authenticatorSelection": {"residentKey": "preferred", "requireResidentKey": false, "userVerification": %q},
			"hints": ["client-device", "hybrid"]`,
		mfa.SecurityKey: `"authenticatorSelection": {"authenticatorAttachment": "cross-platform", "residentKey": "discouraged",
			"requireResidentKey": false, "userVerification": %q}, "hints": ["security-key"]`,
	} {
		for _, verification := range []string{"discouraged", "preferred", "required"} {
			t.Run(fmt.Sprint(variant, " ", verification), func(t *testing.T) {
				c := ceremony(verification)
				got, err := relyingParty(t).CreationOptions(c, mfa.NewPasskey{
					Variant: variant, Handle: handle, Name: "ada@example.org", DisplayName: "Ada",
					Exclude: []mfa.Passkey{{ID: []byte{1, 2, 3}, Transports: []string{"internal", "hybrid"}}, {ID: []byte{4}}},
				})
				if err != nil {
					t.Fatal(err)
				}
				sameJSON(t, got, fmt.Sprintf(`{
					"rp": {"id": "example.org", "name": "Example"},
					"user": {"id": %q, "name": "ada@example.org", "displayName": "Ada"},
					"challenge": %q,
					"pubKeyCredParams": [{"type": "public-key", "alg": -7}, {"type": "public-key", "alg": -8}, {"type": "public-key", "alg": -257}],
					"timeout": 300000,
					"excludeCredentials": [{"type": "public-key", "id": "AQID", "transports": ["internal", "hybrid"]}, {"type": "public-key", "id": "BA"}],
					"attestation": "none",
					"extensions": {"credProps": true},
					`+want+`}`, encoded(handle), encoded(c.Challenge), verification))
			})
		}
	}
}

func TestTheRequestOptionsAllowThePasskeysOfTheUserAndNoOthers(t *testing.T) {
	c := ceremony("preferred")
	got, err := relyingParty(t).RequestOptions(c, []mfa.Passkey{{ID: []byte{1, 2, 3}, Transports: []string{"usb", "nfc"}}, {ID: []byte{4}}})
	if err != nil {
		t.Fatal(err)
	}
	sameJSON(t, got, fmt.Sprintf(`{
		"rpId": "example.org", "challenge": %q, "timeout": 300000, "userVerification": "preferred",
		"allowCredentials": [{"type": "public-key", "id": "AQID", "transports": ["usb", "nfc"]}, {"type": "public-key", "id": "BA"}]
	}`, encoded(c.Challenge)))
	if got, err := relyingParty(t).RequestOptions(c, nil); err == nil {
		t.Errorf("got %s, which any passkey can answer", got)
	}
}

func encoded(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func TestAKeyThatIsExcludedIsNotMadeAgain(t *testing.T) {
	a := &passkeytest.Authenticator{}
	registered := enrol(t, a).Passkey
	options, err := relyingParty(t).CreationOptions(ceremony("discouraged"), mfa.NewPasskey{Handle: handle, Exclude: []mfa.Passkey{registered}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Create(options, origin); !errors.Is(err, passkeytest.ErrExcluded) {
		t.Errorf("got %v, want %v", err, passkeytest.ErrExcluded)
	}
}

func TestARelyingPartyNeedsADomainAndAName(t *testing.T) {
	for _, p := range []mfa.RelyingParty{
		{}, {Name: "Example"}, {ID: "example.org"}, {ID: "https://example.org", Name: "Example"}, {ID: "example.org:443", Name: "Example"},
		{ID: "192.0.2.1", Name: "Example"}, {ID: "exa mple.org", Name: "Example"}, {ID: "example..org", Name: "Example"},
	} {
		if _, err := passkey.New(p); err == nil {
			t.Errorf("%+v is a relying party", p)
		}
	}
	for _, id := range []string{"example.org", "localhost", "login.example.co.uk"} {
		if _, err := passkey.New(mfa.RelyingParty{ID: id, Name: "Example"}); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}
