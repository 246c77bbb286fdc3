package mfa_test

import (
	"encoding/json"
	"testing"

	"countersign/pkg/mfa"
)

func TestAnOptionalFieldTellsAbsentFromNullFromAValue(t *testing.T) {
	for body, want := range map[string]mfa.Optional[string]{
		`{"id":"u"}`:              {},
		`{"id":"u","email":null}`: {Set: true},
		`{"id":"u","email":""}`:   mfa.Some(""),
		`{"id":"u","email":"a"}`:  mfa.Some("a"),
	} {
		var p mfa.Person
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Fatal(err)
		}
		same := p.Email.Set == want.Set && (p.Email.Value == nil) == (want.Value == nil) &&
			(want.Value == nil || *p.Email.Value == *want.Value)
		if !same {
			t.Errorf("%s: got %+v, want %+v", body, p.Email, want)
		}
		if text, err := json.Marshal(p); err != nil || string(text) != body {
			t.Errorf("back: got %s %v, want %s", text, err, body)
		}
	}
	if err := json.Unmarshal([]byte(`{"email":1}`), &mfa.Person{}); err == nil {
		t.Error("a number is taken for a string")
	}
}
