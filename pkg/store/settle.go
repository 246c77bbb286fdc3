package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// settleTries is how often Settle commits.
const settleTries = 3

// Settle commits, and asks again with the same token where the answer was lost, so that what was done is not done twice.
// It gives up, with the last error, after three commits or when ctx ends. Before a commit is made again it waits for as
// long as pause says (nil: Backoff), which is called with try 1 the first time.
func Settle(ctx context.Context, s Store, pause func(try int) time.Duration, token Version, writes ...Write) error {
	if pause == nil {
		pause = Backoff
	}
	for try := 1; ; try++ {
		err := s.Commit(ctx, token, writes...)
		switch {
		case err == nil, errors.Is(err, ErrConflict), errors.Is(err, ErrInvalid), ctx.Err() != nil, try == settleTries:
			return err
		}
		if err := Wait(ctx, pause(try)); err != nil {
			return err
		}
	}
}

// Backoff is how long a call that lost a race, or whose answer was lost, waits before it is made again, the first time
// with try 1: some milliseconds, random, and longer with each try up to 128 ms.
func Backoff(try int) time.Duration { return rand.N(2 * time.Millisecond << min(try, 6)) }

// Wait returns after d, or with the error of ctx when that ends first.
func Wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
