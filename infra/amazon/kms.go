package amazon

import (
	"crypto/rand"
	"maps"
)

// A wrapped is what KMS has wrapped, with its encryption context.
type wrapped struct {
	plain   []byte
	context map[string]string
}

// RingContext returns the only encryption context with which the policy of the template's key lets the functions use the key.
func RingContext() map[string]string {
	return map[string]string{"app": "countersign", "purpose": "ring"}
}

// kms answers as KMS does for the template's key.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html and API_Decrypt.html
func (a *Account) kms(c *Call) (object, error) {
	var said struct {
		KeyID   string            `json:"KeyId"`
		Spec    string            `json:"KeySpec"`
		Blob    []byte            `json:"CiphertextBlob"`
		Context map[string]string `json:"EncryptionContext"`
	}
	if err := c.read(&said); err != nil {
		return nil, err
	}
	switch {
	case said.KeyID != KeyARN:
		return nil, refused("NotFoundException", "There is no key %s.", said.KeyID)
	case !maps.Equal(said.Context, RingContext()):
		return nil, refused("AccessDeniedException", "The policy of the key doesn't allow this encryption context.")
	}
	if c.Operation == "GenerateDataKey" {
		if said.Spec != "AES_256" || said.Blob != nil {
			return nil, refused("ValidationException", "The key specification must be AES_256, and there must be no blob.")
		}
		key := make([]byte, 32)
		rand.Read(key)
		return object{"KeyId": KeyARN, "Plaintext": key, "CiphertextBlob": a.Wrap(key)}, nil
	}
	if said.Spec != "" {
		return nil, refused("ValidationException", "There must be no key specification.")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	found, there := a.wrapped[string(said.Blob)]
	if !there || !maps.Equal(found.context, said.Context) {
		return nil, refused("InvalidCiphertextException", "This was not wrapped here, or with another encryption context.")
	}
	return object{"KeyId": KeyARN, "Plaintext": found.plain, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}, nil
}

// LoseKey replaces the key by another one. What was wrapped before can't be unwrapped any more, as after the deletion of a key.
func (a *Account) LoseKey() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wrapped = nil
}

// Wrap wraps something with RingContext, and returns a blob that is as long as the blobs of KMS for such a key.
func (a *Account) Wrap(plain []byte) (blob []byte) {
	blob = make([]byte, 184)
	rand.Read(blob)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.wrapped == nil {
		a.wrapped = map[string]wrapped{}
	}
	a.wrapped[string(blob)] = wrapped{plain, RingContext()}
	return blob
}
