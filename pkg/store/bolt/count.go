package bolt

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"countersign/pkg/store"
)

// Count implements store.Store. When ctx ends, Count stops waiting, but it may still count.
func (d *DB) Count(ctx context.Context, key store.Key, n, cap int64, expires time.Time) (int64, error) {
	if err := store.CheckCount(key, n, cap, expires); err != nil {
		return 0, err
	}
	if err := d.enter(); err != nil {
		return 0, err
	}
	defer d.active.Done()

	name := encodeKey(key)
	if n == 0 {
		return d.readCount(ctx, name)
	}
	return d.submit(ctx, len(name), func(t *tables) (int64, error) {
		expiry, number, held, err := readCount(t.counts.Get(name), d.now())
		if err != nil {
			return 0, err
		}
		if n > cap-number {
			return number, store.ErrFull
		}
		if expiry == 0 {
			expiry = store.ExpirySecond(expires)
		}
		t.moveExpiry(kindCount, name, held, expiry)
		t.put(t.counts, name, encodeCount(expiry, number+n))
		return number + n, nil
	})
}

func (d *DB) readCount(ctx context.Context, name []byte) (number int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	err = d.view(bucketCounts, func(counts *bbolt.Bucket) error {
		_, number, _, err = readCount(counts.Get(name), d.now())
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("bolt: count: %w", err)
	}
	return number, nil
}
