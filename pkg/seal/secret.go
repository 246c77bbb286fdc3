package seal

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[secret]"

// Secret is a string that isn't shown when it is printed, logged or encoded: the result is always "[secret]". Only Reveal
// returns the value. A Secret can be decoded from JSON, so that a request body can have one. The zero value is the empty secret.
type Secret struct {
	// This field makes == impossible, because the time that it takes depends on the value.
	_ [0]func()
	// fmt doesn't call the methods of unexported fields, and prints their content. It prints a nested pointer as an address.
	value *string
}

// NewSecret makes a Secret that has this value.
func NewSecret(value string) Secret {
	return Secret{value: &value}
}

// Reveal returns the value. It must not be logged, and must not be in an error.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Equal reports whether both have the same value. It compares hashes in constant time, so that the time it takes doesn't
// depend on where the values differ.
func (s Secret) Equal(other Secret) bool {
	a, b := sha256.Sum256([]byte(s.Reveal())), sha256.Sum256([]byte(other.Reveal()))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// String returns "[secret]".
func (s Secret) String() string { return redacted }

// GoString returns "[secret]".
func (s Secret) GoString() string { return redacted }

// Format writes "[secret]" for every verb.
func (s Secret) Format(state fmt.State, _ rune) { io.WriteString(state, redacted) }

// MarshalJSON returns the JSON string "[secret]".
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText returns "[secret]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "[secret]" for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// UnmarshalText makes text the value. JSON strings are decoded with it.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}
