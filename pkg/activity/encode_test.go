package activity

import (
	"encoding/base64"
	"errors"
	"reflect"
	"testing"
	"time"
)

// Package mfa uses types of its own for what events say. The values come back in other types, as the same JSON.
func TestEventsAreDecodedAsTheSameJSONInTypesThatFileTakes(t *testing.T) {
	type kind string
	challenge := "ch_" + base64.RawURLEncoding.EncodeToString([]byte(ana+"16 random bytes."))
	long := "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) <Chrome>/142.0.0.0 Safari/537.36"
	for _, events := range [][]Event{
		nil,
		{{ID: "ev_1", Type: "challenge.started", Data: map[string]any{}}},
		{{ID: "ev_AAAAAAAAAAAAAAAAAAAAAA", Type: "a type of a later build", Data: map[string]any{"kind": kind("totp"), "other": kind("a kind of a later build")}}},
		{
			{ID: "ev_1", Type: "challenge.started", Data: map[string]any{"challenge": challenge, "ip": "203.0.113.7", "user_agent": long}},
			{ID: "ev_2", Type: "challenge.sent", Data: map[string]any{"challenge": challenge, "kind": kind("email"), "sequence": "A"}},
		},
		{{ID: "ev_1", Type: "browser.trusted", Data: map[string]any{"expires": now, "until": now.Truncate(time.Second), "browsers": "others"}}},
		{{ID: "ev_1", Type: "user.updated", Data: map[string]any{"changed": []string{"name", "x"}, "kinds": []kind{"sms", "y"}, "none": []string{}, "nothing": nil}}},
		{{ID: "ev_1", Type: "recovery.used", Data: map[string]any{"codes_left": 9, "enrolled": true, "much": int64(1 << 62), "less": -3}}},
	} {
		b, err := Encode(ana, events)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(ana, b)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 && len(got) == 0 {
			continue
		}
		if got, want := asJSON(t, got), asJSON(t, events); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		again, err := Encode(ana, got)
		if err != nil || !reflect.DeepEqual(again, b) {
			t.Errorf("what was decoded is encoded as % x, %v, want % x", again, err, b)
		}
		for _, e := range got {
			wantRead(t, about(anasKey, e.Data)...)
		}
	}
}

func TestWhatCouldNotBeReadAgainIsNotEncoded(t *testing.T) {
	for name, value := range map[string]any{
		"text that is not UTF-8":       "\xff",
		"the same in a list":           []string{"a", "\xff"},
		"a struct":                     struct{ Name string }{"a"},
		"a list of structs":            []struct{}{{}},
		"a map with keys of a program": map[int]string{1: "a"},
	} {
		if b, err := Encode(ana, []Event{{Type: "user.updated", Data: map[string]any{"name": value}}}); !errors.Is(err, errValue) {
			t.Errorf("%s: got % x, %v, want an error", name, b, err)
		}
	}
}

func TestTheSameEventsAreShorterThanAsJSON(t *testing.T) {
	challenge := "ch_" + base64.RawURLEncoding.EncodeToString([]byte(ana+"16 random bytes."))
	events := []Event{
		{ID: "ev_AAAAAAAAAAAAAAAAAAAAAA", Type: "challenge.failed", Data: map[string]any{"challenge": challenge, "attempts_left": 2}},
		{ID: "ev_BBBBBBBBBBBBBBBBBBBBBA", Type: "challenge.locked", Data: map[string]any{"challenge": challenge, "browsers": "others"}},
	}
	b, err := Encode(ana, events)
	if err != nil || len(b) > 80 {
		t.Errorf("got %d bytes, %v, want at most 80: ids as bytes, words by their places, and the challenge once", len(b), err)
	}
}

func FuzzDamagedEventsAreErrors(f *testing.F) {
	whole, err := Encode(ana, []Event{
		{ID: "ev_1", Type: "user.updated", Data: map[string]any{"changed": []string{"name"}}},
		{ID: "ev_2", Type: "user.updated", Data: map[string]any{"ip": "203.0.113.7", "factor": "fa_AAAAAAAAAAAAAAAAAAAAAA"}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	for at := range whole {
		f.Add(whole[:at])
	}
	f.Add([]byte{0xa1, 1, 0x81, 0})                    // a type without an id
	f.Add([]byte{0xa1, 1, 0x82, 0x18, 200, 0x61, 'x'}) // a place that the table doesn't have
	f.Add([]byte{0xa2, 1, 0x82, 0, 0x61, 'x', 3, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		events, err := Decode(ana, b)
		if err != nil {
			return
		}
		if _, err := Encode(ana, events); err != nil {
			t.Errorf("% x was decoded, and can't be encoded: %v", b, err)
		}
	})
}
