// Package interop tests package passkey with a software authenticator that others have written:
// github.com/descope/virtualwebauthn. Package interop is in a module of its own, so that the requirements of that authenticator
// don't decide which versions the deployment is built with. The command infra/test runs it.
package interop

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"countersign/pkg/mfa"
	"countersign/pkg/passkey"
)

var (
	began  = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	handle = bytes.Repeat([]byte{7}, 32)
	party  = virtualwebauthn.RelyingParty{ID: "example.org", Name: "Example", Origin: "https://login.example.org"}
)

// A combination says what the authenticator is and does, and what it is asked for.
type combination struct {
	key          string
	variant      mfa.Variant
	verification string // the setting of the policy
	verified     bool   // whether the authenticator verifies the user
	present      bool   // whether somebody touches it
	eligible     bool
	synced       bool
	resident     bool // whether it stores the user handle
}

// want returns the reason why the combination is refused. It is nil if the combination is accepted.
func (c combination) want() error {
	switch {
	case !c.present:
		return passkey.NoUserPresence
	case c.verification == "required" && !c.verified:
		return passkey.NoUserVerification
	case c.synced && !c.eligible:
		return passkey.BackupFlags
	}
	return nil
}

// combinations returns all combinations that there are.
func combinations() (all []combination) {
	either := []bool{false, true}
	for _, key := range []string{"ES256", "RS256"} {
		for _, variant := range []mfa.Variant{mfa.AnyPasskey, mfa.SecurityKey} {
			for _, verification := range []string{"discouraged", "preferred", "required"} {
				for bits := range 1 << 5 {
					bit := func(i int) bool { return either[bits>>i&1] }
					all = append(all, combination{key, variant, verification, bit(0), bit(1), bit(2), bit(3), bit(4)})
				}
			}
		}
	}
	return all
}

func ceremony(verification string) mfa.Ceremony {
	challenge := make([]byte, 32)
	rand.Read(challenge)
	return mfa.Ceremony{Challenge: challenge, Origins: []string{party.Origin}, UserVerification: verification, Expires: began.Add(300 * time.Second)}
}

// es256 makes a key whose coordinates don't begin with a zero byte. Virtualwebauthn leaves such a byte out, which happens in one
// key of 128. RFC 9053, section 7.1.1, forbids that, and go-webauthn refuses the key.
func es256() virtualwebauthn.Credential {
	const whole = 77 // the bytes of a COSE_Key that has two coordinates of 32 bytes
	for {
		if key := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2); len(key.Key.AttestationData()) == whole {
			return key
		}
	}
}

// enrol lets the authenticator make a passkey.
func enrol(ceremonies mfa.Passkeys, c combination, a virtualwebauthn.Authenticator, key virtualwebauthn.Credential) (mfa.CreatedPasskey, error) {
	begun := ceremony(c.verification)
	options, err := ceremonies.CreationOptions(begun, mfa.NewPasskey{Variant: c.variant, Handle: handle, Name: "ada@example.org", DisplayName: "Ada"})
	if err != nil {
		return mfa.CreatedPasskey{}, err
	}
	read, err := virtualwebauthn.ParseAttestationOptions(string(options))
	if err != nil {
		return mfa.CreatedPasskey{}, err
	}
	response := virtualwebauthn.CreateAttestationResponse(party, a, key, *read)
	return ceremonies.Create(begun, handle, json.RawMessage(response), began)
}

// signIn lets the authenticator sign in with the passkey.
func signIn(ceremonies mfa.Passkeys, c combination, a virtualwebauthn.Authenticator, key virtualwebauthn.Credential, enrolled mfa.Passkey) (mfa.PasskeyUse, error) {
	begun := ceremony(c.verification)
	options, err := ceremonies.RequestOptions(begun, []mfa.Passkey{enrolled})
	if err != nil {
		return mfa.PasskeyUse{}, err
	}
	read, err := virtualwebauthn.ParseAssertionOptions(string(options))
	if err != nil {
		return mfa.PasskeyUse{}, err
	}
	if !key.IsAllowedForAssertion(*read) {
		return mfa.PasskeyUse{}, fmt.Errorf("the key is not among those that the options allow")
	}
	response := virtualwebauthn.CreateAssertionResponse(party, a, key, *read)
	return ceremonies.Get(begun, handle, enrolled, json.RawMessage(response), began)
}

// A virtual authenticator gives neither transports nor an attachment, and signs only with ES256 or RS256.
func TestAVirtualAuthenticatorEnrolsAndSignsInWithEveryCombination(t *testing.T) {
	ceremonies, err := passkey.New(mfa.RelyingParty{ID: party.ID, Name: party.Name})
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]virtualwebauthn.Credential{"ES256": es256(), "RS256": virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeRSA)}
	accepted := 0
	for _, c := range combinations() {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			options := virtualwebauthn.AuthenticatorOptions{
				UserNotPresent: !c.present, UserNotVerified: !c.verified, BackupEligible: c.eligible, BackupState: c.synced,
			}
			if c.resident {
				options.UserHandle = handle
			}
			a, key := virtualwebauthn.NewAuthenticatorWithOptions(options), keys[c.key]
			created, err := enrol(ceremonies, c, a, key)
			if err != c.want() {
				t.Fatalf("enrolment: got %v, want %v", err, c.want())
			}
			if err != nil {
				created.Passkey = enrolledAnyway(t, ceremonies, key, c)
			}
			key.Counter++
			used, err := signIn(ceremonies, c, a, key, created.Passkey)
			if err != c.want() {
				t.Fatalf("sign-in: got %v, want %v", err, c.want())
			}
			if want := (mfa.PasskeyUse{SignCount: key.Counter, BackedUp: c.synced, UserVerified: c.verified, Eligible: c.eligible}); err == nil && used != want {
				t.Errorf("got %+v, want %+v", used, want)
			}
			if err == nil {
				accepted++
			}
		})
	}
	// In half of the combinations somebody is present, in three quarters the backup flags agree, and in five sixths the user is
	// verified if that is required.
	if n := len(combinations()); n != 384 || accepted != 120 {
		t.Errorf("%d of %d combinations were accepted, want 120 of 384", accepted, n)
	}
}

// enrolledAnyway enrols the key on an authenticator that does everything right, so that the test can see that the sign-in is
// refused, too.
func enrolledAnyway(t *testing.T, ceremonies mfa.Passkeys, key virtualwebauthn.Credential, c combination) mfa.Passkey {
	t.Helper()
	good := virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{BackupEligible: c.eligible})
	created, err := enrol(ceremonies, c, good, key)
	if err != nil {
		t.Fatal(err)
	}
	return created.Passkey
}

func TestAVirtualAuthenticatorWithTheHandleOfAnotherUserIsRefused(t *testing.T) {
	ceremonies, err := passkey.New(mfa.RelyingParty{ID: party.ID, Name: party.Name})
	if err != nil {
		t.Fatal(err)
	}
	c, key := combination{variant: mfa.AnyPasskey, verification: "preferred"}, es256()
	a := virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{UserHandle: bytes.Repeat([]byte{8}, 32)})
	created, err := enrol(ceremonies, c, a, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signIn(ceremonies, c, a, key, created.Passkey); err != passkey.WrongUser {
		t.Errorf("got %v, want %v", err, passkey.WrongUser)
	}
}
