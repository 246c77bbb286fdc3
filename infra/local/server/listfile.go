package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// A listFile is a file to which entries are appended, and which can be cleared. Only its size is in memory. When append has
// succeeded, the entry stays in the file however the process ends. It may be lost when the machine loses power.
type listFile struct {
	mu      sync.RWMutex
	file    *os.File
	size    int64
	cleared int   // how often the file was cleared; a reader notices it by this
	broken  error // set if a part of an entry is at the end of the file and could not be removed
}

// openListFile opens the file at path. If there is none, it creates one. Only the owner can read the file.
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

// append appends b, completely or not at all. It returns the place where b begins.
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

// cut removes everything after the first size bytes.
func (f *listFile) cut(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.file.Truncate(size); err != nil {
		return err
	}
	f.size = size
	return nil
}

// clear removes everything.
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

// now returns a reader of what the file has now, from the beginning.
func (f *listFile) now() *listReader {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return &listReader{f: f, end: f.size, cleared: f.cleared}
}

// A listReader reads what a file had at some moment. It ends early if the file is cleared. A call that appends to the file waits
// at most for one Read.
type listReader struct {
	f       *listFile
	at, end int64
	cleared int
}

// from returns the same reader at another place.
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
