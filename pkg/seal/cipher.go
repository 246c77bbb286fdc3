package seal

import "crypto/cipher"

const (
	sealedVersion = 1
	sealedHeader  = 1 + keyIDSize
)

// sealedOverhead is how many bytes a sealed value has beyond its plaintext: 1 for the version, 8 for the key id, 12 for the
// nonce and 16 for the tag.
const sealedOverhead = sealedHeader + 12 + 16

// Seal encrypts plaintext with AES-256-GCM, under a key that is derived from the newest secret for this purpose. The version,
// the key id, the purpose and the fields of aad are its additional authenticated data, so Open must be called with the same
// purpose and aad. A purpose must be a constant of the program, never data.
func (r *Ring) Seal(purpose string, aad []string, plaintext []byte) []byte {
	key := r.newest()
	return key.seal(key.derive(useSeal, purpose).aead, purpose, aad, plaintext)
}

// Open decrypts what Seal made with the same purpose and aad. It fails with ErrUnknownKey if the ring doesn't have the key
// that the sealed value names. If the value can't be decrypted, it fails with an error that doesn't say why.
func (r *Ring) Open(purpose string, aad []string, sealed []byte) ([]byte, error) {
	key, err := r.sealedUnder(sealed)
	if err != nil {
		return nil, err
	}
	return key.open(key.derive(useSeal, purpose).aead, purpose, aad, sealed)
}

// SealWith works as Seal does, but its key is derived from the ring and from extra. To open the result, one needs both. For
// example, a remembered answer is sealed with the caller's Idempotency-Key.
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

// SealedUnder returns the id of the key that a sealed value names. With it, one can find the values that must be sealed again
// under a newer key. It fails as Open does.
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

// aeadWith makes a cipher each time that it is called. It can't be cached, because there is no limit to the values of extra.
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
