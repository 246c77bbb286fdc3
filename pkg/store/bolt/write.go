package bolt

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"go.etcd.io/bbolt"
)

// Bounds of what shares one transaction. What is left over goes with the next.
const (
	maxGroup      = 256     // jobs
	maxGroupBytes = 8 << 20 // of their values
)

// A job is one call that writes. The writer answers it once, after the transaction it was part of is on the disk.
type job struct {
	ctx   context.Context
	bytes int // about how much it writes
	// apply reads, decides and writes. What it answers is the caller's alone; an apply that answers an error must have
	// written nothing. A write that fails is kept in tables, and then the answers of the whole group are void.
	apply func(*tables) (int64, error)
	done  chan outcome
}

type outcome struct {
	number int64
	err    error
}

// tables are the buckets within the transaction of one group.
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

// moveExpiry keeps the index in step with what is kept under key: from the expiry it had to the one it has; 0: none.
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

// submit gives a job to the writer and waits for its answer, or for the end of ctx. Then the job may still be done.
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

// write is the one goroutine that writes, until the queue is closed and empty.
func (d *DB) write() {
	defer close(d.ended)
	group := make([]*job, 0, maxGroup)
	outcomes := make([]outcome, maxGroup)
	for first := range d.queue {
		// Those just answered are about to ask again: let them, so that they share this transaction, not the next.
		runtime.Gosched()
		group = d.gather(append(group[:0], first))
		d.run(group, outcomes)
		for i, j := range group {
			j.done <- outcomes[i]
		}
		clear(group)
	}
}

// gather adds to group what waits in the queue.
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

// run does the jobs of group in one transaction and fills in the outcome of each.
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

// transact does the jobs of group in one transaction. An error is about all of them: none is known to be done.
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
		// After a failed sync nobody can say what the disk holds and what only the memory of the system does, so no
		// further transaction may build on it.
		d.broken = fmt.Errorf("bolt: a write to the file failed, open it anew: %w", err)
		return d.broken
	}
	return nil
}

// open finds the buckets, or makes them in a fresh file.
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
	t.outbox.FillPercent = 1 // it only ever grows at its end
	return t, nil
}

// sync brings the transaction to the disk.
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
