// Package passkey carries out WebAuthn ceremonies for package mfa: it makes the options that a browser passes to an
// authenticator, and checks the responses (Web Authentication Level 3, sections 7.1 and 7.2). The library go-webauthn does the
// cryptography and reads the formats. What it leaves to a relying party, or is lenient about, is checked here first.
//
// What [New] returns has only configuration. Package mfa remembers the challenge of a ceremony, makes sure that it is used only
// once, keeps the signature counters, and makes sure that a credential id belongs to one user only.
//
// What this package guarantees:
//
//   - A response is accepted only for the challenge, the origins and the user verification of its own ceremony, and only
//     until the ceremony expires by the time that the caller gives.
//   - Whether the user was verified is read from the authenticator data of this very response.
//   - A refusal has one of the reasons in reason.go. Neither a reason nor an error contains the challenge or anything from the
//     response. The errors of go-webauthn are dropped, because some of them contain the challenge that was expected.
//
// The package refuses responses from frames of other origins, attestation formats that it can't check, and public keys of
// algorithms that it hasn't asked for. It asks for no attestation and trusts none. If an authenticator gives a statement all the
// same, the statement must be correct in itself, but no trusted issuer has to confirm the model. So an AAGUID is only what the
// authenticator says about itself.
package passkey

import (
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"countersign/pkg/mfa"
)

// timeout is how long a browser waits for the user. It is as long as a ceremony may take (Web Authentication Level 3, section
// 15.1).
const timeout = 300 * time.Second

// These are the limits of a response.
const (
	maxResponse   = 64 << 10 // bytes
	maxCredential = 1023     // bytes of a credential id (Web Authentication Level 3, section 4)
	maxPublicKey  = 2 << 10  // bytes of a COSE_Key. One with an RSA modulus of 4,096 bits has about 530
	minRSA        = 2048     // bits of an RSA modulus (NIST SP 800-131A, section 3)
)

// minChallenge is the least length of a challenge in bytes (Web Authentication Level 3, "Cryptographic Challenges").
const minChallenge = 16

// algorithms are the signature algorithms that are asked for, the preferred ones first. They are those that Web
// Authentication Level 3, section 5.4, recommends for relying parties that want to support most authenticators.
var algorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

// ceremonies makes the options of WebAuthn ceremonies and checks the responses, for one relying party. It is a [mfa.Passkeys].
// Many goroutines can use it at the same time.
type ceremonies struct{ party mfa.RelyingParty }

var _ mfa.Passkeys = (*ceremonies)(nil)

// New returns the ceremonies of a relying party. It returns an error if the RP ID is not a domain (Web Authentication Level
// 3, section 4), or if there is no name.
func New(party mfa.RelyingParty) (mfa.Passkeys, error) {
	if err := protocol.ValidateRPID(party.ID); err != nil {
		return nil, fmt.Errorf("passkey: the RP ID %q is not a domain: %w", party.ID, err)
	}
	if party.Name == "" {
		return nil, errors.New("passkey: the relying party has no name")
	}
	return &ceremonies{party: party}, nil
}

// library returns go-webauthn with the settings of one ceremony.
func (p *ceremonies) library(c mfa.Ceremony) (*webauthn.WebAuthn, error) {
	library, err := webauthn.New(&webauthn.Config{
		RPID: p.party.ID, RPDisplayName: p.party.Name, RPOrigins: c.Origins,
		// Browsers and their extensions add outputs that nobody has asked for. They are ignored.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("passkey: the settings of the ceremony: %w", err)
	}
	return library, nil
}

// session returns the ceremony in the form that go-webauthn needs. It has no expiry, because the library would compare it with
// the clock of the machine. This package compares it with the time that the caller gives.
func (p *ceremonies) session(c mfa.Ceremony, handle []byte) webauthn.SessionData {
	return webauthn.SessionData{
		Challenge:        base64.RawURLEncoding.EncodeToString(c.Challenge),
		RelyingPartyID:   p.party.ID,
		UserID:           handle,
		UserVerification: protocol.UserVerificationRequirement(c.UserVerification),
		CredParams:       algorithms,
	}
}

// usable returns an error if something is wrong with a ceremony or a user handle that this deployment has made itself. That isn't
// the authenticator's fault, and no response could be correct for it.
func usable(c mfa.Ceremony, handle []byte) error {
	switch {
	case len(c.Challenge) < minChallenge:
		return errors.New("passkey: the challenge of the ceremony is too short")
	case len(c.Origins) == 0:
		return errors.New("passkey: the ceremony has no origins")
	case len(handle) < protocol.MinimumUserHandleLength || len(handle) > protocol.MaximumUserHandleLength:
		return errors.New("passkey: a user handle has 1 to 64 bytes")
	}
	return nil
}

// descriptors name passkeys to a browser, and say how it can reach their authenticators.
func descriptors(passkeys []mfa.Passkey) []protocol.CredentialDescriptor {
	var named []protocol.CredentialDescriptor
	for _, p := range passkeys {
		d := protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: p.ID}
		for _, t := range p.Transports {
			d.Transport = append(d.Transport, protocol.AuthenticatorTransport(t))
		}
		named = append(named, d)
	}
	return named
}

// account is a user with at most one passkey, in the form that go-webauthn needs.
type account struct {
	handle   []byte
	passkeys []webauthn.Credential
}

func (a account) WebAuthnID() []byte                         { return a.handle }
func (a account) WebAuthnName() string                       { return "" }
func (a account) WebAuthnDisplayName() string                { return "" }
func (a account) WebAuthnCredentials() []webauthn.Credential { return a.passkeys }
