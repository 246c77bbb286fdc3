package amazon

import (
	"crypto/rand"
	"maps"
)

// wrapped is what KMS wrapped.
type wrapped struct {
	plain   []byte
	context map[string]string
}

// RingContext is the encryption context that the template's key lets the functions use it with.
func RingContext() map[string]string {
	return map[string]string{"app": "countersign", "purpose": "ring"}
}

// kms answers as the template's key.
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
		return nil, refused("NotFoundException", "there is no key %s", said.KeyID)
	case !maps.Equal(said.Context, RingContext()):
		return nil, refused("AccessDeniedException", "the key's policy doesn't allow this encryption context")
	}
	if c.Operation == "GenerateDataKey" {
		if said.Spec != "AES_256" || said.Blob != nil {
			return nil, refused("ValidationException", "want the key specification AES_256, and no blob")
		}
		key := make([]byte, 32)
		rand.Read(key)
		return object{"KeyId": KeyARN, "Plaintext": key, "CiphertextBlob": a.Wrap(key)}, nil
	}
	if said.Spec != "" {
		return nil, refused("ValidationException", "want no key specification")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	found, there := a.wrapped[string(said.Blob)]
	if !there || !maps.Equal(found.context, said.Context) {
		return nil, refused("InvalidCiphertextException", "this was not wrapped here, or under another encryption context")
	}
	return object{"KeyId": KeyARN, "Plaintext": found.plain, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}, nil
}

// Wrap has the key wrap something under RingContext, and gives the blob, which is as long as those of KMS are.
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
