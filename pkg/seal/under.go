package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
)

const useUnder use = "seal under"

// SealUnder encrypts plaintext with AES-256-GCM under a key that is derived from secret and purpose (HKDF, RFC 5869). It needs no
// ring, so the secret must have 256 random bits, as a bearer token has. The result can be opened only with the same secret, purpose
// and bound fields.
func SealUnder(secret Secret, purpose string, bound []string, plaintext []byte) []byte {
	return newAEAD(keyUnder(secret, purpose)).Seal(nil, nil, plaintext, Join(bound...))
}

// OpenUnder decrypts what SealUnder has made. Its error says nothing of the secret.
func OpenUnder(secret Secret, purpose string, bound []string, sealed []byte) ([]byte, error) {
	plaintext, err := newAEAD(keyUnder(secret, purpose)).Open(nil, nil, sealed, Join(bound...))
	if err != nil {
		return nil, errOpen
	}
	return plaintext, nil
}

func keyUnder(secret Secret, purpose string) []byte {
	root, err := hkdf.Extract(sha256.New, []byte(secret.Reveal()), []byte("countersign secret"))
	if err != nil {
		panic("seal: HKDF refuses the secret: " + err.Error())
	}
	return expand(root, secretSize, string(useUnder), purpose)
}
