package record_test

import (
	"errors"
	"strings"
	"testing"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

type note struct {
	record.Head
	Text string `json:"text"`
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
	later := strings.Replace(string(body), `"format":1`, `"format":2`, 1)
	for name, body := range map[string]string{"a later one": later, "none": `{"text":"hello"}`, "a negative one": `{"format":-1}`} {
		err := record.Decode(store.Item{Key: store.Key{Sort: "note"}, Body: []byte(body)}, &note{})
		if !errors.Is(err, record.ErrUnreadable) || !strings.Contains(err.Error(), "note") {
			t.Errorf("%s: got %v, want ErrUnreadable with the item's name", name, err)
		}
	}
}

func TestAnAbsentOrDamagedItemIsNoRecord(t *testing.T) {
	for _, item := range []store.Item{{}, {Body: []byte("{")}} {
		if err := record.Decode(item, &note{}); !errors.Is(err, record.ErrUnreadable) {
			t.Errorf("%q: got %v, want ErrUnreadable", item.Body, err)
		}
	}
}
