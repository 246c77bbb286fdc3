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
	handOnSize = 100 // records handed on at a time
	sweepEvery = time.Minute
	purgeEvery = time.Hour
)

// A watchedStore tells of commits.
type watchedStore struct {
	store.Store
	wake chan<- struct{}
}

// Commit implements store.Store. One that failed may have happened all the same. One that has begun is waited for, even
// when its caller waits no longer: it may still happen, and what it has to tell would lie there until the next commit.
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
	default: // it is awake
	}
	return err
}

// drain hands on what was committed before it was called.
func (s *Server) drain(ctx context.Context) error {
	return s.backend.Feed.Deliver(ctx, handOnSize, s.own.Publish)
}

// sweep announces what has ended, now and each minute of the machine's time.
func (s *Server) sweep(ctx context.Context) {
	for first := true; first || machine.Pause(ctx, sweepEvery); first = false {
		if _, err := sweepAll(ctx, s.own); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "the sweep failed; it will be run again", "error", err)
		}
		if err := s.publishKeys(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "the keys could not be published; it will be tried again", "error", err)
		}
	}
}

// sweepAll runs the sweep until nothing is left for it.
func sweepAll(ctx context.Context, service *mfa.Service) (announced int, err error) {
	for more := true; more; {
		done, err := service.Sweep(ctx)
		announced += done.Announced
		if err != nil {
			return announced, err
		}
		more = done.More
	}
	return announced, nil
}

// purge removes what has expired, now and then.
func (s *Server) purge(ctx context.Context) {
	if s.backend.Purge == nil {
		return
	}
	for first := true; first || machine.Pause(ctx, purgeEvery); first = false {
		if _, err := s.backend.Purge(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "what has expired could not be removed; it will be tried again", "error", err)
		}
	}
}
