package seal

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[secret]"

// Secret is a string that refuses to be printed, logged or marshalled: all of these give "[secret]". Only Reveal gives
// the value. It can be unmarshalled, so that a request body can hold one. The zero value is the empty secret.
type Secret struct {
	// Comparing by == would take a time that depends on the value.
	_ [0]func()
	// fmt doesn't call the methods of unexported fields, and prints what is in them. It prints a nested pointer as an address.
	value *string
}

// NewSecret conceals value.
func NewSecret(value string) Secret {
	return Secret{value: &value}
}

// Reveal gives the value. What it returns must not be logged, nor put into an error.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Equal says whether both hold the same value. The time it takes doesn't depend on where they differ: it compares hashes.
func (s Secret) Equal(other Secret) bool {
	a, b := sha256.Sum256([]byte(s.Reveal())), sha256.Sum256([]byte(other.Reveal()))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// IsZero says whether the secret is empty.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// String gives "[secret]".
func (s Secret) String() string { return redacted }

// GoString gives "[secret]".
func (s Secret) GoString() string { return redacted }

// Format writes "[secret]", whatever the verb.
func (s Secret) Format(state fmt.State, _ rune) { io.WriteString(state, redacted) }

// MarshalJSON gives the JSON string "[secret]".
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText gives "[secret]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue gives "[secret]" to log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// UnmarshalText takes text as the value. JSON strings come in by it.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}
