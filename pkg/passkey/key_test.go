package passkey_test

import (
	"bytes"
	"math/big"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"countersign/pkg/mfa"
	"countersign/pkg/passkey"
	"countersign/pkg/passkey/passkeytest"
)

// modulus returns a number that has that many bits.
func modulus(bits uint) []byte { return new(big.Int).SetBit(big.NewInt(1), int(bits)-1, 1).Bytes() }

// Without an attestation statement, nothing proves that the authenticator has the private key. But the public key must still be
// usable.
func TestAPublicKeyThatCanNotBeUsedIsRefused(t *testing.T) {
	coordinate, exponent := make([]byte, 32), []byte{1, 0, 1}
	const longest = 2048 - 16 // bytes of the longest modulus; the rest of the key around it takes 16 bytes
	for name, c := range map[string]struct {
		key  map[int]any
		want error
	}{
		"a point off the curve":        {key: map[int]any{1: 2, 3: -7, -1: 1, -2: coordinate, -3: coordinate}, want: passkey.UnusableKey},
		"no curve":                     {key: map[int]any{1: 2, 3: -7, -2: coordinate, -3: coordinate}, want: passkey.UnusableKey},
		"a curve of another size":      {key: map[int]any{1: 2, 3: -7, -1: 2, -2: coordinate, -3: coordinate}, want: passkey.UnusableKey},
		"RSA of 2,048 bits":            {key: map[int]any{1: 3, 3: -257, -1: modulus(2048), -2: exponent}},
		"RSA of 2,047 bits":            {key: map[int]any{1: 3, 3: -257, -1: modulus(2047), -2: exponent}, want: passkey.UnusableKey},
		"RSA with zeros in front":      {key: map[int]any{1: 3, 3: -257, -1: append(make([]byte, 256), 5), -2: exponent}, want: passkey.UnusableKey},
		"the longest key":              {key: map[int]any{1: 3, 3: -257, -1: modulus(8 * longest), -2: exponent}},
		"a longer key":                 {key: map[int]any{1: 3, 3: -257, -1: modulus(8*longest + 8), -2: exponent}, want: passkey.UnusableKey},
		"RSA of 17,000 bits":           {key: map[int]any{1: 3, 3: -257, -1: modulus(17000), -2: exponent}, want: passkey.UnusableKey},
		"RSA that claims ES256":        {key: map[int]any{1: 3, 3: -7, -1: modulus(2048), -2: exponent}, want: passkey.UnusableKey},
		"a curve that claims RS256":    {key: map[int]any{1: 2, 3: -257, -1: 1, -2: coordinate, -3: coordinate}, want: passkey.UnusableKey},
		"Ed25519 that claims ES256":    {key: map[int]any{1: 1, 3: -7, -1: 6, -2: coordinate}, want: passkey.UnusableKey},
		"PS256, which isn't asked for": {key: map[int]any{1: 3, 3: -37, -1: modulus(2048), -2: exponent}, want: passkey.WrongAlgorithm},
		"RS1, which isn't asked for":   {key: map[int]any{1: 3, 3: -65535, -1: modulus(2048), -2: exponent}, want: passkey.WrongAlgorithm},
		"no algorithm":                 {key: map[int]any{1: 2, -1: 1, -2: coordinate, -3: coordinate}, want: passkey.WrongAlgorithm},
		"nothing":                      {key: map[int]any{}, want: passkey.WrongAlgorithm},
	} {
		t.Run(name, func(t *testing.T) {
			encoded, err := cbor.Marshal(c.key)
			if err != nil {
				t.Fatal(err)
			}
			m := registered(t)
			m.data = append(m.data[:55+32], encoded...)
			if err := m.check(t, "none", map[string]any{}); err != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestACredentialIDHasUpTo1023Bytes(t *testing.T) {
	for length, want := range map[int]error{1: nil, 16: nil, 1023: nil, 1024: passkey.Malformed} {
		c := ceremony("discouraged")
		response := create(t, &passkeytest.Authenticator{IDLength: length}, c, mfa.NewPasskey{})
		created, err := relyingParty(t).Create(c, handle, response, began)
		if err != want || err == nil && len(created.ID) != length {
			t.Errorf("%d bytes: got %d bytes, %v", length, len(created.ID), err)
		}
	}
}

func TestASignInWithTheKeyOfAnotherUserIsRefused(t *testing.T) {
	a, other := &passkeytest.Authenticator{}, &passkeytest.Authenticator{}
	mine, theirs := enrol(t, a).Passkey, enrol(t, other).Passkey
	c := ceremony("discouraged")
	response := get(t, other, c, theirs)
	forged := mine
	forged.ID = theirs.ID // as if one credential id belonged to two users
	_, err := relyingParty(t).Get(c, bytes.Repeat([]byte{8}, 32), forged, response, began)
	refused(t, err, passkey.WrongSignature)
}
