package cloud

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/pkg/mfa"
)

// sweepMargin is how long before its end a run begins no more work: less than that a batch of it never takes.
const sweepMargin = 5 * time.Second

// Sweep makes the job of the function sweep. It runs the sweep of s for as long as there is more to do and time to do it, and
// then tend, which does what the key ring needs. If one of them fails, the other is done all the same.
func (d *Deployment) Sweep(s *mfa.Service, tend func(context.Context) (changed bool, err error)) Job {
	return func(ctx context.Context) error {
		swept := d.sweep(ctx, s)
		if swept != nil {
			swept = fmt.Errorf("sweep: %w", swept)
		}
		changed, err := tend(ctx)
		if err != nil {
			err = fmt.Errorf("tend the key ring: %w", err)
		}
		if changed {
			d.log.InfoContext(ctx, "the key ring was changed")
		}
		return errors.Join(swept, err)
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

// timeLeft reports whether a run may begin more work.
func (d *Deployment) timeLeft(ctx context.Context) bool {
	end, ok := ctx.Deadline()
	return ctx.Err() == nil && (!ok || end.Sub(d.wall()) > sweepMargin)
}
