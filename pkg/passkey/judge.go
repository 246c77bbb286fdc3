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

// judgeArrival returns an error unless a response comes in time, and isn't too long to be read.
func judgeArrival(c mfa.Ceremony, response []byte, now time.Time) error {
	if len(response) > maxResponse {
		return TooLarge
	}
	if !now.Before(c.Expires) {
		return Expired
	}
	return nil
}

// judgeID returns an error unless the credential id of a response is written in the only base64url text of its bytes. The library
// would accept padding, line breaks and bits that are left over, so two texts could name the same credential.
func judgeID(given protocol.ParsedPublicKeyCredential) error {
	if given.ID != base64.RawURLEncoding.EncodeToString(given.RawID) || len(given.RawID) > maxCredential {
		return Malformed
	}
	return nil
}

// judgeClientData compares what the browser says about the ceremony with the ceremony (Web Authentication Level 3, sections 7.1
// and 7.2). It compares origins as texts. The library looks only at their scheme and host, so it would accept an origin with a
// path or a user name.
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

// judgeAuthenticatorData compares what the authenticator says about the ceremony with the ceremony (Web Authentication Level 3,
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

// use returns what the authenticator data of a correct response says.
func use(said protocol.AuthenticatorData) mfa.PasskeyUse {
	return mfa.PasskeyUse{
		SignCount:    said.Counter,
		BackedUp:     said.Flags.HasBackupState(),
		UserVerified: said.Flags.HasUserVerified(),
		Eligible:     said.Flags.HasBackupEligible(),
	}
}
