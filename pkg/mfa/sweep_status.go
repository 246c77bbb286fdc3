package mfa

import (
	"context"
	"fmt"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// sweptWithin is how far back the hour that the sweep has come to may end: it is to be run every 15 minutes, and may fail
// once.
const sweptWithin = 30 * time.Minute

// A SweepStatus says how far the sweep of a deployment has come.
type SweepStatus struct {
	Hour  time.Time // every hour before it is done; zero: the sweep has never run
	Late  bool      // the sweep should have come further by now
	Ahead bool      // the hour is still to come: a clock that was ahead has moved the sweep there
}

// StatusOfSweep looks at how far the sweep has come in the deployment whose table is from. It fails with
// record.ErrUnreadable where no run of the sweep could tell either.
func StatusOfSweep(ctx context.Context, from store.Store, now time.Time) (SweepStatus, error) {
	item, err := store.GetOne(ctx, from, sweepCursorKey)
	if err != nil {
		return SweepStatus{}, fmt.Errorf("read how far the sweep has come: %w", err)
	}
	if item.Absent() {
		return SweepStatus{}, nil
	}
	var m sweepCursor
	if err := record.Decode(item, &m); err != nil {
		return SweepStatus{}, err
	}
	return SweepStatus{
		Hour: m.Hour, Late: m.Hour.Before(now.Add(-sweptWithin).Truncate(time.Hour)), Ahead: m.Hour.After(now),
	}, nil
}
