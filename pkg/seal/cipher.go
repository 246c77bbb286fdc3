package seal

import "crypto/cipher"

const (
	sealedVersion = 1
	sealedHeader  = 1 + keyIDSize
)

// sealedOverhead is how many bytes longer a sealed value is than its plaintext: version 1, key id 8, nonce 12, tag 16.
const sealedOverhead = sealedHeader + 12 + 16

// Seal encrypts plaintext by AES-256-GCM under the newest key for purpose. It binds to it the version, the key id, the
// purpose and the fields of aad, all of which Open must be given again. A purpose is a constant of the program, never data.
func (r *Ring) Seal(purpose string, aad []string, plaintext []byte) []byte {
	key := r.newest()
	return key.seal(key.derive(useSeal, purpose).aead, purpose, aad, plaintext)
}

// Open decrypts what Seal made with the same purpose and aad. It fails with ErrUnknownKey if the ring doesn't have the key
// that sealed names, and with an error that doesn't say why if Seal didn't make it so.
func (r *Ring) Open(purpose string, aad []string, sealed []byte) ([]byte, error) {
	key, err := r.sealedUnder(sealed)
	if err != nil {
		return nil, err
	}
	return key.open(key.derive(useSeal, purpose).aead, purpose, aad, sealed)
}

// SealWith is Seal under a key that is derived from the ring's and from extra too: neither alone opens it.
// An idempotent answer is sealed with the caller's Idempotency-Key.
func (r *Ring) SealWith(extra []byte, purpose string, aad []string, plaintext []byte) []byte {
	key := r.newest()
	return key.seal(key.aeadWith(extra, purpose), purpose, aad, plaintext)
}

// OpenWith decrypts what SealWith made with the same extra, purpose and aad. It fails as Open does.
func (r *Ring) OpenWith(extra []byte, purpose string, aad []string, sealed []byte) ([]byte, error) {
	key, err := r.sealedUnder(sealed)
	if err != nil {
		return nil, err
	}
	return key.open(key.aeadWith(extra, purpose), purpose, aad, sealed)
}

// SealedUnder is the id of the key that a sealed value names, for whoever looks for what must be sealed anew. It fails as
// Open does.
func (r *Ring) SealedUnder(sealed []byte) (keyID string, err error) {
	key, err := r.sealedUnder(sealed)
	if err != nil {
		return "", err
	}
	return key.id, nil
}

func (r *Ring) sealedUnder(sealed []byte) (*secretKey, error) {
	if len(sealed) < sealedOverhead || sealed[0] != sealedVersion {
		return nil, errOpen
	}
	return r.secret(encode(sealed[1:sealedHeader]))
}

// aeadWith isn't remembered: extra is data, without bound.
func (k *secretKey) aeadWith(extra []byte, purpose string) cipher.AEAD {
	return newAEAD(expand(k.derive(useSealWith, purpose).key, secretSize, string(extra)))
}

func (k *secretKey) seal(aead cipher.AEAD, purpose string, aad []string, plaintext []byte) []byte {
	sealed := make([]byte, 0, sealedOverhead+len(plaintext))
	sealed = append(sealed, sealedVersion)
	sealed = append(sealed, k.rawID[:]...)
	return aead.Seal(sealed, nil, plaintext, k.bound(purpose, aad))
}

func (k *secretKey) open(aead cipher.AEAD, purpose string, aad []string, sealed []byte) ([]byte, error) {
	plaintext, err := aead.Open(nil, nil, sealed[sealedHeader:], k.bound(purpose, aad))
	if err != nil {
		return nil, errOpen
	}
	return plaintext, nil
}

func (k *secretKey) bound(purpose string, aad []string) []byte {
	fields := make([]string, 0, 3+len(aad))
	fields = append(fields, string(rune(sealedVersion)), string(k.rawID[:]), purpose)
	return Join(append(fields, aad...)...)
}
