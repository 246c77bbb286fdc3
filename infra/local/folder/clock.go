package folder

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

// A Clock shows the machine's time plus an offset that only grows. A new offset is on the disk before the clock uses it. A Clock
// is safe for concurrent use.
type Clock struct {
	path string
	wall func() time.Time

	mu    sync.RWMutex
	ahead time.Duration
}

// Load reads the offset from the disk. If there is no file, the offset stays as it is.
func (c *Clock) Load() error {
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
		return fmt.Errorf("read the clock: %s must have a number of seconds from 0 to %d: restore its earlier content", c.path, machine.MostAhead)
	}
	c.ahead = time.Duration(s) * time.Second
	return nil
}

// Now returns the time of the folder's clock, in UTC.
func (c *Clock) Now() time.Time { return c.wall().UTC().Add(c.Ahead()) }

// Ahead returns by how much this clock is ahead of the machine's. It is a whole number of seconds.
func (c *Clock) Ahead() time.Duration {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.ahead
}

// Advance moves the clock forward by some seconds. It fails with machine.ErrTooFar if seconds is negative, or if the clock would
// be too far ahead.
func (c *Clock) Advance(seconds int64) error {
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
