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

// A Filter makes bearers and recognises those that were made under its key, before anything is read. Every bearer ends in
// a MAC (16 bytes of HMAC-SHA-256, RFC 2104) over its prefix and all that it holds.
//
// A bearer that is recognised was made here, and carries what it was made with. That proves nothing else: only the hash
// that is stored of a bearer tells whether it is good. So the key lies in the table in the clear, next to those hashes:
// whoever can read both can forge bearers that cost a read, and none that is good.
type Filter struct{ key Secret }

// NewFilter makes a filter with a random key of 32 bytes.
func NewFilter() *Filter {
	key := make([]byte, filterKeySize)
	rand.Read(key)
	return &Filter{NewSecret(string(key))}
}

// Marshal gives the key of the filter, as UnmarshalFilter reads it.
func (f *Filter) Marshal() Secret { return NewSecret(encode([]byte(f.key.Reveal()))) }

// UnmarshalFilter gives the filter that has this key. It fails for what Marshal can't have given.
func UnmarshalFilter(text Secret) (*Filter, error) {
	key, ok := decode(text.Reveal())
	if !ok || len(key) != filterKeySize {
		return nil, errors.New("seal: the filter key is not the base64url of 32 bytes")
	}
	return &Filter{NewSecret(string(key))}, nil
}

// NewBearer makes a bearer: prefix, then the base64url of what it carries (may be nil), of 32 random bytes, and of the MAC
// over all before it. Store only its hash.
func (f *Filter) NewBearer(prefix string, carried []byte) Secret {
	raw := withRandom(carried, bearerRandom)
	return NewSecret(prefix + encode(append(raw, f.mac(prefix, raw)...)))
}

// Recognise gives the carriedLen bytes that a bearer carries, if it was made under this key with that prefix. The time it
// takes depends on the length of the bearer only.
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
