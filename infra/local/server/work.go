package server

import (
	"context"
	"errors"
	"time"

	"countersign/infra/local/machine"
	"countersign/pkg/mfa"
	"countersign/pkg/store"
)

const (
	handOnSize = 100 // how many records are published at a time
	sweepEvery = time.Minute
	purgeEvery = time.Hour
)

// A watchedStore sends a value to wake after every commit.
type watchedStore struct {
	store.Store
	wake chan<- struct{}
}

// Commit implements store.Store. It also wakes after a failed commit, because the commit may have been done all the same. It
// waits for the commit even if its caller has gone away, because otherwise the events of that commit would wait until the next
// one.
func (w watchedStore) Commit(ctx context.Context, token store.Version, writes ...store.Write) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := w.Store.Commit(context.WithoutCancel(ctx), token, writes...)
	if errors.Is(err, store.ErrConflict) {
		return err
	}
	select {
	case w.wake <- struct{}{}:
	default: // a value waits there already
	}
	return err
}

// drain publishes the events of everything that was committed before it was called. If a policy has signed users out, it tells of
// them, too.
func (s *Server) drain(ctx context.Context) error {
	s.draining.Lock()
	defer s.draining.Unlock()
	for {
		if err := s.backend.Feed.Deliver(ctx, handOnSize, s.own.Publish); err != nil {
			return err
		}
		if !s.fanOut.Swap(false) {
			return nil
		}
		more, err := s.own.FanOut(ctx)
		if err != nil || more {
			s.fanOut.Store(true)
		}
		if err != nil {
			return err
		}
	}
}

// sweep runs the sweep now and every minute of the machine's time. It also publishes the keys.
func (s *Server) sweep(ctx context.Context) {
	for first := true; first || machine.Pause(ctx, sweepEvery); first = false {
		if _, err := sweepAll(ctx, s.own); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "the sweep failed and will be run again", "error", err)
		}
		if err := s.publishKeys(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "the keys could not be published and will be tried again", "error", err)
		}
	}
}

// sweepAll runs the sweep until it has nothing left to do, and makes the checkpoints of the activity that are due. It returns how many
// expired browsers it has announced.
func sweepAll(ctx context.Context, service *mfa.Service) (announced int, err error) {
	for more := true; more; {
		done, err := service.Sweep(ctx)
		announced += done.Announced
		if err != nil {
			return announced, err
		}
		more = done.More
	}
	for more := true; more; {
		done, err := service.Checkpoint(ctx)
		if err != nil {
			return announced, err
		}
		more = done.More
	}
	return announced, nil
}

// purge removes expired items now and every hour.
func (s *Server) purge(ctx context.Context) {
	if s.backend.Purge == nil {
		return
	}
	for first := true; first || machine.Pause(ctx, purgeEvery); first = false {
		if _, err := s.backend.Purge(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "expired items could not be removed and will be tried again", "error", err)
		}
	}
}
