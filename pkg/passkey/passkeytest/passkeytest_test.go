package passkeytest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"countersign/pkg/passkey/passkeytest"
)

const origin = "https://login.example.org"

// creation returns creation options with that authenticator selection.
func creation(selection string) json.RawMessage {
	return json.RawMessage(`{"rp": {"id": "example.org", "name": "Example"}, "user": {"id": "AQID", "name": "ada", "displayName": "Ada"},
		"challenge": "AAECAwQFBgcICQoLDA0ODw", "pubKeyCredParams": [{"type": "public-key", "alg": -7}], "authenticatorSelection": ` + selection + `}`)
}

func TestAnAuthenticatorDoesWhatItCanAndNoMore(t *testing.T) {
	for _, c := range []struct {
		name          string
		authenticator *passkeytest.Authenticator
		selection     string
		origin        string
		want          error
	}{
		{"nothing special", &passkeytest.Authenticator{}, `{}`, origin, nil},
		{"the RP ID itself", &passkeytest.Authenticator{}, `{}`, "https://example.org", nil},
		{"a site that only ends alike", &passkeytest.Authenticator{}, `{}`, "https://evilexample.org", passkeytest.ErrOrigin},
		{"a page that isn't secure", &passkeytest.Authenticator{}, `{}`, "http://login.example.org", passkeytest.ErrOrigin},
		{"no origin", &passkeytest.Authenticator{}, `{}`, "null", passkeytest.ErrOrigin},
		{"a key where the device is asked", &passkeytest.Authenticator{}, `{"authenticatorAttachment": "platform"}`, origin, passkeytest.ErrUnable},
		{"the device where a key is asked", &passkeytest.Authenticator{Platform: true}, `{"authenticatorAttachment": "cross-platform"}`, origin, passkeytest.ErrUnable},
		{"the device itself", &passkeytest.Authenticator{Platform: true}, `{"authenticatorAttachment": "platform"}`, origin, nil},
		{"no resident key", &passkeytest.Authenticator{}, `{"residentKey": "required"}`, origin, passkeytest.ErrUnable},
		{"a resident key", &passkeytest.Authenticator{Resident: true}, `{"residentKey": "required"}`, origin, nil},
		{"no verification", &passkeytest.Authenticator{}, `{"userVerification": "required"}`, origin, passkeytest.ErrUnable},
		{"verification", &passkeytest.Authenticator{Verifies: true}, `{"userVerification": "required"}`, origin, nil},
		{"another algorithm", &passkeytest.Authenticator{Algorithms: []int{passkeytest.EdDSA}}, `{}`, origin, passkeytest.ErrUnable},
	} {
		t.Run(c.name, func(t *testing.T) {
			response, err := c.authenticator.Create(creation(c.selection), c.origin)
			if !errors.Is(err, c.want) || (response == nil) != (err != nil) {
				t.Errorf("got %s, %v, want %v", response, err, c.want)
			}
		})
	}
}

// request returns request options that allow those credential ids.
func request(verification string, ids ...string) json.RawMessage {
	allowed := []map[string]string{}
	for _, id := range ids {
		allowed = append(allowed, map[string]string{"type": "public-key", "id": id})
	}
	text, err := json.Marshal(map[string]any{
		"rpId": "example.org", "challenge": "AAECAwQFBgcICQoLDA0ODw", "allowCredentials": allowed, "userVerification": verification,
	})
	if err != nil {
		panic(err) // texts can always be encoded
	}
	return text
}

// response has the parts of a response that a test looks at.
type response struct {
	ID       string
	Response struct{ UserHandle string }
}

func read(t *testing.T, text json.RawMessage, err error) (r response) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAnAuthenticatorSignsInWithAKeyThatIsAllowed(t *testing.T) {
	a := &passkeytest.Authenticator{Resident: true}
	made, err := a.Create(creation(`{"residentKey": "discouraged"}`), origin)
	plain := read(t, made, err)
	made, err = a.Create(creation(`{"residentKey": "preferred"}`), origin)
	resident := read(t, made, err)
	for _, c := range []struct {
		allowed    []string
		id, handle string
	}{
		{[]string{plain.ID}, plain.ID, ""},
		{[]string{"AAAA", resident.ID}, resident.ID, "AQID"},
		{nil, resident.ID, "AQID"},
	} {
		given, err := a.Get(request("preferred", c.allowed...), origin)
		got := read(t, given, err)
		if got.ID != c.id || got.Response.UserHandle != c.handle {
			t.Errorf("%v: got %+v", c.allowed, got)
		}
	}
	for want, options := range map[error]json.RawMessage{
		passkeytest.ErrNoKey: request("preferred", "AAAA"), passkeytest.ErrUnable: request("required", plain.ID),
	} {
		if _, err := a.Get(options, origin); err != want {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	if _, err := a.Get(request("preferred", plain.ID), "https://example.com"); err != passkeytest.ErrOrigin {
		t.Errorf("got %v", err)
	}
	excluding := creation(fmt.Sprintf(`{}, "excludeCredentials": [{"type": "public-key", "id": %q}]`, plain.ID))
	if _, err := a.Create(excluding, origin); err != passkeytest.ErrExcluded {
		t.Errorf("got %v", err)
	}
}
