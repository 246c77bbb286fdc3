package mfa

import "context"

// SweepAtMost is Sweep with other bounds on one run.
func (s *Service) SweepAtMost(ctx context.Context, items, hours int) (Swept, error) {
	return s.sweep(ctx, items, hours)
}
