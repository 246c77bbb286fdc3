package keyring

import (
	"errors"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

func TestTheStatusOfTheRingSaysWhetherItIsTended(t *testing.T) {
	w := newWorld(t)
	table := w.table()
	at := w.At
	status := func() Status {
		t.Helper()
		s, err := StatusOf(t.Context(), table, w.At)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if got := status(); got != (Status{}) {
		t.Errorf("before there is a ring: got %+v", got)
	}
	keys := w.open()
	ringOf(t, keys)
	asked := w.Operations()
	rotated := at.Truncate(time.Second)
	for age, want := range map[time.Duration]Status{
		0: {Rotated: rotated, Published: true}, 32 * 24 * time.Hour: {Rotated: rotated, Published: true},
		32*24*time.Hour + time.Second: {Rotated: rotated, Published: true, Late: true},
	} {
		w.At = rotated.Add(age)
		if got := status(); !got.Rotated.Equal(want.Rotated) || got.Late != want.Late || got.Published != want.Published {
			t.Errorf("at an age of %v: got %+v, want %+v", age, got, want)
		}
	}
	if got := w.Operations(); got != asked {
		t.Errorf("got %s asked of KMS, want nothing more than %s", got, asked)
	}
	if err := keys.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := status(); got.Late || !got.Published {
		t.Errorf("after a rotation: got %+v", got)
	}
	published, err := store.GetOne(t.Context(), table, mfa.PublishedKeysAt)
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Commit(t.Context(), store.NewVersion(), store.Write{Key: published.Key, Expect: published.Version, Body: published.Body}); err != nil {
		t.Fatal(err)
	}
	if got := status(); got.Published {
		t.Errorf("published by hand: got %+v", got)
	}
	for _, body := range []string{`{"format":`, `{"format":2}`} {
		keys.store = &fixed{body: []byte(body)}
		if _, err := StatusOf(t.Context(), keys.store, w.At); !errors.Is(err, record.ErrUnreadable) {
			t.Errorf("%s: got %v, want ErrUnreadable", body, err)
		}
		if _, err := keys.Reload(t.Context()); !errors.Is(err, record.ErrUnreadable) {
			t.Errorf("%s: the ring is read with %v, want ErrUnreadable", body, err)
		}
	}
}
