package activity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"countersign/pkg/seal"
)

// A Key encrypts what the activity says of one user: 32 bytes for AES-256. It lies where the user's erasure deletes it, and
// nowhere else.
type Key []byte

// NewKey makes a Key.
func NewKey() Key {
	key := make(Key, 32)
	rand.Read(key)
	return key
}

// personal is what an event says of its user.
type personal struct {
	User  string         `json:"user"`
	Actor Actor          `json:"actor"`
	Data  map[string]any `json:"data"`
}

// hide encrypts what e says of its user into the entry.
func (k Key) hide(user Route, e *Event, into *entry) error {
	text, err := json.Marshal(personal{e.User, e.Actor, e.Data})
	if err != nil {
		return err
	}
	aead, err := k.aead()
	if err != nil {
		return err
	}
	into.Of = b64(user.user())
	into.Sealed = aead.Seal(nil, nil, text, into.bound())
	return nil
}

// reveal puts what the entry says of its user back into e. It reports false, and does nothing, where the entry was
// encrypted under another key: the user was erased and then made again.
func (k Key) reveal(from *entry, e *Event) bool {
	aead, err := k.aead()
	if err != nil {
		return false
	}
	text, err := aead.Open(nil, nil, from.Sealed, from.bound())
	if err != nil {
		return false
	}
	s := personal{e.User, e.Actor, e.Data}
	if err := json.Unmarshal(text, &s); err != nil {
		return false
	}
	e.User, e.Actor, e.Data = s.User, s.Actor, s.Data
	return true
}

func (k Key) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, fmt.Errorf("key of a user's activity: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// bound is what the encrypted part is bound to: its user, and the rest of its entry.
func (e *entry) bound() []byte { return seal.Join("activity", e.Of, string(e.Body)) }
