package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// settleTries is how often Settle commits at most.
const settleTries = 3

// Settle commits. If the answer was lost, it commits again with the same token, so that nothing is done twice. After three tries,
// or when ctx ends, it returns the last error. Before each further try it waits for as long as pause says. pause is called with
// try 1 the first time. If pause is nil, Backoff is used.
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

// Backoff returns how long to wait before a call is made again that lost a race, or whose answer was lost. The first time, try is
// 1. The wait is random: at most 4 ms at first, then up to twice as long with each try, and never longer than 128 ms.
func Backoff(try int) time.Duration { return rand.N(2 * time.Millisecond << min(try, 6)) }

// Wait returns after d. If ctx ends before that, it returns the error of ctx.
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
