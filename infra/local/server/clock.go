package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// mostAhead is how far the clock may be moved in all: far enough for anything that ends, and no overflow.
const mostAhead = 100 * 365 * 24 * time.Hour

// A clock is the machine's time and an offset that only grows. The offset is on the disk before it counts.
type clock struct {
	path string

	mu    sync.RWMutex
	ahead time.Duration
}

// load reads the offset from the disk, where there is one.
func (c *clock) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, err := os.ReadFile(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the clock: %w", err)
	}
	s, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || s < 0 || s > int64(mostAhead/time.Second) {
		return fmt.Errorf("read the clock: %s holds no number of seconds", c.path)
	}
	c.ahead = time.Duration(s) * time.Second
	return nil
}

// now is the server's time, in UTC.
func (c *clock) now() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return time.Now().UTC().Add(c.ahead)
}

var errTooFar = errors.New("the clock can't be moved that far")

// advance moves the clock by whole seconds, 0 or more.
func (c *clock) advance(seconds int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if seconds < 0 || seconds > int64((mostAhead-c.ahead)/time.Second) {
		return errTooFar
	}
	if seconds == 0 {
		return nil
	}
	ahead := c.ahead + time.Duration(seconds)*time.Second
	if err := replaceFile(c.path, strconv.FormatInt(int64(ahead/time.Second), 10)+"\n"); err != nil {
		return fmt.Errorf("keep the clock: %w", err)
	}
	c.ahead = ahead
	return nil
}

// replaceFile puts content at path, readable by its owner only, whole or not at all.
func replaceFile(path, content string) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if _, err := file.WriteString(content); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
