package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"strings"
)

// A Derivation is a kind of token that is computed from facts. Such a token isn't stored, and can be computed again. It consists
// of a prefix and the base64url of three parts: some bytes that it carries, the id of a key of the ring, and a MAC of the
// facts under that key.
type Derivation struct {
	prefix  string
	purpose string
	carried int // bytes
	mac     int // bytes; the three parts together fill whole base64url characters, so that every bit of the text counts
}

// These are the kinds of tokens that are computed from facts.
var (
	TrustToken = Derivation{prefix: "cbt_", purpose: "trust", carried: 20, mac: sha256.Size}
	KnownToken = Derivation{prefix: "ckt_", purpose: "known", mac: 16}
)

// Make computes the token for these facts under the key of the ring with that id. The facts must include everything to which
// the token is bound, and also what it carries. It fails with ErrUnknownKey if the ring doesn't have the key, and with another
// error if carried doesn't have the length that this kind of token has.
func (d Derivation) Make(ring *Ring, keyID string, carried []byte, facts ...string) (Secret, error) {
	if len(carried) != d.carried {
		return Secret{}, errors.New("seal: what the token carries does not have the length for its kind")
	}
	mac, err := ring.mac(keyID, d.purpose, facts)
	if err != nil {
		return Secret{}, err
	}
	rawID, _ := decode(keyID) // this works, because the ring has a key with this id
	return NewSecret(d.prefix + encode(bytes.Join([][]byte{carried, rawID, mac[:d.mac]}, nil))), nil
}

// A Derived is a token that was read by Derivation.Parse. Don't rely on anything in it before Check has returned true.
type Derived struct {
	Carried []byte

	kind  Derivation
	keyID string
	mac   []byte
}

// Parse reads a token of this kind. It accepts only text that Make can have made.
func (d Derivation) Parse(bearer Secret) (Derived, bool) {
	body, ok := strings.CutPrefix(bearer.Reveal(), d.prefix)
	if !ok {
		return Derived{}, false
	}
	raw, ok := decode(body)
	if !ok || len(raw) != d.carried+keyIDSize+d.mac {
		return Derived{}, false
	}
	macAt := d.carried + keyIDSize
	return Derived{Carried: raw[:d.carried:d.carried], kind: d, keyID: encode(raw[d.carried:macAt]), mac: raw[macAt:]}, true
}

// Check reports whether the token was computed from exactly these facts, under the key that it names. It compares in constant
// time. It fails with ErrUnknownKey if the ring doesn't have that key.
func (b Derived) Check(ring *Ring, facts ...string) (bool, error) {
	mac, err := ring.mac(b.keyID, b.kind.purpose, facts)
	if err != nil {
		return false, err
	}
	return hmac.Equal(b.mac, mac[:b.kind.mac]), nil
}
