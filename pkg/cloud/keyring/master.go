package keyring

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"countersign/pkg/cloud"
	"countersign/pkg/seal"
)

// A masterKey is a KMS key. It never leaves KMS.
type masterKey struct {
	client *kms.Client
	id     string
}

// encryptionContext returns what is bound to everything that is wrapped here. KMS shows it in its audit trail, and the policy of
// the KMS key requires it.
func encryptionContext() map[string]string {
	return map[string]string{"app": "countersign", "purpose": "ring"}
}

// newDataKey lets KMS make a key and wrap it. https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html
func (m *masterKey) newDataKey(ctx context.Context) (plain, blob []byte, err error) {
	made, err := m.client.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{
		KeyId: &m.id, KeySpec: types.DataKeySpecAes256, EncryptionContext: encryptionContext(),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("kms: GenerateDataKey: %w", cloud.Failure(err))
	}
	if len(made.Plaintext) != 32 || len(made.CiphertextBlob) == 0 {
		return nil, nil, errors.New("kms: GenerateDataKey: the answer is no AES-256 key")
	}
	return made.Plaintext, made.CiphertextBlob, nil
}

// openDataKey lets KMS unwrap a key. https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html
func (m *masterKey) openDataKey(ctx context.Context, blob []byte) ([]byte, error) {
	opened, err := m.client.Decrypt(ctx, &kms.DecryptInput{KeyId: &m.id, CiphertextBlob: blob, EncryptionContext: encryptionContext()})
	if err != nil {
		return nil, fmt.Errorf("kms: Decrypt: %w", cloud.Failure(err))
	}
	if len(opened.Plaintext) != 32 {
		return nil, errors.New("kms: Decrypt: the answer is no AES-256 key")
	}
	return opened.Plaintext, nil
}

// wrap seals ring into item, under a data key that is made for it.
func (k *Keeper) wrap(ctx context.Context, item *ringItem, ring *seal.Ring) error {
	key, blob, err := k.master.newDataKey(ctx)
	if err != nil {
		return fmt.Errorf("wrap the key ring: %w", err)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return fmt.Errorf("wrap the key ring: %w", err)
	}
	item.DataKey = blob
	item.Sealed = aead.Seal(nil, nil, []byte(ring.Marshal().Reveal()), item.bound())
	return nil
}

// unwrap opens the ring that item holds.
func (k *Keeper) unwrap(ctx context.Context, item *ringItem) (*seal.Ring, error) {
	key, err := k.master.openDataKey(ctx, item.DataKey)
	if err != nil {
		return nil, fmt.Errorf("unwrap the key ring: %w", err)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, fmt.Errorf("unwrap the key ring: %w", err)
	}
	plain, err := aead.Open(nil, nil, item.Sealed, item.bound())
	if err != nil {
		return nil, errors.New("the key ring's item is not as it was written")
	}
	ring, err := seal.Unmarshal(seal.NewSecret(string(plain)))
	if err != nil {
		return nil, err
	}
	return ring.WithRecordFormat(item.Writes).WithEpoch(item.Epoch), nil
}

// bound returns the fields of an item that aren't encrypted and that must not be changed. What an operator sets isn't among them,
// because operators change it without KMS: see change. The item's own format isn't among them either, because it changes when a
// later build writes the item again.
func (i *ringItem) bound() []byte {
	return seal.Join("countersign ring", string(i.DataKey), i.Rotated.UTC().Format(time.RFC3339), strconv.FormatBool(i.Retired))
}

// newAEAD returns AES-256-GCM, which puts a random nonce before what it seals.
func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
