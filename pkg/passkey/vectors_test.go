package passkey_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/passkey"
)

// A vector is one of the test vectors of Web Authentication Level 3, section 16. It has a registration, and a sign-in with the
// key that was registered.
type vector struct {
	Name         string
	Registration struct {
		Challenge         hexadecimal
		CredentialID      hexadecimal `json:"credential_id"`
		ClientDataJSON    hexadecimal
		AttestationObject hexadecimal
	}
	Authentication struct {
		Challenge         hexadecimal
		ClientDataJSON    hexadecimal
		AuthenticatorData hexadecimal
		Signature         hexadecimal
	}
}

// A hexadecimal is a byte string that the file of vectors has in hexadecimal.
type hexadecimal []byte

func (h *hexadecimal) UnmarshalText(text []byte) (err error) {
	*h, err = hex.AppendDecode(nil, text)
	return err
}

// vectors reads all vectors.
func vectors(t testing.TB) []vector {
	t.Helper()
	content, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Source, Origin string
		Party          string `json:"rp_id"`
		Vectors        []vector
	}
	if err := json.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	if file.Party != party || file.Origin != vectorOrigin || file.Source == "" || len(file.Vectors) != 15 {
		t.Fatalf("got %d vectors of %s at %s", len(file.Vectors), file.Party, file.Origin)
	}
	return file.Vectors
}

const vectorOrigin = "https://example.org"

// refusedVectors are the vectors that this package refuses, with the reason for the registration and for the sign-in. If the key
// isn't registered, there is no sign-in.
var refusedVectors = map[string]struct{ create, get passkey.Reason }{
	"none-es256-crossOrigin": {create: passkey.CrossOrigin, get: passkey.CrossOrigin},
	"none-es256-topOrigin":   {create: passkey.TopOrigin, get: passkey.TopOrigin},
	"packed-es384":           {create: passkey.WrongAlgorithm},
	"packed-es512":           {create: passkey.WrongAlgorithm},
	"packed-ed448":           {create: passkey.WrongAlgorithm},
	"android-key-es256":      {create: passkey.WrongFormat},
}

// accepted returns the vectors that register and sign in.
func accepted(t testing.TB) (found []vector) {
	t.Helper()
	for _, v := range vectors(t) {
		if _, refused := refusedVectors[v.Name]; !refused {
			found = append(found, v)
		}
	}
	return found
}

// ceremonyOf returns a ceremony that has the challenge of a vector.
func ceremonyOf(challenge []byte) mfa.Ceremony {
	c := ceremony("discouraged")
	c.Challenge, c.Origins = challenge, []string{vectorOrigin}
	return c
}

// A registration is a response to creation options, with the bytes in the members of its JSON.
type registration struct{ id, clientData, object []byte }

func (v vector) registration() registration {
	return registration{v.Registration.CredentialID, v.Registration.ClientDataJSON, v.Registration.AttestationObject}
}

func (r registration) members() map[string]any {
	return map[string]any{
		"id": encoded(r.id), "rawId": encoded(r.id), "type": "public-key", "clientExtensionResults": map[string]any{},
		"response": map[string]any{"clientDataJSON": encoded(r.clientData), "attestationObject": encoded(r.object)},
	}
}

// authenticatorData returns the place in the attestation object where the authenticator data begins. It is the last thing there
// (Web Authentication Level 3, section 6.5.4, and RFC 8949, section 4.2.3).
func (r registration) authenticatorData(t testing.TB) int {
	t.Helper()
	at := bytes.Index(r.object, []byte("\x68authData"))
	if at < 0 || r.object[at+9] != 0x58 && r.object[at+9] != 0x59 {
		t.Fatal("no authenticator data in the attestation object")
	}
	return at + 10 + int(r.object[at+9]-0x57)
}

// publicKey returns the rest of the authenticator data, after the credential id.
func (r registration) publicKey(t testing.TB) []byte {
	t.Helper()
	return r.object[r.authenticatorData(t)+55+len(r.id):]
}

// A signIn is a response to request options, with the bytes in the members of its JSON.
type signIn struct{ id, clientData, data, signature []byte }

func (v vector) signIn() signIn {
	return signIn{v.Registration.CredentialID, v.Authentication.ClientDataJSON, v.Authentication.AuthenticatorData, v.Authentication.Signature}
}

func (s signIn) members() map[string]any {
	return map[string]any{
		"id": encoded(s.id), "rawId": encoded(s.id), "type": "public-key", "clientExtensionResults": map[string]any{},
		"response": map[string]any{
			"clientDataJSON": encoded(s.clientData), "authenticatorData": encoded(s.data), "signature": encoded(s.signature),
		},
	}
}

// written returns a response as JSON.
func written(t testing.TB, members map[string]any) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// register registers the key of a vector.
func (v vector) register(t testing.TB) (mfa.CreatedPasskey, error) {
	t.Helper()
	return relyingParty(t).Create(ceremonyOf(v.Registration.Challenge), handle, written(t, v.registration().members()), began)
}

// use signs in with the key of a vector.
func (v vector) use(t testing.TB, registered mfa.Passkey) (mfa.PasskeyUse, error) {
	t.Helper()
	return relyingParty(t).Get(ceremonyOf(v.Authentication.Challenge), handle, registered, written(t, v.signIn().members()), began)
}

func TestTheVectorsOfTheSpecificationRegisterAndSignIn(t *testing.T) {
	all := accepted(t)
	if len(all) != 9 {
		t.Errorf("got %d vectors, want none, self, a long id, packed of three algorithms, TPM, Apple and U2F", len(all))
	}
	for _, v := range all {
		t.Run(v.Name, func(t *testing.T) {
			created, err := v.register(t)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(created.ID, v.Registration.CredentialID) || !bytes.Equal(created.PublicKey, v.registration().publicKey(t)) {
				t.Errorf("registered the id %x with the key %x", created.ID, created.PublicKey)
			}
			if _, err := v.use(t, created.Passkey); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheOtherVectorsAreRefusedEachForItsReason(t *testing.T) {
	found := 0
	for _, v := range vectors(t) {
		want, ok := refusedVectors[v.Name]
		if !ok {
			continue
		}
		found++
		t.Run(v.Name, func(t *testing.T) {
			_, err := v.register(t)
			refused(t, err, want.create)
			if want.get == "" {
				return
			}
			flags := v.Registration.AttestationObject[v.registration().authenticatorData(t)+32]
			_, err = v.use(t, mfa.Passkey{
				ID: v.Registration.CredentialID, PublicKey: v.registration().publicKey(t), BackupEligible: flags&8 != 0,
			})
			refused(t, err, want.get)
		})
	}
	if found != len(refusedVectors) {
		t.Errorf("got %d vectors, want %d", found, len(refusedVectors))
	}
}
