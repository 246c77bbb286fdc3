package keyring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// SetRecordFormat sets the format in which records are written. It notes the format in the key ring's item in the table in.
// Running processes learn about it when they read the ring again, which takes up to seal.RingAge. What a format means, and when
// it may be set, is in the package comment of record. SetRecordFormat fails if this build doesn't have that format, or if there
// is no ring yet.
func SetRecordFormat(ctx context.Context, in store.Store, format int) error {
	if format < record.Format || format > record.Latest {
		return fmt.Errorf("this build has the formats from %d to %d", record.Format, record.Latest)
	}
	return change(ctx, in, func(item *ringItem) error {
		item.Writes = format
		return nil
	})
}

// SetEpoch gives the deployment whose table is in a new epoch: see seal.Ring.Epoch. Running processes learn about it when they
// read the ring again, which takes up to seal.RingAge. SetEpoch fails if the epoch is not later than the present one, or if there
// is no ring.
func SetEpoch(ctx context.Context, in store.Store, epoch int64) error {
	return change(ctx, in, func(item *ringItem) error {
		if epoch <= item.Epoch {
			return errors.New("the key ring says that epoch already, or a later one")
		}
		item.Epoch = epoch
		return nil
	})
}

// WantKeys makes the next run of the sweep rotate the key ring of the deployment whose table is in, however old its keys are. It
// fails if there is no ring yet.
func WantKeys(ctx context.Context, in store.Store) error {
	return change(ctx, in, func(item *ringItem) error {
		item.Wanted = true
		return nil
	})
}

// change changes the fields of the ring's item that aren't sealed. It doesn't need KMS, which operators may not use.
func change(ctx context.Context, in store.Store, do func(*ringItem) error) error {
	k := &Keeper{store: in, now: func() time.Time { return time.Time{} }}
	item, err := k.read(ctx)
	if err != nil {
		return err
	}
	if item.version == "" {
		return ErrNoRing
	}
	published, err := store.GetOne(ctx, in, mfa.PublishedKeysAt)
	if err != nil {
		return fmt.Errorf("read the published keys: %w", err)
	}
	if err := do(&item); err != nil {
		return err
	}
	body, err := record.Encode(&item)
	if err != nil {
		return fmt.Errorf("write the key ring: %w", err)
	}
	writes := []store.Write{{Key: ringKey, Expect: item.version, Body: body}}
	if published.Version == item.version { // the published keys are still the public half of this ring after the change
		writes = append(writes, store.Write{Key: published.Key, Expect: published.Version, Body: published.Body})
	}
	err = store.Settle(ctx, in, nil, store.NewVersion(), writes...)
	if errors.Is(err, store.ErrConflict) {
		return errors.New("the key ring was changed at the same moment: try again")
	}
	if err != nil {
		return fmt.Errorf("write the key ring: %w", err)
	}
	return nil
}

// ErrNoRing means that a deployment has no key ring yet.
var ErrNoRing = errors.New("there is no key ring yet; the first function that needs it makes it")
