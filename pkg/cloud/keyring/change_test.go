package keyring

import (
	"errors"
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

// If the published keys are those of another ring, it must not look as if they were those of this ring.
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

func TestTheEpochIsSetWithoutKMSMovesForwardOnlyAndIsKeptByRotations(t *testing.T) {
	w := newWorld(t)
	table := w.table()
	if err := SetEpoch(t.Context(), table, 1); !errors.Is(err, ErrNoRing) {
		t.Errorf("without a ring: got %v, want ErrNoRing", err)
	}
	keys := w.open()
	before := ringOf(t, keys)
	w.Break(amazon.KMS, true)
	for _, step := range []struct {
		epoch int64
		taken bool
	}{{0, false}, {5, true}, {5, false}, {4, false}, {9, true}} {
		if err := SetEpoch(t.Context(), table, step.epoch); (err == nil) != step.taken {
			t.Errorf("epoch %d: got %v, want it taken: %t", step.epoch, err, step.taken)
		}
	}
	w.Break(amazon.KMS, false)
	if got := ringOf(t, keys).Epoch(); got != 0 {
		t.Errorf("the ring that a process has changed to epoch %d", got)
	}
	for _, do := range []func(*Keeper) error{
		func(*Keeper) error { return nil },
		func(k *Keeper) error { return k.Rotate(t.Context()) },
		func(k *Keeper) error { w.At = w.At.Add(retireAfter); _, err := k.Tend(t.Context()); return err },
	} {
		if err := do(w.open()); err != nil {
			t.Fatal(err)
		}
		if ring := ringOf(t, w.open()); ring.Epoch() != 9 || ring.KeyIDs()[0] != before.Newest() {
			t.Errorf("got epoch %d under the keys %v, want 9 and the same first key", ring.Epoch(), ring.KeyIDs())
		}
	}
	if status, err := StatusOf(t.Context(), table, w.At); err != nil || status.Epoch != 9 || !status.Published {
		t.Errorf("got %+v, %v, want the epoch", status, err)
	}
}

func TestKeysThatAnOperatorWantsComeWithTheNextRunOfTheSweepAndOnce(t *testing.T) {
	w := newWorld(t)
	table := w.table()
	if err := WantKeys(t.Context(), table); !errors.Is(err, ErrNoRing) {
		t.Errorf("without a ring: got %v, want ErrNoRing", err)
	}
	ringOf(t, w.open())
	for range 2 { // the second wish changes nothing
		if err := WantKeys(t.Context(), table); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []bool{true, false} {
		if changed, err := w.open().Tend(t.Context()); changed != want || err != nil {
			t.Errorf("got changed %v, %v, want %v", changed, err, want)
		}
	}
	if got := len(ringOf(t, w.open()).KeyIDs()); got != 2 {
		t.Errorf("got %d secrets, want one more", got)
	}
}
