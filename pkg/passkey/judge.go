package passkey

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"

	"countersign/pkg/mfa"
)

// judgeArrival tells whether a response comes in time, and is of a size that is worth reading.
func judgeArrival(c mfa.Ceremony, response []byte, now time.Time) error {
	if len(response) > maxResponse {
		return TooLarge
	}
	if !now.Before(c.Expires) {
		return Expired
	}
	return nil
}

// judgeID tells whether the credential id of a response is the one and only base64url text of its bytes. The library would
// let padding, line breaks and loose bits pass, and two texts would then name one credential.
func judgeID(given protocol.ParsedPublicKeyCredential) error {
	if given.ID != base64.RawURLEncoding.EncodeToString(given.RawID) || len(given.RawID) > maxCredential {
		return Malformed
	}
	return nil
}

// judgeClientData compares what the browser says of the ceremony with the ceremony (Web Authentication Level 3, sections 7.1
// and 7.2). Origins are compared as texts. The library looks at their scheme and host only, so that an origin with a path or
// a user name would pass.
func judgeClientData(said protocol.CollectedClientData, want protocol.CeremonyType, c mfa.Ceremony) error {
	challenge := base64.RawURLEncoding.EncodeToString(c.Challenge)
	switch {
	case said.Type != want:
		return WrongType
	case subtle.ConstantTimeCompare([]byte(said.Challenge), []byte(challenge)) != 1:
		return WrongChallenge
	case !slices.Contains(c.Origins, said.Origin):
		return WrongOrigin
	case said.TopOrigin != "":
		return TopOrigin
	case said.CrossOrigin:
		return CrossOrigin
	}
	return nil
}

// judgeAuthenticatorData compares what the authenticator says of the ceremony with the ceremony (Web Authentication Level 3,
// sections 7.1 and 7.2).
func (p *ceremonies) judgeAuthenticatorData(said protocol.AuthenticatorData, c mfa.Ceremony) error {
	party := sha256.Sum256([]byte(p.party.ID))
	switch {
	case subtle.ConstantTimeCompare(said.RPIDHash, party[:]) != 1:
		return WrongRelyingParty
	case !said.Flags.HasUserPresent():
		return NoUserPresence
	case c.UserVerification == string(protocol.VerificationRequired) && !said.Flags.HasUserVerified():
		return NoUserVerification
	case said.Flags.HasBackupState() && !said.Flags.HasBackupEligible():
		return BackupFlags
	}
	return nil
}

// use is what the authenticator data of a right response says.
func use(said protocol.AuthenticatorData) mfa.PasskeyUse {
	return mfa.PasskeyUse{
		SignCount:    said.Counter,
		BackedUp:     said.Flags.HasBackupState(),
		UserVerified: said.Flags.HasUserVerified(),
	}
}
