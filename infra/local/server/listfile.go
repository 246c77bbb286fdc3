package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// A listFile is a file that things are added to at its end, and that is cleared now and then. Only its size is in memory.
// What append answered nil to is in the file, and outlives the process however it ends. Not everything that was added
// outlives a loss of power.
type listFile struct {
	mu      sync.RWMutex
	file    *os.File
	size    int64
	cleared int   // how often, so that a reader finds out
	broken  error // the file has a piece at its end that could not be taken back
}

// openListFile opens the file at path, or makes it, readable by its owner only.
func openListFile(path string) (*listFile, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	about, err := file.Stat()
	if err := errors.Join(err, file.Chmod(0o600)); err != nil {
		file.Close()
		return nil, err
	}
	return &listFile{file: file, size: about.Size()}, nil
}

// append adds b, whole or not at all, and answers where it begins.
func (f *listFile) append(b []byte) (at int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return 0, f.broken
	}
	if _, err := f.file.Write(b); err != nil {
		if back := f.file.Truncate(f.size); back != nil {
			f.broken = fmt.Errorf("%s can't be written: %w", f.file.Name(), errors.Join(err, back))
		}
		return 0, err
	}
	f.size += int64(len(b))
	return f.size - int64(len(b)), nil
}

// cut takes away what is behind size.
func (f *listFile) cut(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.file.Truncate(size); err != nil {
		return err
	}
	f.size = size
	return nil
}

// clear takes away everything.
func (f *listFile) clear() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.file.Truncate(0); err != nil {
		return err
	}
	f.size, f.broken = 0, nil
	f.cleared++
	return nil
}

func (f *listFile) close() error { return f.file.Close() }

// now is a reader of what the file has now, from its beginning.
func (f *listFile) now() *listReader {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return &listReader{f: f, end: f.size, cleared: f.cleared}
}

// A listReader reads what a file had at some moment. It ends early when the file is cleared. Nobody who adds to the file
// waits for whoever reads from it, but for one Read.
type listReader struct {
	f       *listFile
	at, end int64
	cleared int
}

// from is the same reader, at another place.
func (r *listReader) from(at int64) *listReader {
	return &listReader{f: r.f, at: at, end: r.end, cleared: r.cleared}
}

// Read implements io.Reader.
func (r *listReader) Read(p []byte) (int, error) {
	r.f.mu.RLock()
	defer r.f.mu.RUnlock()
	if r.at >= r.end || r.f.cleared != r.cleared {
		return 0, io.EOF
	}
	n, err := r.f.file.ReadAt(p[:min(int64(len(p)), r.end-r.at)], r.at)
	r.at += int64(n)
	return n, err
}
