package bolt

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"countersign/pkg/store"
)

// A change is a Write in the form in which the file has it.
type change struct {
	key    []byte
	value  []byte // nil for a Delete
	expect store.Version
	expiry int64  // the expiry of the value
	held   int64  // the expiry of the value that was there, whether it had expired or not
	record []byte // for the outbox; nil if there are no events
}

// Commit implements store.Store. When ctx ends, Commit stops waiting, but the writes may still be carried out.
func (d *DB) Commit(ctx context.Context, token store.Version, writes ...store.Write) error {
	if err := store.CheckCommit(token, writes); err != nil {
		return err
	}
	if err := d.enter(); err != nil {
		return err
	}
	defer d.active.Done()

	// The writes are encoded here and not by the writer, because all other calls wait for the writer. Also, the caller may use
	// their memory again once Commit has stopped waiting.
	changes, bytes := encodeChanges(token, writes)
	_, err := d.submit(ctx, bytes, func(t *tables) (int64, error) {
		return 0, t.commit(token, changes, d.now())
	})
	return err
}

func encodeChanges(token store.Version, writes []store.Write) (changes []change, bytes int) {
	changes = make([]change, len(writes))
	for i, w := range writes {
		c := change{key: encodeKey(w.Key), expect: w.Expect}
		if !w.Delete {
			c.expiry = store.ExpirySecond(w.Expires)
			c.value = encodeItem(c.expiry, token, w.Body)
		}
		if len(w.Events) > 0 {
			c.record = encodeRecord(c.key, token, w.Events)
		}
		changes[i] = c
		bytes += len(c.key) + len(c.value) + len(c.record)
	}
	return changes, bytes
}

// commit carries out all changes, or returns store.ErrConflict and carries out none. If the token shows that they have been carried
// out before, it returns nil and carries out none.
func (t *tables) commit(token store.Version, changes []change, now time.Time) error {
	conflict := false
	for i := range changes {
		c := &changes[i]
		var version []byte
		if value := t.items.Get(c.key); value != nil {
			expiry, held, _, err := decodeItem(value)
			if err != nil {
				return err
			}
			c.held = expiry
			if !store.Expired(expiry, now) {
				version = held
			}
		}
		if string(version) == string(token) {
			return nil
		}
		conflict = conflict || string(version) != string(c.expect)
	}
	if conflict {
		return store.ErrConflict
	}
	for _, c := range changes {
		t.moveExpiry(kindItem, c.key, c.held, c.expiry)
		if c.value == nil {
			t.remove(t.items, c.key)
			continue
		}
		t.put(t.items, c.key, c.value)
		if c.record != nil {
			t.append(c.record)
		}
	}
	return nil
}

// append adds a record at the end of the outbox.
func (t *tables) append(record []byte) {
	sequence, err := t.outbox.NextSequence()
	if err != nil {
		t.failed = err
		return
	}
	t.put(t.outbox, binary.BigEndian.AppendUint64(nil, sequence), record)
}

// Deliver implements store.Feed. All records come in the order of their commits, also those of different keys.
func (d *DB) Deliver(ctx context.Context, limit int, fn func(context.Context, []store.Record) error) error {
	if limit < 1 {
		return fmt.Errorf("%w: delivery of %d at a time", store.ErrInvalid, limit)
	}
	if err := d.enter(); err != nil {
		return err
	}
	defer d.active.Done()
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return ctx.Err()
	case <-d.closing:
		return errClosed
	}

	end, err := d.outboxEnd()
	if err != nil {
		return fmt.Errorf("bolt: deliver: %w", err)
	}
	for {
		select {
		case <-d.closing:
			return errClosed
		default:
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		keys, records, err := d.waiting(limit, end)
		if err != nil {
			return fmt.Errorf("bolt: deliver: %w", err)
		}
		if len(records) == 0 {
			return nil
		}
		if err := fn(ctx, records); err != nil {
			return err
		}
		// This is done even if ctx has just ended, because otherwise records that were taken would be handed on again.
		if _, err := d.submit(context.WithoutCancel(ctx), 0, func(t *tables) (int64, error) {
			for _, key := range keys {
				t.remove(t.outbox, key)
			}
			return 0, nil
		}); err != nil {
			return fmt.Errorf("bolt: deliver: %w", err)
		}
	}
}

// outboxEnd returns the sequence number of the last record that was committed so far.
func (d *DB) outboxEnd() (end uint64, err error) {
	err = d.view(bucketOutbox, func(outbox *bbolt.Bucket) error {
		end = outbox.Sequence()
		return nil
	})
	return end, err
}

// Held implements store.Holder. The outbox holds what an item has handed on until it is delivered. Held goes through all of
// the outbox.
func (d *DB) Held(ctx context.Context, key store.Key) (held []store.Record, err error) {
	if err := store.CheckGet([]store.Key{key}); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.active.Done()
	err = d.view(bucketOutbox, func(outbox *bbolt.Bucket) error {
		return outbox.ForEach(func(_, value []byte) error {
			record, err := decodeRecord(value)
			if err == nil && record.Key == key {
				held = append(held, record)
			}
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("bolt: read the outbox: %w", err)
	}
	return held, nil
}

// waiting returns the first records of the outbox with their keys. It returns at most limit of them, and none behind the sequence
// number end.
func (d *DB) waiting(limit int, end uint64) (keys [][]byte, records []store.Record, err error) {
	err = d.view(bucketOutbox, func(outbox *bbolt.Bucket) error {
		cursor := outbox.Cursor()
		for k, v := cursor.First(); k != nil && len(records) < limit && binary.BigEndian.Uint64(k) <= end; k, v = cursor.Next() {
			record, err := decodeRecord(v)
			if err != nil {
				return err
			}
			keys, records = append(keys, slices.Clone(k)), append(records, record)
		}
		return nil
	})
	return keys, records, err
}
