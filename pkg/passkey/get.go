package passkey

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"countersign/pkg/mfa"
)

// RequestOptions returns the options for a sign-in with one of the allowed passkeys, a PublicKeyCredentialRequestOptionsJSON. It
// returns an error if no passkey is allowed, because authenticators would then offer any passkey that they have for the relying
// party, whoever the user is.
func (p *ceremonies) RequestOptions(c mfa.Ceremony, allowed []mfa.Passkey) (json.RawMessage, error) {
	if len(allowed) == 0 {
		return nil, errors.New("passkey: a sign-in needs a passkey that it allows")
	}
	return json.Marshal(protocol.PublicKeyCredentialRequestOptions{
		Challenge:          c.Challenge,
		Timeout:            int(timeout.Milliseconds()),
		RelyingPartyID:     p.party.ID,
		AllowedCredentials: descriptors(allowed),
		UserVerification:   protocol.UserVerificationRequirement(c.UserVerification),
	})
}

// Get checks the response to RequestOptions, which must be signed with that passkey of the user who has that handle. A response
// that is not acceptable is refused with a Reason. The caller must check the signature counter.
func (p *ceremonies) Get(c mfa.Ceremony, handle []byte, passkey mfa.Passkey, response json.RawMessage, now time.Time) (mfa.PasskeyUse, error) {
	var none mfa.PasskeyUse
	if err := usable(c, handle); err != nil {
		return none, err
	}
	if _, err := webauthncose.ParsePublicKey(passkey.PublicKey); err != nil {
		return none, fmt.Errorf("passkey: the public key that was registered: %w", err)
	}
	if err := judgeArrival(c, response, now); err != nil {
		return none, err
	}
	given, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return none, Malformed
	}
	said := given.Response.AuthenticatorData
	if err := judgeID(given.ParsedPublicKeyCredential); err != nil {
		return none, err
	}
	if !bytes.Equal(given.RawID, passkey.ID) {
		return none, WrongCredential
	}
	// A key that isn't resident gives no user handle (Web Authentication Level 3, section 6.3.3).
	if user := given.Response.UserHandle; len(user) > 0 && subtle.ConstantTimeCompare(user, handle) != 1 {
		return none, WrongUser
	}
	if err := judgeClientData(given.Response.CollectedClientData, protocol.AssertCeremony, c); err != nil {
		return none, err
	}
	if err := p.judgeAuthenticatorData(said, c); err != nil {
		return none, err
	}
	eligible := passkey.BackupEligible
	if passkey.BackupUnknown {
		eligible = said.Flags.HasBackupEligible()
	}
	if said.Flags.HasBackupEligible() != eligible {
		return none, BackupEligibility
	}
	library, err := p.library(c)
	if err != nil {
		return none, err
	}
	registered := webauthn.Credential{
		ID: passkey.ID, PublicKey: passkey.PublicKey,
		Flags: webauthn.CredentialFlags{BackupEligible: eligible},
	}
	if _, err := library.ValidateLogin(account{handle, []webauthn.Credential{registered}}, p.session(c, handle), given); err != nil {
		return none, WrongSignature
	}
	return use(said), nil
}

// ReadKey returns an error unless publicKey is a COSE_Key of an algorithm that New asks for.
func (*ceremonies) ReadKey(publicKey []byte) error {
	key, err := webauthncose.ParsePublicKey(publicKey)
	if err != nil {
		return fmt.Errorf("passkey: the public key: %w", err)
	}
	var algorithm int64
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData:
		algorithm = k.Algorithm
	case webauthncose.OKPPublicKeyData:
		algorithm = k.Algorithm
	case webauthncose.RSAPublicKeyData:
		algorithm = k.Algorithm
	}
	for _, a := range algorithms {
		if int64(a.Algorithm) == algorithm {
			return nil
		}
	}
	return errors.New("passkey: the algorithm of the public key is none of those that are accepted")
}
