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

func TestShowHidesBytesAndSecrets(t *testing.T) {
	type kept struct {
		record.Head
		Word    string   `json:"word" record:"1,word"`
		Digest  string   `json:"digest" record:"2,secret"`
		Digests []string `json:"digests" record:"3,secret"`
		Key     []byte   `json:"key" record:"4"`
		Keys    [][]byte `json:"keys" record:"5"`
		Absent  string   `json:"absent" record:"6"`
	}
	was := &kept{Word: "AAAA", Digest: "BBBBBBBB", Digests: []string{"CCCC"}, Key: []byte("key"), Keys: [][]byte{[]byte("keys")}}
	body, err := record.Encode(was)
	if err != nil {
		t.Fatal(err)
	}
	got, err := record.Show(store.Item{Body: body}, &kept{})
	want := `{"format":1,"word":"AAAA","digest":"(6 bytes)","digests":["(3 bytes)"],"key":"(3 bytes)","keys":["(4 bytes)"]}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestARecordOfIndefiniteLengthIsRefused(t *testing.T) {
	body := []byte{0xbf, 0, 1, 1, 0x61, 'h', 0xff}
	if err := record.Decode(store.Item{Body: body}, &note{}); !errors.Is(err, record.ErrUnreadable) {
		t.Errorf("got %v, want ErrUnreadable", err)
	}
}
