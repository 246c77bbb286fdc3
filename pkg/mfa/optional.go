package mfa

import (
	"bytes"
	"encoding/json"
)

// UnmarshalJSON takes a field that is there: null, or a value.
func (o *Optional[T]) UnmarshalJSON(body []byte) error {
	*o = Optional[T]{Set: true}
	if bytes.Equal(body, []byte("null")) {
		return nil
	}
	return json.Unmarshal(body, &o.Value)
}

// MarshalJSON gives the value, or null. An absent field is left out by the tag omitzero.
func (o Optional[T]) MarshalJSON() ([]byte, error) { return json.Marshal(o.Value) }
