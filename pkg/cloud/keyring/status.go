package keyring

import (
	"context"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A Status says how a deployment's key ring is, as far as its item tells without KMS.
type Status struct {
	Rotated   time.Time // when the newest keys came; zero: there is no ring yet
	Late      bool      // the sweep should have rotated it by now
	Published bool      // the public half that is published is this ring's

	Epoch        int64 // the deployment's: see seal.Ring.Epoch
	RecordFormat int   // the format in which records are to be written; 0 if nobody has said one
}

// StatusOf looks at the key ring of the deployment whose table is from. It fails with record.ErrUnreadable where no
// function could read the ring's item either.
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

// ShowItem gives what an item of a deployment's table holds as a JSON object, without what is secret: see mfa.ShowItem. The
// key ring's item, which only this package reads, is shown too.
func ShowItem(item store.Item) ([]byte, error) {
	if item.Key == ringKey {
		return record.Show(item, &ringItem{})
	}
	return mfa.ShowItem(item)
}
