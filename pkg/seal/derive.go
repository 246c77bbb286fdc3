package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"sync"
	"time"
)

const (
	secretSize = 32
	keyIDSize  = 8
)

// use says what a derived key does. The keys of two uses differ even for the same purpose, so that a stored digest is never
// a valid token.
type use string

const (
	useSeal     use = "seal"
	useSealWith use = "seal with"
	useDigest   use = "digest"
	useMAC      use = "mac"
)

// secretKey is one secret of a ring. Its id is derived from the secret, so that a damaged record is noticed when it is read.
type secretKey struct {
	id      string
	rawID   [keyIDSize]byte
	created time.Time
	master  []byte
	root    []byte // the pseudorandom key that HKDF extracts (RFC 5869)

	mu      sync.RWMutex
	derived map[derivation]*derivedKey
}

type derivation struct {
	use     use
	purpose string
}

type derivedKey struct {
	key  []byte
	aead cipher.AEAD // only for useSeal
	macs sync.Pool   // has values of the type hash.Hash; setting the key of an HMAC costs as much as using it
}

func freshSecret(now time.Time) *secretKey {
	return newSecretKey(random(secretSize), now)
}

func newSecretKey(master []byte, created time.Time) *secretKey {
	root, err := hkdf.Extract(sha256.New, master, []byte("countersign key ring"))
	if err != nil {
		panic("seal: HKDF refuses the secret: " + err.Error())
	}
	k := &secretKey{created: created, master: master, root: root, derived: map[derivation]*derivedKey{}}
	copy(k.rawID[:], expand(root, keyIDSize, "id"))
	k.id = encode(k.rawID[:])
	return k
}

// derive returns the key for one use and purpose. It caches the keys: there are few, because purposes are constants of the
// program.
func (k *secretKey) derive(u use, purpose string) *derivedKey {
	name := derivation{u, purpose}
	k.mu.RLock()
	d := k.derived[name]
	k.mu.RUnlock()
	if d != nil {
		return d
	}
	d = &derivedKey{key: expand(k.root, secretSize, string(u), purpose)}
	if u == useSeal {
		d.aead = newAEAD(d.key)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.derived[name] = d
	return d
}

func expand(root []byte, size int, info ...string) []byte {
	key, err := hkdf.Expand(sha256.New, root, string(Join(info...)), size)
	if err != nil {
		panic("seal: HKDF refuses to expand: " + err.Error())
	}
	return key
}

// newAEAD returns AES-256-GCM with a random nonce of 96 bits in front of the ciphertext. With random nonces, one key may encrypt
// at most 2^32 messages (NIST SP 800-38D sections 8.2.2 and 8.3).
func newAEAD(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("seal: AES refuses the key: " + err.Error())
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("seal: GCM refuses the cipher: " + err.Error())
	}
	return aead
}
