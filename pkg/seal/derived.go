package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"strings"
)

// A Derivation is a kind of bearer that is made from facts. Such a bearer is stored nowhere, and can be made again: it is
// prefix, then the base64url of what it carries, of the id of a ring's key, and of a MAC of the facts under that key.
type Derivation struct {
	prefix  string
	purpose string
	carried int // bytes
	mac     int // bytes; with all before them they fill whole base64url characters, so that every bit of the text counts
}

// The kinds of bearers that are made from facts.
var (
	TrustToken = Derivation{prefix: "cbt_", purpose: "trust", carried: 20, mac: sha256.Size}
	KnownToken = Derivation{prefix: "ckt_", purpose: "known", mac: 16}
)

// Make makes the bearer of these facts under the named key of ring. The facts must name all that the bearer is bound to,
// with whatever it carries. It fails with ErrUnknownKey, and when the bearer would carry another number of bytes than its kind.
func (d Derivation) Make(ring *Ring, keyID string, carried []byte, facts ...string) (Secret, error) {
	if len(carried) != d.carried {
		return Secret{}, errors.New("seal: a bearer would carry another number of bytes than its kind")
	}
	mac, err := ring.mac(keyID, d.purpose, facts)
	if err != nil {
		return Secret{}, err
	}
	rawID, _ := decode(keyID) // the ring has a key of this id
	return NewSecret(d.prefix + encode(bytes.Join([][]byte{carried, rawID, mac[:d.mac]}, nil))), nil
}

// A Derived is what a bearer says that was made from facts. Nothing of it is to be believed before Check.
type Derived struct {
	Carried []byte

	kind  Derivation
	keyID string
	mac   []byte
}

// Parse reads a bearer of this kind. It takes only what Make can have made: no other length, padding or spelling.
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

// Check reports, in constant time, whether the bearer is that of exactly these facts under the key that it names. It fails
// with ErrUnknownKey.
func (b Derived) Check(ring *Ring, facts ...string) (bool, error) {
	mac, err := ring.mac(b.keyID, b.kind.purpose, facts)
	if err != nil {
		return false, err
	}
	return hmac.Equal(b.mac, mac[:b.kind.mac]), nil
}
