package passkey

import (
	"bytes"
	"encoding/json"
	"math/big"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"countersign/pkg/mfa"
)

// formats are the formats of attestation statements that are accepted (Web Authentication Level 3, section 8). The options don't
// ask for a statement, but some clients pass on the one that the authenticator gives.
var formats = []protocol.AttestationFormat{
	protocol.AttestationFormatNone, protocol.AttestationFormatPacked, protocol.AttestationFormatTPM,
	protocol.AttestationFormatApple, protocol.AttestationFormatFIDOUniversalSecondFactor,
}

// transports are the ways in which a browser can reach an authenticator (Web Authentication Level 3, section 5.8.4).
var transports = []protocol.AuthenticatorTransport{
	protocol.BLE, protocol.Hybrid, protocol.Internal, protocol.NFC, protocol.SmartCard, protocol.USB,
}

// CreationOptions returns the options for creating a passkey, a PublicKeyCredentialCreationOptionsJSON. They depend on the
// variant (Web Authentication Level 3, sections 5.4.4 and 5.8.8). For mfa.SecurityKey the browser offers only authenticators that
// can be carried about. It is also asked not to make a resident key, because a security key has room for only a few of them.
func (p *ceremonies) CreationOptions(c mfa.Ceremony, n mfa.NewPasskey) (json.RawMessage, error) {
	if err := usable(c, n.Handle); err != nil {
		return nil, err
	}
	optional := false
	options := protocol.PublicKeyCredentialCreationOptions{
		RelyingParty: protocol.RelyingPartyEntity{ID: p.party.ID, CredentialEntity: protocol.CredentialEntity{Name: p.party.Name}},
		User: protocol.UserEntity{
			ID:               protocol.URLEncodedBase64(n.Handle),
			CredentialEntity: protocol.CredentialEntity{Name: n.Name},
			DisplayName:      n.DisplayName,
		},
		Challenge:             c.Challenge,
		Parameters:            algorithms,
		Timeout:               int(timeout.Milliseconds()),
		CredentialExcludeList: descriptors(n.Exclude),
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey:        protocol.ResidentKeyRequirementPreferred,
			RequireResidentKey: &optional,
			UserVerification:   protocol.UserVerificationRequirement(c.UserVerification),
		},
		Hints:       []protocol.PublicKeyCredentialHints{protocol.PublicKeyCredentialHintClientDevice, protocol.PublicKeyCredentialHintHybrid},
		Attestation: protocol.PreferNoAttestation,
		Extensions:  protocol.AuthenticationExtensions{CredProps: true},
	}
	if n.Variant == mfa.SecurityKey {
		options.AuthenticatorSelection.AuthenticatorAttachment = protocol.CrossPlatform
		options.AuthenticatorSelection.ResidentKey = protocol.ResidentKeyRequirementDiscouraged
		options.Hints = []protocol.PublicKeyCredentialHints{protocol.PublicKeyCredentialHintSecurityKey}
	}
	return json.Marshal(options)
}

// Create checks the response to CreationOptions. A response that is not acceptable is refused with a Reason.
func (p *ceremonies) Create(c mfa.Ceremony, handle []byte, response json.RawMessage, now time.Time) (mfa.CreatedPasskey, error) {
	var created mfa.CreatedPasskey
	if err := usable(c, handle); err != nil {
		return created, err
	}
	if err := judgeArrival(c, response, now); err != nil {
		return created, err
	}
	given, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return created, Malformed
	}
	object := &given.Response.AttestationObject
	if err := judgeID(given.ParsedPublicKeyCredential); err != nil {
		return created, err
	}
	if !bytes.Equal(given.RawID, object.AuthData.AttData.CredentialID) {
		return created, WrongCredential
	}
	if err := judgeClientData(given.Response.CollectedClientData, protocol.CreateCeremony, c); err != nil {
		return created, err
	}
	if err := p.judgeAuthenticatorData(object.AuthData, c); err != nil {
		return created, err
	}
	if err := judgeKey(object.AuthData.AttData.CredentialPublicKey); err != nil {
		return created, err
	}
	if !slices.Contains(formats, protocol.AttestationFormat(object.Format)) {
		return created, WrongFormat
	}
	if err := judgeStatement(object, given.Raw.AttestationResponse.ClientDataJSON); err != nil {
		return created, err
	}
	library, err := p.library(c)
	if err != nil {
		return created, err
	}
	credential, err := library.CreateCredential(account{handle: handle}, p.session(c, handle), given)
	if err != nil {
		return created, WrongAttestation
	}
	created.Passkey = mfa.Passkey{
		ID:             credential.ID,
		PublicKey:      credential.PublicKey,
		Transports:     known(credential.Transport),
		Attachment:     string(credential.Authenticator.Attachment),
		AAGUID:         credential.Authenticator.AAGUID,
		BackupEligible: credential.Flags.BackupEligible,
		Discoverable:   credential.Extensions.RK,
	}
	created.PasskeyUse = use(object.AuthData)
	return created, nil
}

// judgeKey returns an error unless a public key is of an algorithm that was asked for, and can be used. Without an attestation
// statement, nothing else would check the key before the first sign-in.
func judgeKey(encoded []byte) error {
	var key webauthncose.PublicKeyData
	if len(encoded) > maxPublicKey || webauthncbor.Unmarshal(encoded, &key) != nil {
		return UnusableKey
	}
	asked := func(a protocol.CredentialParameter) bool { return int64(a.Algorithm) == key.Algorithm }
	if !slices.ContainsFunc(algorithms, asked) {
		return WrongAlgorithm
	}
	parsed, err := webauthncose.ParsePublicKey(encoded)
	if err != nil {
		return UnusableKey
	}
	// The library doesn't check the length of an RSA key, or whether the type of a key fits its algorithm.
	rsa, ok := parsed.(webauthncose.RSAPublicKeyData)
	if ok != (key.Algorithm == int64(webauthncose.AlgRS256)) || ok && new(big.Int).SetBytes(rsa.Modulus).BitLen() < minRSA {
		return UnusableKey
	}
	return nil
}

// known returns those of the transports that this package knows, each once and sorted, as browsers give them (Web
// Authentication Level 3, section 5.2.1, getTransports).
func known(given []protocol.AuthenticatorTransport) (names []string) {
	for _, t := range transports {
		if slices.Contains(given, t) {
			names = append(names, string(t))
		}
	}
	return names
}
