package passkeytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
)

// A base64url is a byte string that is base64url without padding in JSON.
type base64url []byte

// MarshalText writes b as base64url.
func (b base64url) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText reads b from base64url.
func (b *base64url) UnmarshalText(text []byte) (err error) {
	*b, err = base64.RawURLEncoding.AppendDecode(nil, text)
	return err
}

// A key is a credential of one user at one relying party.
type key struct {
	id, user  []byte
	party     string // the RP ID
	algorithm int
	resident  bool
	private   crypto.Signer
}

func (a *Authenticator) newKey(algorithm int, party string, user []byte, resident bool) (*key, error) {
	length := a.IDLength
	if length == 0 {
		length = 32
	}
	k := &key{id: make([]byte, length), user: user, party: party, algorithm: algorithm, resident: resident}
	rand.Read(k.id)
	if a.NextID != nil {
		k.id = a.NextID
	}
	var err error
	switch algorithm {
	case ES256:
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	case RS256:
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		err = fmt.Errorf("passkeytest: no algorithm %d", algorithm)
	}
	return k, err
}

// sign signs authenticator data and the hash of the client data (Web Authentication Level 3, section 6.3.3).
func (k *key) sign(authenticatorData, clientData []byte) ([]byte, error) {
	hash := sha256.Sum256(clientData)
	signed := slices.Concat(authenticatorData, hash[:])
	if k.algorithm == EdDSA {
		return k.private.Sign(rand.Reader, signed, crypto.Hash(0))
	}
	digest := sha256.Sum256(signed)
	return k.private.Sign(rand.Reader, digest[:], crypto.SHA256)
}

// cose returns the public key as a COSE_Key (RFC 9053, section 7; RFC 8230, section 4). Its keys are in the order of CTAP's
// canonical CBOR.
func (k *key) cose() []byte {
	switch public := k.private.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic(err) // a new key always has a valid point
		}
		return slices.Concat([]byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21}, byteString(point[1:33]), []byte{0x22}, byteString(point[33:]))
	case ed25519.PublicKey:
		return slices.Concat([]byte{0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21}, byteString(public))
	case *rsa.PublicKey:
		exponent := []byte{byte(public.E >> 16), byte(public.E >> 8), byte(public.E)}
		return slices.Concat([]byte{0xa4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20}, byteString(public.N.Bytes()), []byte{0x21}, byteString(exponent))
	}
	return nil
}

// byteString returns a CBOR byte string (RFC 8949, section 3.1, major type 2).
func byteString(content []byte) []byte {
	switch n := len(content); {
	case n < 24:
		return append([]byte{0x40 | byte(n)}, content...)
	case n < 256:
		return append([]byte{0x58, byte(n)}, content...)
	default:
		return append(binary.BigEndian.AppendUint16([]byte{0x59}, uint16(n)), content...)
	}
}

// credentialData returns the attested credential data of a new key (Web Authentication Level 3, section 6.5.1).
func (k *key) credentialData(aaguid [16]byte) []byte {
	return slices.Concat(aaguid[:], binary.BigEndian.AppendUint16(nil, uint16(len(k.id))), k.id, k.cose())
}

// authenticatorData returns what the authenticator says about a ceremony (Web Authentication Level 3, section 6.1).
func (a *Authenticator) authenticatorData(party string, verified bool, credential []byte) []byte {
	m := a.Misbehaviour
	if m.RPID != "" {
		party = m.RPID
	}
	flags := UserPresent
	for flag, set := range map[byte]bool{
		UserVerified: verified, BackupEligible: a.Eligible, BackedUp: a.Synced, attested: credential != nil,
	} {
		if set {
			flags |= flag
		}
	}
	if m.Flags != nil {
		flags = m.Flags(flags)
	}
	if !a.NoCounter {
		a.count++
	}
	count := a.count
	if m.Count != nil {
		count = m.Count(count)
	}
	hash := sha256.Sum256([]byte(party))
	return slices.Concat(hash[:], []byte{flags}, binary.BigEndian.AppendUint32(nil, count), credential)
}

// attestationObject returns an object with the authenticator data and no attestation (Web Authentication Level 3, sections 6.5.4
// and 8.7).
func attestationObject(authenticatorData []byte) []byte {
	return slices.Concat([]byte("\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData"), byteString(authenticatorData))
}

// clientData returns what the browser says about a ceremony (Web Authentication Level 3, section 5.8.1).
func (m Misbehaviour) clientData(kind string, challenge []byte, origin string) []byte {
	said := struct {
		Type        string    `json:"type"`
		Challenge   base64url `json:"challenge"`
		Origin      string    `json:"origin"`
		CrossOrigin bool      `json:"crossOrigin"`
		TopOrigin   string    `json:"topOrigin,omitempty"`
	}{kind, challenge, origin, m.CrossOrigin, m.TopOrigin}
	if m.Type != "" {
		said.Type = m.Type
	}
	if m.Challenge != nil {
		said.Challenge = m.Challenge
	}
	if m.Origin != "" {
		said.Origin = m.Origin
	}
	written, err := json.Marshal(said)
	if err != nil {
		panic(err) // texts and bytes can always be encoded
	}
	return written
}
