package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

var verbs = []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t", "%10v"}

// printed returns all texts that Go's own printers make of value, by itself and inside other values.
func printed(t *testing.T, value any) string {
	t.Helper()
	type exported struct{ Field any }
	type unexported struct{ field any }
	var out bytes.Buffer
	for _, shape := range []any{value, exported{value}, &exported{value}, unexported{value}, &unexported{value}, []any{value}, map[string]any{"k": value}} {
		for _, verb := range verbs {
			fmt.Fprintf(&out, verb+"\n", shape)
		}
		fmt.Fprintln(&out, shape)
		fmt.Fprintln(&out, fmt.Errorf("operation: %v", shape))
		marshalled, err := json.Marshal(shape)
		if err != nil {
			t.Fatalf("json.Marshal(%T): %v", shape, err)
		}
		out.Write(marshalled)
		slog.New(slog.NewTextHandler(&out, nil)).Info("said", "value", shape)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("said", "value", shape)
	}
	return out.String()
}

func TestASecretIsNeverPrinted(t *testing.T) {
	const value = "hunter2hunter2"
	type holder struct {
		Exported Secret
		hidden   Secret
		pointer  *Secret
	}
	secret := NewSecret(value)
	for _, shape := range []any{secret, &secret, holder{secret, secret, &secret}, &holder{secret, secret, &secret}, []Secret{secret}, map[string]Secret{"k": secret}} {
		text := printed(t, shape)
		for _, shown := range []string{value, fmt.Sprintf("%x", value), fmt.Sprintf("%X", value), fmt.Sprint([]byte(value))} {
			if strings.Contains(text, shown) {
				t.Errorf("printing a %T shows %q", shape, shown)
			}
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, secret); got != "[secret]" {
			t.Errorf("Sprintf(%q) = %q, want %q", verb, got, "[secret]")
		}
	}
	text, err := secret.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := secret.String()+secret.GoString()+secret.LogValue().String()+string(text), strings.Repeat("[secret]", 4); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := secret.Reveal(); got != value {
		t.Errorf("Reveal() = %q, want %q", got, value)
	}
}

func TestASecretComesInByJSONButDoesNotGoOut(t *testing.T) {
	var body struct {
		Code Secret `json:"code"`
	}
	if err := json.Unmarshal([]byte(`{"code":"123456"}`), &body); err != nil {
		t.Fatal(err)
	}
	if got := body.Code.Reveal(); got != "123456" {
		t.Errorf("got %q, want 123456", got)
	}
	out, err := json.Marshal(map[string]any{"code": body.Code, "pointer": &body.Code})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(out), `{"code":"[secret]","pointer":"[secret]"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	key, err := json.Marshal(struct{ Codes []Secret }{[]Secret{body.Code, {}}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(key), `{"Codes":["[secret]","[secret]"]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := json.Unmarshal([]byte(`{"code":123456}`), &body); err == nil {
		t.Error("a number was taken as a secret")
	}
}

func TestSecretsAreEqualByValue(t *testing.T) {
	var zero Secret
	for _, c := range []struct {
		a, b Secret
		want bool
	}{
		{NewSecret("a"), NewSecret("a"), true},
		{NewSecret("a"), NewSecret("b"), false},
		{NewSecret("a"), NewSecret("aa"), false},
		{zero, NewSecret(""), true},
		{zero, NewSecret("a"), false},
	} {
		if got := c.a.Equal(c.b); got != c.want {
			t.Errorf("Equal(%q, %q) = %v, want %v", c.a.Reveal(), c.b.Reveal(), got, c.want)
		}
	}
	for i := range 2000 {
		if NewSecret(fmt.Sprint(i)).Equal(NewSecret("another")) {
			t.Errorf("%d equals another", i)
		}
	}
	if !zero.IsZero() || NewSecret("a").IsZero() {
		t.Error("IsZero is wrong")
	}
}

func TestARingIsNeverPrinted(t *testing.T) {
	ring := NewRing(start)
	rotated, err := ring.Rotate(start)
	if err != nil {
		t.Fatal(err)
	}
	// This use of the ring derives a key, so that derived keys are in it, too.
	rotated.Digest("purpose", "field")
	rotated.Seal("purpose", nil, nil)
	type holder struct {
		Exported *Ring
		hidden   *Ring
		value    Ring
	}
	text := printed(t, rotated) + printed(t, *rotated) + printed(t, holder{rotated, rotated, *rotated}) + printed(t, errors.New(fmt.Sprint(rotated)))
	for _, key := range rotated.secrets {
		for _, raw := range [][]byte{key.master, key.root, key.derive(useDigest, "purpose").key, key.derive(useSeal, "purpose").key} {
			refuseShown(t, text, raw)
		}
	}
	for _, s := range rotated.signers {
		scalar, err := s.private.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		refuseShown(t, text, scalar)
		if strings.Contains(text, new(big.Int).SetBytes(scalar).String()) {
			t.Error("a private key is shown in decimal")
		}
	}
	if got := fmt.Sprintf("%v %+v %#v %s %q %x", rotated, rotated, rotated, rotated, rotated, rotated); got != strings.TrimSuffix(strings.Repeat("[key ring] ", 6), " ") {
		t.Errorf("got %s", got)
	}
}

func refuseShown(t *testing.T, text string, raw []byte) {
	t.Helper()
	decimals := strings.Trim(fmt.Sprint(raw[:8]), "[]")
	for _, shown := range []string{string(raw), encode(raw), fmt.Sprintf("%x", raw), fmt.Sprintf("%X", raw), decimals, strings.ReplaceAll(decimals, " ", ",")} {
		if strings.Contains(text, shown) {
			t.Error("key material is shown")
		}
	}
}
