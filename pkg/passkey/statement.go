package passkey

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/google/go-tpm/tpm2"
)

// judgeStatement checks those attestation statements that the library accepts only from issuers that it knows: those of Apple and
// of TPMs. Here a statement needs no trusted issuer, whatever its format is. So judgeStatement checks only that the statement is
// about this key and this ceremony, and removes the statement from the object. The library checks the statements of the other
// formats in the same way.
func judgeStatement(object *protocol.AttestationObject, clientData []byte) error {
	hash := sha256.Sum256(clientData)
	signed := slices.Concat(object.RawAuthData, hash[:])
	key := object.AuthData.AttData.CredentialPublicKey
	var right bool
	switch protocol.AttestationFormat(object.Format) {
	case protocol.AttestationFormatApple:
		right = appleStatement(object.AttStatement, signed, key)
	case protocol.AttestationFormatTPM:
		right = tpmStatement(object.AttStatement, signed, key)
	default:
		return nil
	}
	if !right {
		return WrongAttestation
	}
	object.Format, object.AttStatement = string(protocol.AttestationFormatNone), nil
	return nil
}

// appleNonce is the id of the certificate extension that has the nonce (Web Authentication Level 3, section 8.8).
var appleNonce = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 2}

// appleStatement reports whether an anonymous attestation statement of Apple is correct. It must have a certificate that is for
// this key and was made for what is signed (Web Authentication Level 3, section 8.8).
func appleStatement(statement map[string]any, signed, key []byte) bool {
	certificate := firstCertificate(statement)
	if certificate == nil || !sameKey(key, certificate.PublicKey) {
		return false
	}
	at := slices.IndexFunc(certificate.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(appleNonce) })
	if at < 0 {
		return false
	}
	var held struct {
		Nonce []byte `asn1:"tag:1,explicit"`
	}
	rest, err := asn1.Unmarshal(certificate.Extensions[at].Value, &held)
	nonce := sha256.Sum256(signed)
	return err == nil && len(rest) == 0 && subtle.ConstantTimeCompare(held.Nonce, nonce[:]) == 1
}

// tpmStatement reports whether a TPM attestation statement is correct. In it, the TPM certifies the key in pubArea, which must be
// this one, for the digest of what is signed (Web Authentication Level 3, section 8.3). The requirements of section 8.3.1 on the
// certificate are left out, because they are useful only to those who trust its issuer.
func tpmStatement(statement map[string]any, signed, key []byte) bool {
	version, _ := statement["ver"].(string)
	number, _ := statement["alg"].(int64)
	signature, _ := statement["sig"].([]byte)
	info, _ := statement["certInfo"].([]byte)
	area, _ := statement["pubArea"].([]byte)
	certificate := firstCertificate(statement)
	algorithm := webauthncose.COSEAlgorithmIdentifier(number)
	digest, known := webauthncose.HasherFromCOSEAlg(algorithm)
	if version != "2.0" || certificate == nil || !known {
		return false
	}
	if certificate.CheckSignature(webauthncose.SigAlgFromCOSEAlg(algorithm), info, signature) != nil {
		return false
	}
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](area)
	if err != nil {
		return false
	}
	certified, err := tpm2.Pub(*public)
	if err != nil || !sameKey(key, certified) {
		return false
	}
	said, err := tpm2.Unmarshal[tpm2.TPMSAttest](info)
	if err != nil || said.Magic.Check() != nil || said.Type != tpm2.TPMSTAttestCertify {
		return false
	}
	digest.Write(signed)
	return subtle.ConstantTimeCompare(said.ExtraData.Buffer, digest.Sum(nil)) == 1 && named(said, public)
}

// named reports whether what a TPM says is about that public key, by the name of the key (TPM 2.0 Library, part 1, section 14).
func named(said *tpm2.TPMSAttest, public *tpm2.TPMTPublic) bool {
	about, err := said.Attested.Certify()
	if err != nil {
		return false
	}
	name, err := tpm2.ObjectName(public)
	return err == nil && subtle.ConstantTimeCompare(about.Name.Buffer, name.Buffer) == 1
}

// firstCertificate returns the certificate that a statement was made with, or nil if there is none that can be read.
func firstCertificate(statement map[string]any) *x509.Certificate {
	chain, _ := statement["x5c"].([]any)
	if len(chain) == 0 {
		return nil
	}
	encoded, _ := chain[0].([]byte)
	certificate, err := x509.ParseCertificate(encoded)
	if err != nil {
		return nil
	}
	return certificate
}

// sameKey reports whether a COSE_Key is that public key. Neither Apple nor TPMs attest keys of EdDSA.
func sameKey(encoded []byte, other crypto.PublicKey) bool {
	parsed, err := webauthncose.ParsePublicKey(encoded)
	if err != nil {
		return false
	}
	switch key := parsed.(type) {
	case webauthncose.EC2PublicKeyData:
		public, err := key.ToECDSA()
		return err == nil && public.Equal(other)
	case webauthncose.RSAPublicKeyData:
		exponent, err := webauthncose.ParseRSAPublicKeyDataExponent(&key)
		public := rsa.PublicKey{N: new(big.Int).SetBytes(key.Modulus), E: exponent}
		return err == nil && public.Equal(other)
	}
	return false
}
