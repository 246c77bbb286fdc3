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

// maxFile is the greatest size of a key file in bytes.
const maxFile = 64 << 10

// Windows has neither permission bits nor folders that can be synced to disk.
const posix = runtime.GOOS != "windows"

// FileOptions say how to open a key file.
type FileOptions struct {
	// Now returns the time. It is required.
	Now func() time.Time
	// Create makes a new ring if there is no file. Set it only where there is no data yet: a new ring can't open what was
	// sealed under a ring that is missing.
	Create bool
}

// File is a Keeper that has its ring in a file, in the clear. It is for a deployment on one machine. The file has the mode
// 0600. It is always complete, and only Update replaces it.
type File struct {
	path string
	now  func() time.Time

	mu     sync.Mutex
	ring   *Ring
	sum    [sha256.Size]byte // the hash of the file from which ring was read
	loaded time.Time
}

// OpenFile reads the key file at path. If there is no file, it fails with fs.ErrNotExist, unless the options say that it may
// create the file. If several processes create it at the same time, all of them get the ring of the same file. OpenFile
// refuses a file that other users can read, and a file that is damaged. Its errors never have anything of the file's content.
func OpenFile(path string, options FileOptions) (*File, error) {
	if options.Now == nil {
		return nil, errors.New("seal: open the key file: the options have no clock")
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
		return nil, fmt.Errorf("seal: there is no key file at %s, and what was sealed under its keys can't be opened without it: restore the file (%w)", path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Ring returns the cached ring. If that is older than RingAge, it reads the file again.
func (f *File) Ring(ctx context.Context) (*Ring, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	age := f.now().Sub(f.loaded)
	if age >= 0 && age <= RingAge {
		return f.ring, nil
	}
	return f.reload(ctx)
}

// Reload reads the file again and returns its ring.
func (f *File) Reload(ctx context.Context) (*Ring, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reload(ctx)
}

// Update replaces the ring by the one that change returns, such as a rotated ring. It writes the file first. Only one process at
// a time can do that: it creates a file with the same name and ".next" at the end, which then becomes the key file. If a crash
// left such a file behind, Update fails until somebody removes it.
func (f *File) Update(ctx context.Context, change func(*Ring) (*Ring, error)) (*Ring, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	next := f.path + ".next"
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("seal: update the key file: another update has not ended yet; if no process is updating the file now, an earlier update was interrupted: remove %s", next)
	}
	if err != nil {
		return nil, fmt.Errorf("seal: update the key file: %w", err)
	}
	if err := f.prepare(file, change); err != nil {
		os.Remove(next)
		return nil, err
	}
	// From now on, the file next may belong to another process.
	if err := syncFolder(f.path); err != nil {
		return nil, fmt.Errorf("seal: update the key file: %w", err)
	}
	return f.reload(ctx)
}

// prepare reads the current ring and replaces it by the changed one. It reads the ring only now, when no other process can
// change it.
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

// load reads the file. If the file hasn't changed, it keeps the ring that it has.
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
		return nil, fmt.Errorf("%s has mode %04o, so other users can use it; a key file must have mode 0600 (if others have read it, its keys are no longer secret)", path, mode)
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

// create makes the key file, complete or not at all. If another process has made the file in the meantime, that file stays,
// because making a link doesn't replace a file as renaming does.
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
