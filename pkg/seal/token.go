package seal

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

const (
	headerStart = `{"alg":"ES256","typ":"countersign+jwt","kid":"`
	headerEnd   = `"}`
)

// maxToken is the greatest length of a token in bytes.
const maxToken = 8 << 10

const scalarSize = 32

// signer is one signing key of a ring.
type signer struct {
	kid       string
	notBefore time.Time
	private   *ecdsa.PrivateKey
	x, y      string // the coordinates of the public key, in base64url
}

// Sign makes a JWT (RFC 7519) of claims, which must be encoded as a JSON object. It signs with the newest key that has been
// published for long enough at the time now. If there is no such key, because a clock is behind, it uses the oldest key.
func (r *Ring) Sign(now time.Time, claims any) (string, error) {
	token, err := r.signing(now).sign(headerStart, claims)
	if err != nil {
		return "", fmt.Errorf("seal: sign: %w", err)
	}
	return token, nil
}

// sign signs claims, which must be encoded as a JSON object, under a header that begins with start and names the key.
func (s *signer) sign(start string, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("claims: %w", err)
	}
	if payload[0] != '{' {
		return "", errors.New("claims are not an object")
	}
	signed := encode([]byte(start+s.kid+headerEnd)) + "." + encode(payload)
	sum := sha256.Sum256([]byte(signed))
	first, second, err := ecdsa.Sign(rand.Reader, s.private, sum[:])
	if err != nil {
		return "", err
	}
	var signature [2 * scalarSize]byte
	first.FillBytes(signature[:scalarSize])
	second.FillBytes(signature[scalarSize:])
	return signed + "." + encode(signature[:]), nil
}

// Verify returns the claims, as JSON, of a token that Sign made under any signing key of the ring. It accepts only the header
// that Sign writes, and so only one algorithm and one type. It doesn't check the claims: the caller must check the issuer, the
// audience, the times and the purpose. It fails with ErrUnknownKey if no key of the ring has the token's kid, and with another
// error if the key didn't sign this token.
func (r *Ring) Verify(token string) (claims []byte, err error) {
	return verified(headerStart, token, func(kid string) *ecdsa.PublicKey {
		for _, s := range r.signers {
			if s.kid == kid {
				return &s.private.PublicKey
			}
		}
		return nil
	})
}

// verified returns the claims of a text that sign made under a header that begins with start. keyOf returns the key that has a kid,
// or nil if there is none.
func verified(start, text string, keyOf func(kid string) *ecdsa.PublicKey) (claims []byte, err error) {
	parts := strings.Split(text[:min(len(text), maxToken+1)], ".")
	if len(text) > maxToken || len(parts) != 3 {
		return nil, errOpen
	}
	header, okHeader := decode(parts[0])
	claims, okClaims := decode(parts[1])
	signature, okSignature := decode(parts[2])
	if !okHeader || !okClaims || !okSignature || len(signature) != 2*scalarSize {
		return nil, errOpen
	}
	kid, okStart := strings.CutPrefix(string(header), start)
	kid, okEnd := strings.CutSuffix(kid, headerEnd)
	rawKid, okKid := decode(kid)
	if !okStart || !okEnd || !okKid || len(rawKid) != sha256.Size {
		return nil, errOpen
	}
	key := keyOf(kid)
	if key == nil {
		return nil, ErrUnknownKey
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	first, second := new(big.Int).SetBytes(signature[:scalarSize]), new(big.Int).SetBytes(signature[scalarSize:])
	if !ecdsa.Verify(key, sum[:], first, second) {
		return nil, errOpen
	}
	return claims, nil
}

// A jwk is a public key (RFC 7517 section 4, RFC 7518 section 6.2.1).
type jwk struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y"`
	Use string `json:"use"`
	Alg string `json:"alg"`
	Kid string `json:"kid"`
}

type keySet struct {
	Keys        []jwk `json:"keys"`
	Checkpoints []jwk `json:"checkpoint_keys"`
}

func publicJWK(kid, x, y string) jwk { return jwk{"EC", "P-256", x, y, "sig", "ES256", kid} }

// JWKS returns the JSON Web Key Set (RFC 7517) with the public keys of all signing keys of the ring, the oldest first. It has the
// keys that don't sign yet and those that don't sign any more. Verifiers may keep it for JWKSAge. The keys that verify checkpoints are
// not among them. They are in the member checkpoint_keys, and no token is signed with one of these.
func (r *Ring) JWKS() []byte {
	var set keySet
	for _, s := range r.signers {
		set.Keys = append(set.Keys, publicJWK(s.kid, s.x, s.y))
	}
	for _, k := range r.secrets {
		s := k.checkpointSigner()
		set.Checkpoints = append(set.Checkpoints, publicJWK(s.kid, s.x, s.y))
	}
	jwks, err := json.Marshal(set)
	if err != nil {
		panic("seal: strings that don't marshal: " + err.Error())
	}
	return jwks
}

// signing returns the key that signs. It goes by the order of the list, not by the times: if a clock was wrong, a key may
// begin to sign far in the future, and later keys must sign all the same.
func (r *Ring) signing(now time.Time) *signer {
	for _, s := range slices.Backward(r.signers) {
		if !now.Before(s.notBefore) {
			return s
		}
	}
	return r.signers[0]
}

func freshSigner(notBefore time.Time) *signer {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("seal: no P-256 key: " + err.Error())
	}
	s, err := newSigner(private, notBefore)
	if err != nil {
		panic("seal: a fresh key is not valid: " + err.Error())
	}
	return s
}

func newSigner(private *ecdsa.PrivateKey, notBefore time.Time) (*signer, error) {
	point, err := private.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	// The point is written as the byte 4 and then both coordinates (SEC 1 section 2.3.3).
	x, y := encode(point[1:1+scalarSize]), encode(point[1+scalarSize:])
	return &signer{kid: thumbprint(x, y), notBefore: notBefore, private: private, x: x, y: y}, nil
}

// thumbprint returns the kid of a public key, which is the hash of its required members, in this order and without white space
// (RFC 7638 section 3).
func thumbprint(x, y string) string {
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + x + `","y":"` + y + `"}`))
	return encode(sum[:])
}
