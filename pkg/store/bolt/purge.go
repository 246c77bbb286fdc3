package bolt

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	purgeAfter = time.Hour // how long what expired is kept, so that a clock set back a little brings nothing to light
	purgeStep  = 256       // how much goes in one step; commits go between the steps
)

// Purge removes from the file the items and counts that expired more than an hour ago, and answers how many. What it
// costs grows with what is due, not with what there is. The file doesn't shrink: its pages are used again.
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

// purge removes up to a step of what expired before a time.
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
		due = append(due, slices.Clone(entry)) // removing moves what the cursor is on
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
