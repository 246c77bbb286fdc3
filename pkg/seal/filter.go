package seal

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
)

const (
	filterKeySize = 32
	bearerMAC     = 16
)

// A Filter makes bearer tokens, and recognises the tokens that were made under its key. So a token that was made elsewhere is
// refused before anything is read from the store. Every token ends with a MAC of 16 bytes (HMAC-SHA-256, RFC 2104) over its
// prefix and everything else in it.
//
// A token that is recognised was made here and wasn't altered. That doesn't mean that it is valid: the store has the hash of
// every valid token. Therefore the key of the filter can be in the table in the clear, beside these hashes. Anyone who can read
// both can make tokens that are looked up in the store, but no valid token.
type Filter struct{ key Secret }

// NewFilter makes a Filter with a random key of 32 bytes.
func NewFilter() *Filter {
	key := make([]byte, filterKeySize)
	rand.Read(key)
	return &Filter{NewSecret(string(key))}
}

// Marshal returns the key of the filter as text. UnmarshalFilter reads it.
func (f *Filter) Marshal() Secret { return NewSecret(encode([]byte(f.key.Reveal()))) }

// UnmarshalFilter returns the Filter with this key. It accepts only text that Marshal can have made.
func UnmarshalFilter(text Secret) (*Filter, error) {
	key, ok := decode(text.Reveal())
	if !ok || len(key) != filterKeySize {
		return nil, errors.New("seal: the filter key is not the base64url of 32 bytes")
	}
	return &Filter{NewSecret(string(key))}, nil
}

// NewBearer makes a bearer token: the prefix, then the base64url of the bytes that it carries (these may be nil), of 32 random
// bytes, and of the MAC over all of that. Store only the hash of a token.
func (f *Filter) NewBearer(prefix string, carried []byte) Secret {
	raw := withRandom(carried, bearerRandom)
	return NewSecret(prefix + encode(append(raw, f.mac(prefix, raw)...)))
}

// Random returns the 32 random bytes of a bearer token that carries carriedLen bytes. From these and what the token carries, Again
// makes the token once more. It returns nil for text that no Filter can have made.
func Random(prefix, bearer string, carriedLen int) []byte {
	if _, ok := ParseBearer(prefix, bearer, carriedLen); !ok {
		return nil
	}
	raw, _ := decode(bearer[len(prefix):])
	return raw[carriedLen : carriedLen+bearerRandom]
}

// Again makes the token again that NewBearer once made, from what it carries and its random bytes.
func (f *Filter) Again(prefix string, carried, random []byte) Secret {
	raw := append(append([]byte(nil), carried...), random...)
	return NewSecret(prefix + encode(append(raw, f.mac(prefix, raw)...)))
}

// Recognise returns the carriedLen bytes that a bearer token carries, if the token was made under this key with that prefix.
// How long that takes depends only on the length and the form of the token, not on any key or stored data.
func (f *Filter) Recognise(prefix, bearer string, carriedLen int) (carried []byte, ok bool) {
	carried, ok = ParseBearer(prefix, bearer, carriedLen)
	if !ok {
		return nil, false
	}
	raw, _ := decode(bearer[len(prefix):])
	body, mac := raw[:len(raw)-bearerMAC], raw[len(raw)-bearerMAC:]
	if !hmac.Equal(mac, f.mac(prefix, body)) {
		return nil, false
	}
	return carried, true
}

func (f *Filter) mac(prefix string, raw []byte) []byte {
	h := hmac.New(sha256.New, []byte(f.key.Reveal()))
	h.Write([]byte(prefix))
	h.Write(raw)
	return h.Sum(nil)[:bearerMAC]
}
