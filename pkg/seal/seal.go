// Package seal has the keys of a deployment, and everything that needs them: it encrypts secrets of factors, makes digests of
// codes, makes bearer tokens and ids, and signs and verifies result tokens. Callers get a [Ring] from a [Keeper], and call its
// methods, such as [Ring.Seal] and [Ring.Open], [Ring.Digest] and [Ring.Check], [Ring.Sign] and [Ring.Verify]. A [Secret] is a
// text that can't be logged by mistake.
//
// All keys are in one immutable Ring. It has two lists:
//
//   - Secrets of 32 bytes each. From a secret, a key is derived for every use and purpose with HKDF-SHA-256 (RFC 5869). So
//     what was made for one purpose can't be opened, and doesn't match, for another.
//   - Signing keys on the curve P-256, for tokens (ES256, RFC 7518 section 3.4). The kid of a key is its thumbprint (RFC 7638).
//
// Checkpoints of the activity are signed with other keys on that curve, which are derived from the secrets: see checkpoint.go.
//
// This is the life of a secret. [Ring.Rotate] makes it, and from then on it is used for all sealing and digesting. When a newer
// secret replaces it, it is kept, so that what was made under it can still be opened and checked. A secret is never removed just
// because it is old. [Ring.Forget] removes it on request, but not before [SecretKept] has passed since it was replaced, which
// covers every record that lives for a day or less. The caller must first seal again what lives longer (secrets of factors,
// recovery codes, trusted browsers), or give it up.
//
// This is the life of a signing key. At first it is published, which means that it is in the JWK set (RFC 7517) and doesn't sign
// yet; this takes the time [Published]. Then it signs, until a later key begins to sign. Then it stays in the JWK set for
// [SignerKept]. Then [Ring.Drop] removes it. A process uses a ring that is at most [RingAge] old, and a verifier keeps a JWK set
// for at most [JWKSAge]. Both together are less than Published, so a verifier has seen a key before anything is signed with it.
// The first key of a ring signs at once, because nobody has an older JWK set.
//
// Everything that is made here names its key. [ErrUnknownKey] means that this ring doesn't have the key. The ring may be older
// than what it has to open, so the caller reloads it once ([Keeper.Reload]) and tries again. If the key is unknown then, too,
// the value was forged, or its key was removed.
//
// The package guarantees that a sealed value, digest or token is accepted only for the purpose and the fields for which it was
// made, and only as it was written; and that no error, log line or printed value has a part of a key.
//
// The package doesn't read the time, which its callers pass to it. It never chooses an algorithm by what a token says, and never
// says why something couldn't be opened. It doesn't erase keys from memory, because Go's runtime may have copied them.
package seal

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// ErrUnknownKey means that the ring doesn't have the key that a sealed value, a digest or a token names.
var ErrUnknownKey = errors.New("seal: unknown key")

// errOpen means that a sealed value, a digest or a token wasn't made by this ring for this purpose and these fields. It never
// says why.
var errOpen = errors.New("seal: does not open")

// Join writes the fields one after the other, with the length of each field before it (8 bytes, big-endian). So two different
// lists never give the same bytes: the lists ("a#b", "c") and ("a", "b#c") differ.
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

// decode accepts only what encode writes. Go's decoder skips line ends, even when it is strict.
func decode(text string) ([]byte, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || encode(raw) != text {
		return nil, false
	}
	return raw, true
}
