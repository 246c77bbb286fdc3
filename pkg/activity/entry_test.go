package activity

import (
	"testing"
)

func TestAnEntryIsWholeAsItWasFiledOrWithNothingButItsDigest(t *testing.T) {
	filed := entry{Salt: []byte("salt"), Body: []byte(`{"id":"ev_1"}`), Of: "user", Sealed: []byte("sealed")}
	filed.Digest = filed.digest()
	if !filed.whole() || !(&entry{Digest: filed.Digest}).whole() {
		t.Error("an entry as it was filed, or one whose body was erased, is not whole")
	}
	for bits := range 15 { // of the four parts some are missing, and some are there
		left := entry{Digest: filed.Digest}
		if bits&1 != 0 {
			left.Salt = filed.Salt
		}
		if bits&2 != 0 {
			left.Body = filed.Body
		}
		if bits&4 != 0 {
			left.Of = filed.Of
		}
		if bits&8 != 0 {
			left.Sealed = filed.Sealed
		}
		if bits > 0 && left.whole() {
			t.Errorf("an entry with the parts %04b alone is whole", bits)
		}
	}
}

// What an entry says of its user opens for that user and with that entry only.
func TestWhatTheActivitySaysOfAUserIsBoundToItsEntry(t *testing.T) {
	ana, bob := Route("org of 16 bytes.ana of 16 bytes."), Route("org of 16 bytes.bob of 16 bytes.")
	key := NewKey()
	said := Event{ID: "ev_1", Type: "user.updated", User: "u-17", Data: map[string]any{"changed": "email"}}
	hidden := entry{Body: []byte(`{"id":"ev_1"}`)}
	if err := key.hide(ana, &said, &hidden); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key    Key
		change func(*entry)
		opens  bool
	}{
		"as it is":             {key, func(*entry) {}, true},
		"another body":         {key, func(e *entry) { e.Body = []byte(`{"id":"ev_2"}`) }, false},
		"another user's place": {key, func(e *entry) { e.Of = b64(bob.user()) }, false},
		"altered":              {key, func(e *entry) { e.Sealed[len(e.Sealed)-1] ^= 1 }, false},
		"the user made again":  {NewKey(), func(*entry) {}, false},
		"a user without a key": {nil, func(*entry) {}, false},
	} {
		moved := hidden
		moved.Sealed = append([]byte(nil), hidden.Sealed...)
		c.change(&moved)
		got := Event{ID: "ev_1"}
		if opened := c.key.reveal(&moved, &got); opened != c.opens || (got.User != "") != c.opens {
			t.Errorf("%s: got opened %v, %+v, want %v", name, opened, got, c.opens)
		}
	}
}
