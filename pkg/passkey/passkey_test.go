package passkey_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/passkey"
	"countersign/pkg/passkey/passkeytest"
)

const (
	party  = "example.org"
	origin = "https://login.example.org"
)

// began is when the ceremonies of these tests begin.
var began = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// handle is the user handle of the user of these tests.
var handle = bytes.Repeat([]byte{7}, 32)

func relyingParty(t testing.TB) mfa.Passkeys {
	t.Helper()
	p, err := passkey.New(mfa.RelyingParty{ID: party, Name: "Example"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ceremony begins a ceremony with a fresh challenge.
func ceremony(verification string) mfa.Ceremony {
	challenge := make([]byte, 32)
	rand.Read(challenge)
	return mfa.Ceremony{Challenge: challenge, Origins: []string{origin}, UserVerification: verification, Expires: began.Add(300 * time.Second)}
}

// create lets an authenticator answer the creation options of a ceremony.
func create(t testing.TB, a *passkeytest.Authenticator, c mfa.Ceremony, n mfa.NewPasskey) json.RawMessage {
	t.Helper()
	n.Handle = handle
	options, err := relyingParty(t).CreationOptions(c, n)
	if err != nil {
		t.Fatal(err)
	}
	response, err := a.Create(options, origin)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// enrol registers a new passkey of an authenticator.
func enrol(t testing.TB, a *passkeytest.Authenticator) mfa.CreatedPasskey {
	t.Helper()
	c := ceremony("discouraged")
	created, err := relyingParty(t).Create(c, handle, create(t, a, c, mfa.NewPasskey{}), began)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// get lets an authenticator answer the request options of a ceremony.
func get(t testing.TB, a *passkeytest.Authenticator, c mfa.Ceremony, allowed ...mfa.Passkey) json.RawMessage {
	t.Helper()
	options, err := relyingParty(t).RequestOptions(c, allowed)
	if err != nil {
		t.Fatal(err)
	}
	response, err := a.Get(options, origin)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func TestAPasskeyOfEveryAlgorithmIsRegisteredAndSignsIn(t *testing.T) {
	for name, algorithm := range map[string]int{"ES256": passkeytest.ES256, "EdDSA": passkeytest.EdDSA, "RS256": passkeytest.RS256} {
		t.Run(name, func(t *testing.T) {
			a := &passkeytest.Authenticator{Algorithms: []int{algorithm}}
			created := enrol(t, a)
			if created.SignCount != 1 || created.UserVerified || created.BackedUp || created.BackupEligible {
				t.Errorf("registered %+v, want counter 1 and no flags", created)
			}
			c := ceremony("discouraged")
			used, err := relyingParty(t).Get(c, handle, created.Passkey, get(t, a, c, created.Passkey), began)
			if err != nil {
				t.Fatal(err)
			}
			if want := (mfa.PasskeyUse{SignCount: 2}); used != want {
				t.Errorf("got %+v, want %+v", used, want)
			}
		})
	}
}
