package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"countersign/infra/local/machine"
)

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
	if err != nil || s < 0 || s > machine.MostAhead {
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

// advance moves the clock by whole seconds, or answers machine.ErrTooFar.
func (c *clock) advance(seconds int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if seconds < 0 || seconds > machine.MostAhead-int64(c.ahead/time.Second) {
		return machine.ErrTooFar
	}
	if seconds == 0 {
		return nil
	}
	ahead := c.ahead + time.Duration(seconds)*time.Second
	if err := machine.ReplaceFile(c.path, strconv.FormatInt(int64(ahead/time.Second), 10)+"\n"); err != nil {
		return fmt.Errorf("keep the clock: %w", err)
	}
	c.ahead = ahead
	return nil
}
