// Package bolt is a store in one file, for the service on one machine: package store over bbolt.
//
// What a caller was told is on the disk: a call that writes answers only after the transaction that holds its writes has
// been synced. Calls that arrive together share one transaction and its sync (group commit); a conflict is the answer of
// one of them and no concern of the others. Reads run beside the writes and see whole transactions only. A read may see
// a transaction in the moment before its sync is through, so what a read saw survives the end of the process, but not
// surely a loss of power in that very moment.
//
// It refuses to share its file with another process, to write on after a write to the file has failed, and to read
// files that are not its own.
package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"countersign/pkg/store"
)

var (
	// ErrInUse means that Open found the file locked, by another process or by a DB of this one.
	ErrInUse = errors.New("bolt: the file is in use")
	// errClosed says that a method was called after Close.
	errClosed = errors.New("bolt: the store is closed")
)

const (
	lockWait = time.Second // how long Open waits for the lock, so that a restart may overlap with the end before it
	format   = "1"         // of the file as a whole: buckets, keys and values
)

// The buckets of a file. Only "format" tells that a file is ours.
var (
	bucketFormat = []byte("format") // formatKey: format
	bucketItems  = []byte("items")  // key: expiry, version, body
	bucketCounts = []byte("counts") // key: expiry, number
	bucketExpiry = []byte("expiry") // expiry, kind, key: nothing; exactly one for each item or count that can expire
	bucketOutbox = []byte("outbox") // sequence: key, version, events
	formatKey    = []byte("format")
)

// Options say how a file is opened.
type Options struct {
	Now func() time.Time // the time; needed
}

// A DB is a store in one file, and its feed. Its methods may be called from many goroutines.
type DB struct {
	now   func() time.Time
	file  *bbolt.DB
	queue chan *job     // to the writer
	ended chan struct{} // closed when the writer has ended
	turn  chan struct{} // holds one value while a Deliver is under way

	mu      sync.Mutex
	closed  bool
	closing chan struct{} // closed by Close, for those who wait
	active  sync.WaitGroup
	closeDB func() error // ends the writer and closes the file, once

	// The writer's own.
	fresh  bool  // the file has no buckets yet
	broken error // a write to the file failed; what it holds is in doubt until it is opened anew
}

var (
	_ store.Store  = (*DB)(nil)
	_ store.Feed   = (*DB)(nil)
	_ store.Holder = (*DB)(nil)
)

// Open opens the file at path, or makes it, readable by its owner only. It answers ErrInUse if somebody else has it open.
func Open(path string, options Options) (*DB, error) {
	if options.Now == nil {
		return nil, errors.New("bolt: open without Options.Now")
	}
	file, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: lockWait,
		// The list of free pages is rebuilt when the file is opened, by going through its pages once (about a second for
		// each gigabyte), instead of being written whole with each transaction, which after a large Purge makes a commit
		// cost several times as much. It says nothing that the pages don't, so nothing less is durable.
		NoFreelistSync: true,
		// The array would be searched from its start, and this file has many free pages: every transaction frees some.
		FreelistType: bbolt.FreelistMapType,
		// A file that outgrows its mapping is mapped anew, which waits for all reads, and is synced once more. So the
		// first mapping is as large as bbolt's own step of growth. It takes address space, not memory, and the file is
		// sparse (not on Windows, where bbolt makes it as large as the mapping, hence no larger).
		InitialMmapSize: 16 << 20,
		NoStatistics:    true,
	})
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%w: %s", ErrInUse, path)
	}
	if err != nil {
		return nil, fmt.Errorf("bolt: open %s: %w", path, err)
	}
	fresh, err := isFresh(file)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bolt: open %s: %w", path, err), file.Close())
	}
	d := &DB{
		now:     options.Now,
		file:    file,
		queue:   make(chan *job, maxGroup),
		ended:   make(chan struct{}),
		turn:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		fresh:   fresh,
	}
	d.closeDB = sync.OnceValue(func() error {
		close(d.queue)
		<-d.ended
		return d.file.Close()
	})
	go d.write()
	return d, nil
}

// isFresh tells a file that has nothing in it from one that is ours. Any other is an error.
func isFresh(file *bbolt.DB) (fresh bool, err error) {
	err = file.View(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(bucketFormat)
		if bucket == nil {
			if name, _ := tx.Cursor().First(); name != nil {
				return errors.New("not a file of Countersign")
			}
			fresh = true
			return nil
		}
		if got := string(bucket.Get(formatKey)); got != format {
			return fmt.Errorf("a file of format %q, want %q", got, format)
		}
		return nil
	})
	return fresh, err
}

// Close waits for the calls that are under way, among them those whose callers have stopped waiting, and closes the file.
// Later calls fail, and so does a Deliver that has more to hand on.
func (d *DB) Close() error {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		close(d.closing)
	}
	d.mu.Unlock()
	d.active.Wait()
	if err := d.closeDB(); err != nil {
		return fmt.Errorf("bolt: close: %w", err)
	}
	return nil
}

// enter notes a call that Close must wait for; d.active.Done ends it.
func (d *DB) enter() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed
	}
	d.active.Add(1)
	return nil
}

// syncDirectory makes the name of the file as durable as what is in it.
func (d *DB) syncDirectory() error {
	if runtime.GOOS == "windows" {
		return nil // has no such call, and keeps names by itself
	}
	dir, err := os.Open(filepath.Dir(d.file.Path()))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
