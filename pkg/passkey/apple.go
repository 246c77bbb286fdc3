package passkey

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// appleNonce names the extension of a certificate that holds the nonce (Web Authentication Level 3, section 8.8).
var appleNonce = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 2}

// judgeApple checks an anonymous attestation statement of Apple (Web Authentication Level 3, section 8.8, verification
// procedure). The library would besides demand that Apple's root vouches for it, of this format alone. Here nobody has to
// vouch for a statement of any format.
func judgeApple(object protocol.AttestationObject, clientData []byte) error {
	chain, _ := object.AttStatement["x5c"].([]any)
	if len(chain) == 0 {
		return WrongAttestation
	}
	encoded, _ := chain[0].([]byte)
	certificate, err := x509.ParseCertificate(encoded)
	if err != nil {
		return WrongAttestation
	}
	hash := sha256.Sum256(clientData)
	nonce := sha256.Sum256(slices.Concat(object.RawAuthData, hash[:]))
	if subtle.ConstantTimeCompare(nonceOf(certificate), nonce[:]) != 1 || !certifies(certificate, object.AuthData.AttData.CredentialPublicKey) {
		return WrongAttestation
	}
	return nil
}

// nonceOf returns the nonce in a certificate of Apple, or nil if there is none.
func nonceOf(certificate *x509.Certificate) []byte {
	for _, e := range certificate.Extensions {
		var held struct {
			Nonce []byte `asn1:"tag:1,explicit"`
		}
		if !e.Id.Equal(appleNonce) {
			continue
		}
		if rest, err := asn1.Unmarshal(e.Value, &held); err != nil || len(rest) > 0 {
			return nil
		}
		return held.Nonce
	}
	return nil
}

// certifies tells whether a certificate is for that public key, a COSE_Key. Apple makes keys on the curve P-256 only.
func certifies(certificate *x509.Certificate, encoded []byte) bool {
	parsed, err := webauthncose.ParsePublicKey(encoded)
	if err != nil {
		return false
	}
	key, ok := parsed.(webauthncose.EC2PublicKeyData)
	if !ok {
		return false
	}
	public, err := key.ToECDSA()
	return err == nil && public.Equal(certificate.PublicKey)
}
