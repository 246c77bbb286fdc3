// Package bolt keeps a store in one file, with bbolt. It is for the service on one machine.
//
// A caller is told only what is on the disk: a call that writes returns only after the transaction that has its writes was synced
// to disk. Calls that arrive together share one transaction and its sync, which is called group commit. If one of them conflicts,
// only that one returns a conflict. Reads run at the same time as writes, and see only whole transactions. A read may see a
// transaction just before its sync has ended. So what a read has seen survives the end of the process, but it may be lost if the
// power fails at that moment.
//
// The package doesn't share its file with another process. It doesn't go on after a write to the file has failed, and it doesn't
// open files that it hasn't made.
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
	// ErrInUse means that the file is locked, by another process or by another DB of this process.
	ErrInUse = errors.New("bolt: the file is in use")
	// errClosed means that a method was called after Close.
	errClosed = errors.New("bolt: the store is closed")
)

const (
	lockWait = time.Second // how long Open waits for the lock, because a process that is restarted may still be ending
	format   = "1"         // of the whole file, with its buckets, keys and values
)

// These are the buckets of a file. A file that has the bucket "format" was made by this package.
var (
	bucketFormat = []byte("format") // formatKey: format
	bucketItems  = []byte("items")  // key: expiry, version, body
	bucketCounts = []byte("counts") // key: expiry, number
	bucketExpiry = []byte("expiry") // expiry, kind, key: nothing; there is one for each item or count that can expire
	bucketOutbox = []byte("outbox") // sequence: key, version, events
	formatKey    = []byte("format")
)

// Options say how a file is opened.
type Options struct {
	Now func() time.Time // returns the time; it is required
}

// A DB is a store in one file, and the feed of that store. Its methods may be called from many goroutines at the same time.
type DB struct {
	now   func() time.Time
	file  *bbolt.DB
	queue chan *job     // to the writer
	ended chan struct{} // closed when the writer has ended
	turn  chan struct{} // has one value while a Deliver runs

	mu      sync.Mutex
	closed  bool
	closing chan struct{} // closed by Close, so that nobody waits any longer
	active  sync.WaitGroup
	closeDB func() error // ends the writer and closes the file, once

	// Only the writer uses these.
	fresh  bool  // the file has no buckets yet
	broken error // a write to the file has failed, so nobody knows what the file has until it is opened again
}

var (
	_ store.Store  = (*DB)(nil)
	_ store.Feed   = (*DB)(nil)
	_ store.Holder = (*DB)(nil)
)

// Open opens the file at path. If there is none, it makes one that only its owner can read. It fails with ErrInUse if somebody
// else has opened the file.
func Open(path string, options Options) (*DB, error) {
	if options.Now == nil {
		return nil, errors.New("bolt: open without Options.Now")
	}
	file, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: lockWait,
		// The list of free pages is not written. It is made again from the pages when the file is opened, which takes about a
		// second for each gigabyte. If it were written, each transaction would write all of it, and after a large Purge a commit
		// would cost several times as much. All that the list says can be found in the pages, so nothing can be lost.
		NoFreelistSync: true,
		// The other type, an array, is searched from its start. That is slow here, because every transaction frees some pages.
		FreelistType: bbolt.FreelistMapType,
		// When a file grows beyond its mapping, it is mapped again. That waits for all reads and syncs the file once more. So
		// the first mapping is as large as the steps by which bbolt lets a file grow. It takes address space and no memory,
		// and the file is sparse. Only on Windows does bbolt make the file as large as the mapping, so it isn't larger still.
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

// isFresh reports whether there is nothing in the file yet. It fails if the file was not made by this package.
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

// Close waits for the calls that have begun, also for those whose callers don't wait for them any longer, and closes the file. Calls
// that begin later fail. A Deliver that has more to hand on fails, too.
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

// enter counts a call for which Close must wait. The call must call d.active.Done at its end.
func (d *DB) enter() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed
	}
	d.active.Add(1)
	return nil
}

// syncDirectory makes sure that the name of the file is on the disk, as its content is.
func (d *DB) syncDirectory() error {
	if runtime.GOOS == "windows" {
		return nil // Windows has no such call, and keeps the names without it
	}
	dir, err := os.Open(filepath.Dir(d.file.Path()))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
