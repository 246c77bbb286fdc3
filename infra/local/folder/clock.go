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

// A Clock is the machine's time and an offset that only grows. The offset is on the disk before it counts. It is safe for
// concurrent use.
type Clock struct {
	path string
	wall func() time.Time

	mu    sync.RWMutex
	ahead time.Duration
}

// Load reads the offset from the disk, where there is one.
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
		return fmt.Errorf("read the clock: %s must hold a number of seconds from 0 to %d: put back what it held", c.path, machine.MostAhead)
	}
	c.ahead = time.Duration(s) * time.Second
	return nil
}

// Now is the folder's time, in UTC.
func (c *Clock) Now() time.Time { return c.wall().UTC().Add(c.Ahead()) }

// Ahead is how far the clock is ahead of the machine's, in whole seconds.
func (c *Clock) Ahead() time.Duration {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.ahead
}

// Advance moves the clock by whole seconds, or answers machine.ErrTooFar.
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
