package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// A journal is a list in a file, one JSON value a line, read whole when it is opened and added to from then on. What add
// answered nil to is in the file, and outlives the process however it ends. Not every entry outlives a loss of power.
type journal[T any] struct {
	mu      sync.RWMutex
	file    *os.File
	size    int64
	entries []T
	broken  error // the file has a piece of a line that could not be taken back
}

// openJournal reads the file at path, or makes it, readable by its owner only. A last line that was cut short is dropped:
// whoever wrote it was never told that it was there.
func openJournal[T any](path string) (*journal[T], error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal[T]{file: file}
	if err := errors.Join(file.Chmod(0o600), j.load()); err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return j, nil
}

func (j *journal[T]) load() error {
	content, err := io.ReadAll(j.file)
	if err != nil {
		return err
	}
	whole := content[:bytes.LastIndexByte(content, '\n')+1]
	for number, line := range bytes.Split(bytes.TrimSuffix(whole, []byte("\n")), []byte("\n")) {
		if len(whole) == 0 {
			break
		}
		var entry T
		if err := json.Unmarshal(line, &entry); err != nil {
			return fmt.Errorf("line %d is not one of this server's", number+1)
		}
		j.entries = append(j.entries, entry)
	}
	j.size = int64(len(whole))
	return j.file.Truncate(j.size)
}

// add puts entries at the end, all or none.
func (j *journal[T]) add(entries ...T) error {
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	encoder.SetEscapeHTML(false)
	for _, e := range entries {
		if err := encoder.Encode(e); err != nil {
			return err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return j.broken
	}
	if _, err := j.file.Write(lines.Bytes()); err != nil {
		if back := j.file.Truncate(j.size); back != nil {
			j.broken = fmt.Errorf("%s can't be written: %w", j.file.Name(), errors.Join(err, back))
		}
		return err
	}
	j.size += int64(lines.Len())
	j.entries = append(j.entries, entries...)
	return nil
}

// all is every entry, oldest first. The caller doesn't change it.
func (j *journal[T]) all() []T {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.entries[:len(j.entries):len(j.entries)]
}

// clear forgets all entries.
func (j *journal[T]) clear() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.file.Truncate(0); err != nil {
		return err
	}
	j.size, j.entries, j.broken = 0, nil, nil
	return nil
}

func (j *journal[T]) close() error { return j.file.Close() }
