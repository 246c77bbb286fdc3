package cloud

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"strconv"
	"time"

	"countersign/pkg/seal"
)

// A masterKey is a KMS key, which never leaves KMS.
type masterKey struct {
	kms service
	id  string
}

// https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html and API_Decrypt.html
type kmsRequest struct {
	KeyID   string            `json:"KeyId"`
	Spec    string            `json:"KeySpec,omitempty"`
	Blob    []byte            `json:"CiphertextBlob,omitempty"`
	Context encryptionContext `json:"EncryptionContext"`
}

type kmsAnswer struct {
	Blob      []byte `json:"CiphertextBlob"`
	Plaintext []byte `json:"Plaintext"`
}

// An encryptionContext is bound to what KMS wraps, is shown in its audit trail, and can be asked for by policies.
type encryptionContext struct {
	App     string `json:"app"`
	Purpose string `json:"purpose"`
}

func ringContext() encryptionContext { return encryptionContext{App: "countersign", Purpose: "ring"} }

// newDataKey has KMS make a key, and wrap it.
func (m *masterKey) newDataKey(ctx context.Context) (plain, blob []byte, err error) {
	var a kmsAnswer
	err = m.kms.call(ctx, request{
		operation: "GenerateDataKey", target: "TrentService.GenerateDataKey",
		in: kmsRequest{KeyID: m.id, Spec: "AES_256", Context: ringContext()}, out: &a,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("kms: %w", err)
	}
	if len(a.Plaintext) != 32 || len(a.Blob) == 0 {
		return nil, nil, errors.New("kms: GenerateDataKey: the answer is no AES-256 key")
	}
	return a.Plaintext, a.Blob, nil
}

// openDataKey has KMS unwrap a key.
func (m *masterKey) openDataKey(ctx context.Context, blob []byte) ([]byte, error) {
	var a kmsAnswer
	err := m.kms.call(ctx, request{
		operation: "Decrypt", target: "TrentService.Decrypt",
		in: kmsRequest{KeyID: m.id, Blob: blob, Context: ringContext()}, out: &a,
	})
	if err != nil {
		return nil, fmt.Errorf("kms: %w", err)
	}
	if len(a.Plaintext) != 32 {
		return nil, errors.New("kms: Decrypt: the answer is no AES-256 key")
	}
	return a.Plaintext, nil
}

// wrap seals ring into item, under a data key of its own.
func (k *Keys) wrap(ctx context.Context, item *ringItem, ring *seal.Ring) error {
	key, blob, err := k.master.newDataKey(ctx)
	if err != nil {
		return fmt.Errorf("keys: wrap the key ring: %w", err)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return fmt.Errorf("keys: wrap the key ring: %w", err)
	}
	item.DataKey = blob
	item.Sealed = aead.Seal(nil, nil, []byte(ring.Marshal().Reveal()), item.bound())
	return nil
}

// unwrap opens the ring that item holds.
func (k *Keys) unwrap(ctx context.Context, item *ringItem) (*seal.Ring, error) {
	key, err := k.master.openDataKey(ctx, item.DataKey)
	if err != nil {
		return nil, fmt.Errorf("keys: unwrap the key ring: %w", err)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, fmt.Errorf("keys: unwrap the key ring: %w", err)
	}
	plain, err := aead.Open(nil, nil, item.Sealed, item.bound())
	if err != nil {
		return nil, errors.New("keys: the key ring's item is not as it was written")
	}
	return seal.Unmarshal(seal.NewSecret(string(plain)))
}

// bound is what of an item is in the clear, but not to be changed.
func (i *ringItem) bound() []byte {
	return seal.Join("countersign ring", strconv.Itoa(i.Format), string(i.DataKey), i.Rotated.UTC().Format(time.RFC3339), strconv.FormatBool(i.Retired))
}

// newAEAD is AES-256-GCM with a random nonce before what it seals.
func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
