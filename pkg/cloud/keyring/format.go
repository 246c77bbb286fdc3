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

// SetRecordFormat makes the key ring of the deployment whose table is in say in which format records are to be written. Running
// processes learn that when they read the ring again, which takes up to seal.RingAge. What a format means, and when it may be
// set, is in the package comment of record. SetRecordFormat fails if this build doesn't have that format, or if there is no ring
// yet. It doesn't need KMS, because the item has the format beside what is sealed.
func SetRecordFormat(ctx context.Context, in store.Store, format int) error {
	if format < record.Format || format > record.Latest {
		return fmt.Errorf("this build has the formats from %d to %d", record.Format, record.Latest)
	}
	k := &Keeper{store: in, now: func() time.Time { return time.Time{} }}
	item, err := k.read(ctx)
	if err != nil {
		return err
	}
	if item.version == "" {
		return errors.New("there is no key ring yet; the first function that needs it makes it")
	}
	published, err := store.GetOne(ctx, in, mfa.PublishedKeysAt)
	if err != nil {
		return fmt.Errorf("read the published keys: %w", err)
	}
	item.Writes = format
	body, err := record.Encode(&item)
	if err != nil {
		return fmt.Errorf("write the key ring: %w", err)
	}
	writes := []store.Write{{Key: ringKey, Expect: item.version, Body: body}}
	if published.Version == item.version { // they are the public half of this ring, and stay so
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
