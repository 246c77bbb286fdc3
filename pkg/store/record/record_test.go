package record_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

type note struct {
	record.Head
	Text string `json:"text" record:"1"`
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	body, err := record.Encode(&note{Text: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	var got note
	if err := record.Decode(store.Item{Body: body}, &got); err != nil || got.Text != "hello" || got.Format != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestARecordOfAFormatThatIsNotKnownIsRefused(t *testing.T) {
	body, err := record.Encode(&note{Text: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte{0xa2, 0, 1, 1, 0x65, 'h', 'e', 'l', 'l', 'o'}; !bytes.Equal(body, want) {
		t.Fatalf("got % x, want % x", body, want)
	}
	later := slices.Clone(body)
	later[2] = 2
	for name, body := range map[string][]byte{"a later one": later, "none": {0xa1, 1, 0x61, 'h'}, "a negative one": {0xa1, 0, 0x20}} {
		err := record.Decode(store.Item{Key: store.Key{Sort: "note"}, Body: body}, &note{})
		if !errors.Is(err, record.ErrUnreadable) || !strings.Contains(err.Error(), "note") {
			t.Errorf("%s: got %v, want ErrUnreadable with the item's name", name, err)
		}
	}
}

func TestAnAbsentOrDamagedItemIsNoRecord(t *testing.T) {
	for _, item := range []store.Item{{}, {Body: []byte{0xa2, 0, 1}}, {Body: []byte{0xa1, 0, 1, 0}}, {Body: []byte{0xa2, 0, 1, 0, 1}}, {Body: []byte{0xa2, 0, 1, 9, 1}}} {
		if err := record.Decode(item, &note{}); !errors.Is(err, record.ErrUnreadable) {
			t.Errorf("%q: got %v, want ErrUnreadable", item.Body, err)
		}
	}
}
