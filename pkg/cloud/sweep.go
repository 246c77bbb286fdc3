package cloud

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/pkg/mfa"
)

// sweepMargin is the time before the end of a run in which the run begins no more work. It is enough for one batch of the sweep.
const sweepMargin = 5 * time.Second

// A KeyTender looks after the key ring of a deployment.
type KeyTender interface {
	// Tend does what is due for the ring, and reports whether it has changed the ring.
	Tend(ctx context.Context) (changed bool, err error)
	// Rotated returns when the ring got its newest keys. It is zero if there is no ring yet.
	Rotated(ctx context.Context) (time.Time, error)
}

// Sweep makes the job of the function sweep. It runs the sweep of s for as long as there is more to do and time to do it, and makes
// checkpoints of the activity in the same way. Then it lets keys do what is due for the key ring. If one of the three fails, the
// others are done all the same. A run in which neither the sweep nor the checkpoints failed is counted in the metrics, and each run
// measures how old the ring's newest keys are.
func (d *Deployment) Sweep(s *mfa.Service, keys KeyTender) Job {
	return func(ctx context.Context) error {
		swept := d.sweep(ctx, s)
		if swept != nil {
			swept = fmt.Errorf("sweep: %w", swept)
		}
		swept = errors.Join(swept, d.checkpoint(ctx, s))
		changed, err := keys.Tend(ctx)
		if err != nil {
			err = fmt.Errorf("tend the key ring: %w", err)
		}
		if changed {
			d.log.InfoContext(ctx, "the key ring was changed")
		}
		rotated, unread := keys.Rotated(ctx)
		if unread != nil {
			unread = fmt.Errorf("look at the key ring: %w", unread)
		}
		d.countRun(swept == nil, rotated)
		return errors.Join(swept, err, unread)
	}
}

func (d *Deployment) sweep(ctx context.Context, s *mfa.Service) error {
	announced := 0
	for {
		done, err := s.Sweep(ctx)
		announced += done.Announced
		if err != nil {
			return err
		}
		if !done.More || !d.timeLeft(ctx) {
			d.log.InfoContext(ctx, "swept", "announced", announced, "more", done.More)
			return nil
		}
	}
}

func (d *Deployment) checkpoint(ctx context.Context, s *mfa.Service) error {
	made := 0
	for {
		done, err := s.Checkpoint(ctx)
		made += done.Made
		if err != nil {
			return err
		}
		if !done.More || !d.timeLeft(ctx) {
			d.log.InfoContext(ctx, "checkpoints made", "made", made, "more", done.More)
			return nil
		}
	}
}

// timeLeft reports whether a run may begin more work.
func (d *Deployment) timeLeft(ctx context.Context) bool {
	end, ok := ctx.Deadline()
	return ctx.Err() == nil && (!ok || end.Sub(d.wall()) > sweepMargin)
}
