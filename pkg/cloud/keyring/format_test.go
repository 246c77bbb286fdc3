package keyring

import (
	"testing"
	"time"

	"countersign/infra/amazon"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

func TestTheFormatOfRecordsIsSetWithoutKMSAndKeptByRotations(t *testing.T) {
	w := newWorld(t)
	table := w.table()
	if err := SetRecordFormat(t.Context(), table, record.Format); err == nil {
		t.Error("a format was set although there is no ring yet")
	}
	keys := w.open()
	before := ringOf(t, keys)
	if got := before.RecordFormat(); got != 0 {
		t.Errorf("a new ring says format %d, want none", got)
	}
	w.Break(amazon.KMS, true)
	for _, format := range []int{-1, 0, record.Latest + 1} {
		if err := SetRecordFormat(t.Context(), table, format); err == nil {
			t.Errorf("format %d was set, which this build doesn't have", format)
		}
	}
	if err := SetRecordFormat(t.Context(), table, record.Latest); err != nil {
		t.Fatal(err)
	}
	w.Break(amazon.KMS, false)
	w.At = w.At.Add(seal.RingAge + time.Second)
	after := ringOf(t, keys)
	if after.RecordFormat() != record.Latest || after.Newest() != before.Newest() {
		t.Errorf("got format %d under the keys %s, want %d under %s", after.RecordFormat(), after.Newest(), record.Latest, before.Newest())
	}
	status, err := StatusOf(t.Context(), table, w.At)
	if err != nil || !status.Published || status.RecordFormat != record.Latest {
		t.Errorf("got %+v, %v, want the format, and that the public half is still this ring's", status, err)
	}
	if changed, err := w.open().Tend(t.Context()); changed || err != nil {
		t.Errorf("got %t, %v from the sweep, want that there is nothing to repair", changed, err)
	}
	if err := w.open().Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ringOf(t, w.open()).RecordFormat(); got != record.Latest {
		t.Errorf("after a rotation the ring says format %d, want %d", got, record.Latest)
	}
}

// What is published for another ring must not look as if it were for this one.
func TestSettingTheFormatDoesNotHideThatThePublishedKeysAreOld(t *testing.T) {
	w := newWorld(t)
	table := w.table()
	ringOf(t, w.open())
	published, err := store.GetOne(t.Context(), table, mfa.PublishedKeysAt)
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Commit(t.Context(), store.NewVersion(), store.Write{Key: published.Key, Expect: published.Version, Body: published.Body}); err != nil {
		t.Fatal(err)
	}
	if err := SetRecordFormat(t.Context(), table, record.Format); err != nil {
		t.Fatal(err)
	}
	if status, err := StatusOf(t.Context(), table, w.At); err != nil || status.Published {
		t.Errorf("got %+v, %v, want that other keys are published", status, err)
	}
	if changed, err := w.open().Tend(t.Context()); !changed || err != nil {
		t.Errorf("got %t, %v from the sweep, want that it publishes this ring's keys", changed, err)
	}
}
