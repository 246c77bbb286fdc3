package seal

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// maxFile bounds how much of a key file is read, in bytes.
const maxFile = 64 << 10

// Windows has neither permission bits nor folders that can be synced.
const posix = runtime.GOOS != "windows"

// FileOptions say how to open a key file.
type FileOptions struct {
	// Now gives the time. It is required.
	Now func() time.Time
	// Create makes a ring if there is no file. Set it only where no data is yet: a new ring opens nothing that was sealed
	// under the one that is missing.
	Create bool
}

// File is a keeper whose ring is in a file, in the clear, for a deployment on one machine. The file has mode 0600, is
// always whole, and is never replaced but by Update.
type File struct {
	path string
	now  func() time.Time

	mu     sync.Mutex
	ring   *Ring
	sum    [sha256.Size]byte // Of the file that ring was read from.
	loaded time.Time
}

// OpenFile reads the key file at path. A missing one is an error (fs.ErrNotExist) unless it may be created; when several
// processes create it at once, one of them does, and all get its ring. A file that others may read, or that is damaged,
// is refused. No error holds anything of the file's content.
func OpenFile(path string, options FileOptions) (*File, error) {
	if options.Now == nil {
		return nil, errors.New("seal: open the key file: no clock given")
	}
	f := &File{path: path, now: options.Now}
	err := f.load()
	if errors.Is(err, fs.ErrNotExist) && options.Create {
		if err := create(path, NewRing(f.now())); err != nil {
			return nil, fmt.Errorf("seal: create the key file: %w", err)
		}
		err = f.load()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("seal: no key file at %s; what was sealed under it can't be opened without it: restore it (%w)", path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Ring gives the cached ring, or reads the file again if that one is older than RingAge.
func (f *File) Ring(ctx context.Context) (*Ring, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	age := f.now().Sub(f.loaded)
	if age >= 0 && age <= RingAge {
		return f.ring, nil
	}
	return f.reload(ctx)
}

// Reload reads the file again.
func (f *File) Reload(ctx context.Context) (*Ring, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reload(ctx)
}

// Update replaces the ring by what change makes of it (a rotation, say), on disk first. Only one process at a time can:
// it holds the file's name with ".next" added, which becomes the file. If a crash left that behind, Update fails until it is removed.
func (f *File) Update(ctx context.Context, change func(*Ring) (*Ring, error)) (*Ring, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	next := f.path + ".next"
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("seal: update the key file: another update is under way; if none is, one was cut short: remove %s", next)
	}
	if err != nil {
		return nil, fmt.Errorf("seal: update the key file: %w", err)
	}
	if err := f.prepare(file, change); err != nil {
		os.Remove(next)
		return nil, err
	}
	// From here on the name next may be another process's.
	if err := syncFolder(f.path); err != nil {
		return nil, fmt.Errorf("seal: update the key file: %w", err)
	}
	return f.reload(ctx)
}

// prepare reads the current ring only now that no other process can change it, and leaves the changed one in its place.
func (f *File) prepare(file *os.File, change func(*Ring) (*Ring, error)) error {
	defer file.Close()
	if err := f.load(); err != nil {
		return err
	}
	changed, err := change(f.ring)
	if err != nil {
		return fmt.Errorf("seal: update the key file: %w", err)
	}
	if err := write(file, changed); err != nil {
		return fmt.Errorf("seal: update the key file: %w", err)
	}
	if err := os.Rename(file.Name(), f.path); err != nil {
		return fmt.Errorf("seal: update the key file: %w", err)
	}
	return nil
}

func (f *File) reload(ctx context.Context) (*Ring, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := f.load(); err != nil {
		return nil, err
	}
	return f.ring, nil
}

// load reads the file, and keeps the ring it has if nothing changed.
func (f *File) load() error {
	began := f.now()
	plain, err := read(f.path)
	if err != nil {
		return fmt.Errorf("seal: read the key file: %w", err)
	}
	sum := sha256.Sum256(plain)
	if f.ring == nil || f.sum != sum {
		ring, err := Unmarshal(NewSecret(string(plain)))
		if err != nil {
			return fmt.Errorf("%w (file %s)", err, f.path)
		}
		f.ring, f.sum = ring, sum
	}
	f.loaded = began
	return nil
}

func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	about, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !about.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if mode := about.Mode().Perm(); posix && mode&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, so others than its owner may use it; keys must have mode 0600 (and count as known if others read it)", path, mode)
	}
	plain, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(plain) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return plain, nil
}

// create puts the ring at path, whole or not at all. If there is a file meanwhile, that one stays: a link, unlike a rename,
// never replaces.
func create(path string, ring *Ring) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := write(file, ring); err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(path)
}

func write(file *os.File, ring *Ring) error {
	if _, err := file.WriteString(ring.Marshal().Reveal()); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return file.Close()
}

func syncFolder(path string) error {
	if !posix {
		return nil
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
