package bolt

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"go.etcd.io/bbolt"
)

// These are the limits of a group, which shares one transaction. Jobs that don't fit go into the next group.
const (
	maxGroup      = 256     // the most jobs
	maxGroupBytes = 8 << 20 // about the most bytes of their values
)

// A job is one call that writes. The writer answers it once, when the transaction of which it was a part is on the disk.
type job struct {
	ctx   context.Context
	bytes int // about how much it writes
	// apply reads, decides and writes. What it returns goes to the caller of this job only. If it returns an error, it must not
	// have written anything. If a write fails, tables keeps the error, and the whole group gets that instead.
	apply func(*tables) (int64, error)
	done  chan outcome
}

type outcome struct {
	number int64
	err    error
}

// tables are the buckets in the transaction of one group.
type tables struct {
	items, counts, expiry, outbox *bbolt.Bucket

	wrote  bool
	failed error // the first write that failed
}

func (t *tables) put(bucket *bbolt.Bucket, key, value []byte) {
	t.wrote = true
	if t.failed == nil {
		t.failed = bucket.Put(key, value)
	}
}

func (t *tables) remove(bucket *bbolt.Bucket, key []byte) {
	t.wrote = true
	if t.failed == nil {
		t.failed = bucket.Delete(key)
	}
}

// moveExpiry changes the expiry index for what is kept under key, from the expiry that it had to the one that it has now. An expiry
// of 0 has no entry in the index.
func (t *tables) moveExpiry(kind byte, key []byte, from, to int64) {
	if from == to {
		return
	}
	if from != 0 {
		t.remove(t.expiry, encodeExpiry(from, kind, key))
	}
	if to != 0 {
		t.put(t.expiry, encodeExpiry(to, kind, key), nil)
	}
}

// submit gives a job to the writer and waits for its answer, or for the end of ctx. After the end of ctx the job may still be
// done.
func (d *DB) submit(ctx context.Context, bytes int, apply func(*tables) (int64, error)) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	j := &job{ctx: ctx, bytes: bytes, apply: apply, done: make(chan outcome, 1)}
	select {
	case d.queue <- j:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	select {
	case o := <-j.done:
		return o.number, o.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// write is the only goroutine that writes. It ends when the queue is closed and empty.
func (d *DB) write() {
	defer close(d.ended)
	group := make([]*job, 0, maxGroup)
	outcomes := make([]outcome, maxGroup)
	for first := range d.queue {
		// Callers that were just answered often call again at once. This lets them do so, and share this transaction.
		runtime.Gosched()
		group = d.gather(append(group[:0], first))
		d.run(group, outcomes)
		for i, j := range group {
			j.done <- outcomes[i]
		}
		clear(group)
	}
}

// gather adds to the group the jobs that wait in the queue.
func (d *DB) gather(group []*job) []*job {
	bytes := group[0].bytes
	for len(group) < maxGroup && bytes < maxGroupBytes {
		select {
		case j, ok := <-d.queue:
			if !ok {
				return group
			}
			group = append(group, j)
			bytes += j.bytes
		default:
			return group
		}
	}
	return group
}

// run does the jobs of a group in one transaction, and sets the outcome of each.
func (d *DB) run(group []*job, outcomes []outcome) {
	err := d.broken
	if err == nil {
		err = d.transact(group, outcomes)
	}
	if err == nil {
		return
	}
	for i := range group {
		outcomes[i] = outcome{err: err}
	}
}

// transact does the jobs of a group in one transaction. If it returns an error, nobody knows whether any of the jobs was done.
func (d *DB) transact(group []*job, outcomes []outcome) error {
	tx, err := d.file.Begin(true)
	if err != nil {
		return fmt.Errorf("bolt: begin: %w", err)
	}
	t, err := d.open(tx)
	if err != nil {
		return errors.Join(fmt.Errorf("bolt: make buckets: %w", err), tx.Rollback())
	}
	for i, j := range group {
		if err := j.ctx.Err(); err != nil {
			outcomes[i] = outcome{err: err}
			continue
		}
		number, err := j.apply(t)
		if t.failed != nil {
			return errors.Join(fmt.Errorf("bolt: write: %w", t.failed), tx.Rollback())
		}
		outcomes[i] = outcome{number, err}
	}
	if !t.wrote {
		return tx.Rollback()
	}
	if err := d.sync(tx); err != nil {
		// After a failed sync nobody knows what is on the disk, and what is only in the memory of the operating system. So no
		// further transaction may be built on it.
		d.broken = fmt.Errorf("bolt: a write to the file failed, open it anew: %w", err)
		return d.broken
	}
	return nil
}

// open finds the buckets. It makes them if the file is fresh.
func (d *DB) open(tx *bbolt.Tx) (*tables, error) {
	if d.fresh {
		for _, name := range [][]byte{bucketFormat, bucketItems, bucketCounts, bucketExpiry, bucketOutbox} {
			if _, err := tx.CreateBucket(name); err != nil {
				return nil, err
			}
		}
		if err := tx.Bucket(bucketFormat).Put(formatKey, []byte(format)); err != nil {
			return nil, err
		}
	}
	t := &tables{items: tx.Bucket(bucketItems), counts: tx.Bucket(bucketCounts), expiry: tx.Bucket(bucketExpiry), outbox: tx.Bucket(bucketOutbox)}
	t.outbox.FillPercent = 1 // records are only added at its end
	return t, nil
}

// sync writes the transaction to the disk.
func (d *DB) sync(tx *bbolt.Tx) error {
	if err := tx.Commit(); err != nil {
		return err
	}
	if d.fresh {
		if err := d.syncDirectory(); err != nil {
			return err
		}
		d.fresh = false
	}
	return nil
}
