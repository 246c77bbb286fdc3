package mfa

import (
	"context"
	"fmt"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// sweptWithin is how long ago the hour that the sweep has come to may have ended. The sweep should run every 15 minutes, and
// one run may fail.
const sweptWithin = 30 * time.Minute

// A SweepStatus says how far the sweep of a deployment has come.
type SweepStatus struct {
	Hour  time.Time // every hour before it is done; zero if the sweep has never run
	Late  bool      // the sweep should have come further by now
	Ahead bool      // the hour is still to come, because a clock that was ahead has moved the sweep there
}

// StatusOfSweep reads how far the sweep has come in the deployment whose table is from. It fails with record.ErrUnreadable
// if a run of the sweep couldn't read it either.
func StatusOfSweep(ctx context.Context, from store.Store, now time.Time) (SweepStatus, error) {
	item, err := store.GetOne(ctx, from, sweepCursorKey)
	if err != nil {
		return SweepStatus{}, fmt.Errorf("read how far the sweep has come: %w", err)
	}
	if item.Absent() {
		return SweepStatus{}, nil
	}
	var cursor sweepCursor
	if err := record.Decode(item, &cursor); err != nil {
		return SweepStatus{}, err
	}
	return SweepStatus{
		Hour: cursor.Hour, Late: cursor.Hour.Before(now.Add(-sweptWithin).Truncate(time.Hour)), Ahead: cursor.Hour.After(now),
	}, nil
}
