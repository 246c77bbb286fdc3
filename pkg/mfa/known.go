package mfa

import (
	"crypto/hmac"
	"encoding/base64"
	"errors"

	"countersign/pkg/seal"
)

// A known token says that this user has answered a challenge rightly in the browser that holds it. It spares no question:
// wrong answers there are only counted in a budget of their own. It is the ring key's id and an HMAC, and it is stored
// nowhere. A new epoch ends it, and where one browser is revoked or a theft suspected, a new word in the guard does.
const (
	knownPrefix = "ckt_"
	knownMACLen = 16 // bytes; with the key's id they make 32 letters, of which every bit counts
)

func (g *guard) knownMAC(ring *seal.Ring, key string) ([]byte, error) {
	mac, err := ring.MAC(key, "known", g.Org, g.User, g.Epoch, g.KnownWord)
	if err != nil {
		return nil, err
	}
	return mac[:knownMACLen], nil
}

// knownToken is the token for a browser where the user has just answered rightly.
func (g *guard) knownToken(ring *seal.Ring) (*seal.Secret, error) {
	key := ring.Newest()
	mac, err := g.knownMAC(ring, key)
	if err != nil {
		return nil, err
	}
	raw, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil {
		return nil, err
	}
	token := seal.NewSecret(knownPrefix + base64.RawURLEncoding.EncodeToString(append(raw, mac...)))
	return &token, nil
}

// knows reports whether a token that came with a start is a known token of this user.
func (u *unit) knows(g *guard, token seal.Secret) (bool, error) {
	text := token.Reveal()
	if len(text) != len(knownPrefix)+base64.RawURLEncoding.EncodedLen(trustKeyLen+knownMACLen) || text[:len(knownPrefix)] != knownPrefix {
		return false, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text[len(knownPrefix):])
	if err != nil || len(raw) != trustKeyLen+knownMACLen { // the decoder skips line ends
		return false, nil
	}
	mac, err := g.knownMAC(u.ring, base64.RawURLEncoding.EncodeToString(raw[:trustKeyLen]))
	switch {
	case errors.Is(err, seal.ErrUnknownKey) && u.reloaded:
		return false, nil // no ring of ours has that key: the token is worth nothing, and the next verify gives another
	case err != nil:
		return false, err
	}
	return hmac.Equal(mac, raw[trustKeyLen:]), nil
}

// endKnown ends every known token of the user that was given so far. None is given again for an answer of before.
func (g *guard) endKnown() {
	g.KnownWord = newEpoch()
	for i := range g.Slots {
		g.Slots[i].Unknown = true
	}
}
