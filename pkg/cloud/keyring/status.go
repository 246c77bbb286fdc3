package keyring

import (
	"context"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A Status describes a deployment's key ring, as far as its item shows without KMS.
type Status struct {
	Rotated   time.Time // when the newest keys were added; zero if there is no ring yet
	Late      bool      // whether the sweep should have rotated it by now
	Published bool      // whether the public half that is published is that of this ring

	Epoch        int64 // the epoch of the deployment: see seal.Ring.Epoch
	RecordFormat int   // the format in which records are to be written; 0 if it was never set
}

// StatusOf reads the state of the key ring of the deployment whose table is from. It fails with record.ErrUnreadable if functions
// can't read the ring's item either.
func StatusOf(ctx context.Context, from store.Store, now time.Time) (Status, error) {
	k := &Keeper{store: from, now: func() time.Time { return now }}
	item, err := k.read(ctx)
	if err != nil || item.version == "" {
		return Status{}, err
	}
	published, err := k.published(ctx)
	if err != nil {
		return Status{}, err
	}
	return Status{Rotated: item.Rotated, Late: now.Sub(item.Rotated) > lateAfter, Published: published == item.version, Epoch: item.Epoch, RecordFormat: item.Writes}, nil
}

// ShowItem returns the content of an item of a deployment's table as a JSON object, without its secrets: see mfa.ShowItem. It can
// also show the key ring's item, which only this package reads.
func ShowItem(item store.Item) ([]byte, error) {
	if item.Key == ringKey {
		return record.Show(item, &ringItem{})
	}
	return mfa.ShowItem(item)
}
