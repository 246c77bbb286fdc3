// Package interop has an authenticator enrol and sign in that others have written, in software:
// github.com/descope/virtualwebauthn. It is a module of its own, so that what that authenticator needs doesn't decide which
// versions the deployment is built with. The command infra/test runs it.
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

// A combination is what the authenticator is and does, and what it is asked for.
type combination struct {
	key          string
	variant      mfa.Variant
	verification string // as the policy says
	verified     bool   // the authenticator verifies the user
	present      bool   // somebody touches it
	eligible     bool
	synced       bool
	resident     bool // it keeps the user handle
}

// want is the reason why the combination is refused, or nil.
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

// combinations are all there are.
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

// es256 is a key whose coordinates don't begin with a zero byte. Virtualwebauthn leaves such a byte out, in one key of 128.
// RFC 9053, section 7.1.1, forbids that, and go-webauthn refuses the key.
func es256() virtualwebauthn.Credential {
	const whole = 77 // bytes of a COSE_Key with two coordinates of 32
	for {
		if key := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2); len(key.Key.AttestationData()) == whole {
			return key
		}
	}
}

// enrol has the authenticator make a passkey.
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

// signIn has the authenticator sign in with it.
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

// A virtual authenticator says neither transports nor an attachment, and signs by ES256 or RS256 only.
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
			if want := (mfa.PasskeyUse{SignCount: key.Counter, BackedUp: c.synced, UserVerified: c.verified}); err == nil && used != want {
				t.Errorf("got %+v, want %+v", used, want)
			}
			if err == nil {
				accepted++
			}
		})
	}
	// Half have somebody present, three quarters have backup flags that agree, and five sixths verify the user if they must.
	if n := len(combinations()); n != 384 || accepted != 120 {
		t.Errorf("%d of %d combinations were accepted, want 120 of 384", accepted, n)
	}
}

// enrolledAnyway enrols the key on an authenticator that does all it should, to see that its sign-in is refused too.
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
