package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
)

// digestSize is the number of bytes of a MAC that a digest keeps. Whoever guesses a code has only a few tries, so half of the MAC
// is more than enough (RFC 2104 section 5 doesn't allow less than half).
const digestSize = sha256.Size / 2

// Digest returns what is stored of a code: the base64url of the id of the newest key and of the first 16 bytes of the
// HMAC-SHA-256 of the fields under that key for this purpose, 32 characters in all. The fields must include the code and
// everything to which it is bound. A purpose must be a constant of the program, never data.
func (r *Ring) Digest(purpose string, fields ...string) string {
	return r.newest().digest(purpose, fields)
}

// Check reports whether digest is the digest of exactly these fields, under the key that it names. It compares in constant
// time. It fails with ErrUnknownKey if the ring doesn't have that key, and with another error if digest doesn't have the form
// of a digest. An empty text doesn't have that form.
func (r *Ring) Check(digest, purpose string, fields ...string) (bool, error) {
	raw, ok := decode(digest)
	if !ok || len(raw) != keyIDSize+digestSize {
		return false, errOpen
	}
	key, err := r.secret(encode(raw[:keyIDSize]))
	if err != nil {
		return false, err
	}
	return hmac.Equal([]byte(digest), []byte(key.digest(purpose, fields))), nil
}

// mac returns the HMAC-SHA-256 (32 bytes) of the fields, under the key with that id for this purpose. It differs from the
// digest of the same fields. It fails with ErrUnknownKey if the ring doesn't have the key.
func (r *Ring) mac(keyID, purpose string, fields []string) ([]byte, error) {
	key, err := r.secret(keyID)
	if err != nil {
		return nil, err
	}
	return key.mac(useMAC, purpose, fields), nil
}

func (k *secretKey) digest(purpose string, fields []string) string {
	return encode(append(k.rawID[:], k.mac(useDigest, purpose, fields)[:digestSize]...))
}

func (k *secretKey) mac(u use, purpose string, fields []string) []byte {
	d := k.derive(u, purpose)
	h, ok := d.macs.Get().(hash.Hash)
	if !ok {
		h = hmac.New(sha256.New, d.key)
	}
	defer d.macs.Put(h)
	h.Reset()
	h.Write(Join(fields...))
	return h.Sum(nil)
}
