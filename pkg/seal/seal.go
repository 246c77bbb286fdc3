// Package seal holds a deployment's keys and does all that needs them: it seals factor secrets, digests codes, makes
// bearers and ids, and signs and verifies result tokens.
//
// All keys are in one immutable [Ring], which a [Keeper] fetches and caches. A ring has two lists, oldest first:
//
//   - Secrets, 32 bytes each. Every use and purpose has a key of its own, derived from a secret by HKDF-SHA-256 (RFC 5869),
//     so what one purpose makes never opens or matches for another.
//   - Signing keys, P-256, for tokens (ES256, RFC 7518 section 3.4). Their kid is the RFC 7638 thumbprint.
//
// The life of a secret: it is in use (the newest: all sealing and digesting) from the moment of [Ring.Rotate]; then it is
// kept, and goes on opening and checking what was made under it, for as long as anything may name it. Time alone never
// removes one. [Ring.Forget] does, when asked, and not before [SecretKept] has passed since its successor came, which
// covers every record that lives a day or less. What lives longer (factor secrets, recovery codes, trusted browsers)
// must be sealed anew or given up by whoever asks.
//
// The life of a signing key: it is published (in the JWKS, not signing) for [Published]; then it is in use, until a later
// key's publishing is over; then it is kept, and in the JWKS, for [SignerKept]; then [Ring.Drop] removes it. The times add
// up: a process works with a ring of at most [RingAge], and verifiers keep a JWKS for at most [JWKSAge], so whoever
// verifies has seen a key before anything is signed with it. The first key of a ring signs at once: nobody has an older JWKS.
//
// Everything made here names its key. [ErrUnknownKey] means that this ring doesn't have the named key: the ring may be
// older than what it was asked to open, so the caller reloads it once ([Keeper.Reload]) and tries again. If the key is
// unknown then too, the thing is forged, or its key was forgotten.
//
// The invariants: a sealed value, digest or token is accepted only for the very purpose and fields it was made for, in the
// only spelling it was made in; and no error, log line or printed value holds key material.
//
// The package refuses to read the time (callers pass it), to choose an algorithm by what a token says, and to tell why
// something didn't open. It doesn't wipe memory, which Go's runtime moves and copies.
package seal

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// ErrUnknownKey says that the ring doesn't have the key that a sealed value, digest or token names.
var ErrUnknownKey = errors.New("seal: unknown key")

// errOpen says that a sealed value, digest or token isn't one that this ring made for this purpose and these fields.
// It never says why.
var errOpen = errors.New("seal: does not open")

// Join writes fields as one byte string in which each is preceded by its length (8 bytes, big-endian), so that two
// different lists never give the same bytes: ("a#b", "c") is not ("a", "b#c").
func Join(fields ...string) []byte {
	size := 0
	for _, field := range fields {
		size += 8 + len(field)
	}
	joined := make([]byte, 0, size)
	for _, field := range fields {
		joined = binary.BigEndian.AppendUint64(joined, uint64(len(field)))
		joined = append(joined, field...)
	}
	return joined
}

func encode(raw []byte) string {
	return base64.RawURLEncoding.EncodeToString(raw)
}

// decode takes only what encode gives. Go's decoder alone, even when strict, skips line ends.
func decode(text string) ([]byte, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || encode(raw) != text {
		return nil, false
	}
	return raw, true
}
