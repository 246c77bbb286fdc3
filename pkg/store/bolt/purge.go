package bolt

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	purgeAfter = time.Hour // how long expired items are kept, so that they don't come back when the clock is set back a little
	purgeStep  = 256       // how many are removed at most in one step; commits can run between the steps
)

// Purge removes the items and counts that expired more than an hour ago, and returns how many there were. It costs as much as there
// is to remove, however large the file is. The file doesn't become smaller, but its pages are used again.
func (d *DB) Purge(ctx context.Context) (int, error) {
	if err := d.enter(); err != nil {
		return 0, err
	}
	defer d.active.Done()

	total := 0
	for {
		n, err := d.submit(ctx, 0, func(t *tables) (int64, error) {
			return t.purge(d.now().Add(-purgeAfter))
		})
		if err != nil {
			return total, fmt.Errorf("bolt: purge: %w", err)
		}
		total += int(n)
		if n < purgeStep {
			return total, nil
		}
		select {
		case <-d.closing:
			return total, errClosed
		default:
		}
	}
}

// purge removes what expired before a time, at most as much as one step has.
func (t *tables) purge(before time.Time) (int64, error) {
	var due [][]byte
	cursor := t.expiry.Cursor()
	for entry, _ := cursor.First(); entry != nil && len(due) < purgeStep; entry, _ = cursor.Next() {
		expiry, _, _, err := decodeExpiry(entry)
		if err != nil {
			return 0, err
		}
		if expiry >= before.Unix() {
			break
		}
		due = append(due, slices.Clone(entry)) // because the cursor would lose its place if entries were removed here
	}
	for _, entry := range due {
		_, kind, key, _ := decodeExpiry(entry)
		bucket := t.items
		if kind == kindCount {
			bucket = t.counts
		}
		t.remove(bucket, key)
		t.remove(t.expiry, entry)
	}
	return int64(len(due)), nil
}
