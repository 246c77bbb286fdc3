package mfa

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"countersign/pkg/activity"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A Checkpointed says what a run of Checkpoint did.
type Checkpointed struct {
	Made int  `json:"made"` // how many checkpoints it has made
	More bool `json:"more"` // there is more to do than one run does
}

const (
	// checkpointEvery is how often the days of orgs that have been active today are looked at. An hour costs an org that is active all
	// day 24 checkpoints. What is filed and removed again within that time leaves no trace, if nothing was filed after it.
	checkpointEvery = time.Hour
	mostActive      = 2000 // active days that one run looks at, and as many queries
)

// Checkpoint signs which pages of activity there are. It makes a checkpoint of each day of an org in which something was filed since
// the last one, and puts it on the bus, so that others have it who can't change the activity. It goes through all days of orgs that
// have been active today, once an hour, and a last time when today is over. So an org that is not active costs nothing.
//
// A run goes on where the run before it has stopped. If several run at once, each checkpoint is made once.
func (s *Service) Checkpoint(ctx context.Context) (Checkpointed, error) {
	return s.checkpoint(ctx, mostActive)
}

func (s *Service) checkpoint(ctx context.Context, items int) (Checkpointed, error) {
	r := &checkpointing{s: s, log: s.activity(), now: s.Now().UTC(), left: items}
	first := r.now.Add(-firstLook).Truncate(24 * time.Hour)
	cursor := checkpointCursor{Day: first}
	item, err := s.readCursor(ctx, checkpointCursorKey, &cursor)
	if err != nil {
		return Checkpointed{}, fmt.Errorf("checkpoint: %w", err)
	}
	from := cursor
	if cursor.Day.After(r.now.Add(24 * time.Hour)) { // a clock that was ahead has moved it
		cursor = checkpointCursor{Day: first}
	}
	if err := r.run(ctx, &cursor); err != nil {
		return r.done, fmt.Errorf("checkpoint: %w", err)
	}
	if cursor.same(&from) && !item.Absent() {
		return r.done, nil
	}
	if err := s.putCursor(ctx, item, &cursor); err != nil {
		return r.done, fmt.Errorf("checkpoint: %w", err)
	}
	return r.done, nil
}

// A checkpointing is one run of Checkpoint.
type checkpointing struct {
	s    *Service
	log  *activity.Log
	now  time.Time // when it began
	left int       // how many active days it may still look at
	done Checkpointed
}

// run goes on from the cursor, and moves it to where the next run shall go on. A day is done when all of its list has been looked at
// by runs that began after nothing could be added to it any more.
func (r *checkpointing) run(ctx context.Context, cursor *checkpointCursor) error {
	for {
		complete := cursor.Day.Add(24*time.Hour + activity.FilingTime)
		if cursor.Since.IsZero() || r.now.Before(cursor.Since) {
			if ago := r.now.Sub(cursor.Passed); r.now.Before(complete) && ago >= 0 && ago < checkpointEvery {
				return nil
			}
			cursor.Since = r.now
		}
		if through, err := r.day(ctx, cursor); err != nil || !through {
			r.done.More = true
			return err
		}
		if !cursor.Since.Before(complete) {
			*cursor = checkpointCursor{Day: cursor.Day.Add(24 * time.Hour)}
			continue
		}
		*cursor = checkpointCursor{Day: cursor.Day, Passed: cursor.Since}
	}
}

// day goes on with the list of the cursor's day, and reports whether it came to the end.
func (r *checkpointing) day(ctx context.Context, cursor *checkpointCursor) (through bool, err error) {
	for ; cursor.Shard < activity.ActiveShards; cursor.Shard, cursor.After = cursor.Shard+1, "" {
		for more := true; more; {
			if r.left <= 0 {
				return false, nil
			}
			days, last, further, err := r.log.ActiveOn(ctx, cursor.Day, cursor.Shard, cursor.After, min(r.left, store.MaxLimit))
			if err != nil {
				return false, err
			}
			if err := r.all(ctx, days); err != nil {
				return false, err
			}
			r.left -= max(1, len(days))
			cursor.After, more = last, further
		}
	}
	return true, nil
}

// all makes the checkpoints of active days side by side.
func (r *checkpointing) all(ctx context.Context, days []activity.Active) error {
	if len(days) == 0 {
		return nil
	}
	ring, err := r.s.Keys.Ring(ctx)
	if err != nil {
		return fmt.Errorf("get the key ring: %w", err)
	}
	var made atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(dueAtOnce)
	for _, day := range days {
		g.Go(func() error {
			did, err := r.s.checkpointOf(ctx, ring, r.log, day)
			if did {
				made.Add(1)
			}
			return err
		})
	}
	err = g.Wait()
	r.done.Made += int(made.Load())
	return err
}

// checkpointOf makes the next checkpoint of an active day, if there is something new in it.
func (s *Service) checkpointOf(ctx context.Context, ring *seal.Ring, log *activity.Log, day activity.Active) (made bool, err error) {
	err = s.alone(ctx, func(u *unit) error {
		next, writes, err := log.PlanCheckpoint(ctx, day, u.now, ring.SignCheckpoint)
		u.writes = writes
		if made = next != nil; err != nil || !made {
			return err
		}
		u.event(pendingEvent{Event: activity.Event{Type: ActivityChecked, Org: day.Org, Actor: serviceActor, Data: map[string]any{
			"day": next.Day, "serial": next.Serial, "checkpoint": next.Signed,
		}}})
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("of %s: %w", day.Day, err)
	}
	return made, nil
}

// A checkpointCursor says where the next run of Checkpoint goes on.
type checkpointCursor struct {
	record.Head
	Day    time.Time `json:"day" record:"1"`    // the list of every day before this one is done
	Shard  int       `json:"shard" record:"2"`  // where in the list the run goes on
	After  string    `json:"after" record:"3"`  // the last entry of the shard that has been looked at; empty if none has
	Since  time.Time `json:"since" record:"4"`  // when the first of the runs began that have looked at a part of the list; zero between two passes
	Passed time.Time `json:"passed" record:"5"` // when the last pass through the whole list began; zero if there was none
}

func (c *checkpointCursor) same(as *checkpointCursor) bool {
	return c.Day.Equal(as.Day) && c.Shard == as.Shard && c.After == as.After && c.Since.Equal(as.Since) && c.Passed.Equal(as.Passed)
}

var checkpointCursorKey = store.Key{Partition: "sweep", Sort: "checkpoints"}

// ExportActivity writes all activity of an org that is still kept to to, with its checkpoints and the public keys that verify them: see
// activity.Log.Export. It needs only a store that it can read.
func (s *Service) ExportActivity(ctx context.Context, to io.Writer, org string) error {
	if err := checkID("org", org); err != nil {
		return err
	}
	jwks, err := PublishedKeys(ctx, s.Store)
	if err != nil {
		return err
	}
	return s.activity().Export(ctx, to, org, activity.Route(routeOf(org, "").org()), jwks)
}

// A VerifiedExport says what VerifyActivity has found.
type VerifiedExport struct {
	Org      string
	Exported time.Time // when the export began
	Keys     []string  // the ids of the keys that were trusted
	activity.Verified
}

// VerifyActivity reads an export of an org's activity, and goes through it: see activity.ReadExport and activity.Log.Verify. It needs
// no deployment, but an empty store with room for the export. The export says by which keys its checkpoints were signed. That proves
// something only if these keys are the deployment's: pass them as trusted, or compare the ids in the result with those that were
// published. If trusted is nil, the keys in the export are trusted. seen are checkpoints that were on the event bus.
func VerifyActivity(ctx context.Context, from io.Reader, scratch store.Store, now time.Time, trusted seal.CheckpointKeys, seen ...string) (VerifiedExport, error) {
	export, err := activity.ReadExport(ctx, from, scratch, now)
	if err != nil {
		return VerifiedExport{}, err
	}
	if export.Route != activity.Route(routeOf(export.Org, "").org()) {
		return VerifiedExport{}, fmt.Errorf("%w: the export is of another organisation than it says", activity.ErrBroken)
	}
	if trusted == nil {
		trusted = export.Keys
	}
	found := VerifiedExport{Org: export.Org, Exported: export.At, Keys: slices.Sorted(maps.Keys(trusted))}
	found.Verified, err = export.Log.Verify(ctx, export.Route, trusted, seen...)
	return found, err
}
