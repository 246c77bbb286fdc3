package mfa

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A Swept says what a run of the sweep did.
type Swept struct {
	Announced int  `json:"announced"` // how many ends of trust it has announced
	More      bool `json:"more"`      // there is more to do than one run does
}

// What one run does at most, which is a few seconds of work. If a clock has jumped, or the schedule was off, several runs
// catch up.
const (
	mostDue   = 2000 // expiry entries that it looks at, and as many queries
	mostHours = 200
	dueAtOnce = 16 // expiry entries that it looks at side by side
)

// firstLook is how far back a run begins that has no cursor to go on from.
const firstLook = 48 * time.Hour

// Sweep announces trusted browsers that have ended by themselves, and tells users what has waited for room. It announces
// each end once, however often it runs, what runs beside it, and wherever it is cut off. No sign-in depends on it. It looks
// at the expiry entries, hour by hour from its cursor.
//
// An hour is done when all of it has been looked at by runs that began after it was over. Until then the sweep goes through
// it again, and finds in the entries what it has announced. Nothing is put into an hour that is done: trust is granted for a
// day at least, so the cursor would have to be a day ahead of the clock that grants it. If a clock that was ahead has moved
// the cursor, a run by the right clock begins anew.
//
// It also carries on the erasures of orgs that were begun, and what saves of policies have left to tell (see FanOut), and counts
// the users of all orgs once a day. If one of these fails, the others are done all the same.
func (s *Service) Sweep(ctx context.Context) (Swept, error) {
	untold, fanOut := s.FanOut(ctx)
	done, err := s.sweep(ctx, mostDue, mostHours)
	erasing, failed := s.eraseOrgs(ctx)
	counting, uncounted := s.countDay(ctx)
	done.More = done.More || untold || erasing || counting
	return done, errors.Join(fanOut, err, failed, uncounted)
}

func (s *Service) sweep(ctx context.Context, items, hours int) (Swept, error) {
	r := &sweeping{s: s, now: s.Now().UTC(), left: items}
	first := r.now.Add(-firstLook).Truncate(time.Hour)
	cursor := sweepCursor{Hour: first}
	item, err := s.readCursor(ctx, sweepCursorKey, &cursor)
	if err != nil {
		return Swept{}, fmt.Errorf("sweep: %w", err)
	}
	from := cursor
	if cursor.Hour.After(r.now.Add(time.Hour)) {
		cursor = sweepCursor{Hour: first}
	}
	if err := r.run(ctx, &cursor, hours); err != nil {
		return r.done, fmt.Errorf("sweep of %s: %w", cursor.Hour.Format(time.RFC3339), err)
	}
	if cursor.same(&from) && !item.Absent() {
		return r.done, nil
	}
	if err := s.putCursor(ctx, item, &cursor); err != nil {
		return r.done, fmt.Errorf("sweep: %w", err)
	}
	return r.done, nil
}

// readCursor reads where the run before has stopped. If there was none, cursor stays as it is.
func (s *Service) readCursor(ctx context.Context, at store.Key, cursor record.Record) (store.Item, error) {
	item, err := store.GetOne(ctx, s.Store, at)
	if err != nil || item.Absent() {
		return item, err
	}
	return item, record.Decode(item, cursor)
}

// putCursor puts where the next run goes on. A run beside this one may have moved the cursor. Both have been as far as they say, so
// it doesn't matter which cursor stays.
func (s *Service) putCursor(ctx context.Context, item store.Item, cursor record.Record) error {
	u := &unit{s: s}
	u.begin(nil)
	u.put(item, cursor, time.Time{})
	if err := u.commit(ctx); err != nil && !isConflict(err) {
		return err
	}
	return nil
}

// A sweeping is one run of the sweep.
type sweeping struct {
	s    *Service
	now  time.Time // when it began, which is the moment at which it judges everything
	left int       // how many expiry entries it may still look at
	done Swept
}

// run goes on from the cursor, and moves it to where the next run shall go on.
func (r *sweeping) run(ctx context.Context, cursor *sweepCursor, hours int) error {
	for ; ; hours-- {
		if hours == 0 {
			r.done.More = true
			return nil
		}
		if cursor.Since.IsZero() || r.now.Before(cursor.Since) {
			cursor.Since = r.now
		}
		if through, err := r.hour(ctx, cursor); err != nil || !through {
			r.done.More = true
			return err
		}
		over := cursor.Hour.Add(time.Hour)
		switch {
		case !cursor.Since.Before(over):
			*cursor = sweepCursor{Hour: over}
		case r.now.Before(over):
			*cursor = sweepCursor{Hour: cursor.Hour} // the next run goes through it again, since it isn't over
			return nil
		default:
			*cursor = sweepCursor{Hour: cursor.Hour} // some of it was looked at before it was over
		}
	}
}

// hour goes on with the cursor's hour, and reports whether it came to the end.
func (r *sweeping) hour(ctx context.Context, cursor *sweepCursor) (through bool, err error) {
	for ; cursor.Shard < expiryShards; cursor.Shard, cursor.After = cursor.Shard+1, "" {
		for more := true; more; {
			if r.left <= 0 {
				return false, nil
			}
			page, err := r.s.Store.Query(ctx, store.Query{
				Partition: expiryPartition(cursor.Hour, cursor.Shard), After: cursor.After, Limit: min(r.left, store.MaxLimit),
			})
			if err != nil {
				return false, err
			}
			if err := r.announceAll(ctx, page.Items); err != nil {
				return false, err
			}
			r.left -= max(1, len(page.Items))
			cursor.After, more = page.Last, page.More
		}
	}
	return true, nil
}

// announceAll looks at expiry entries side by side.
func (r *sweeping) announceAll(ctx context.Context, items []store.Item) error {
	var announced atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(dueAtOnce)
	for _, item := range items {
		g.Go(func() error {
			n, err := r.s.announce(ctx, item, r.now)
			announced.Add(int64(n))
			return err
		})
	}
	err := g.Wait()
	r.done.Announced += int(announced.Load())
	return err
}

// announce records the end of one trusted browser, unless it was announced already or trust was ended before its time, also by a
// restore. Of
// several runs at once, only the one whose conditional write succeeds announces it.
func (s *Service) announce(ctx context.Context, item store.Item, now time.Time) (int, error) {
	var d expiryEntry
	if err := record.Decode(item, &d); err != nil {
		return 0, err
	}
	if d.Announced || now.Before(d.Due) {
		return 0, nil
	}
	r := route(d.Route)
	if d.Notices {
		return 0, s.sumUpDue(ctx, r)
	}
	if d.Reset {
		return s.resetDue(ctx, r)
	}
	var guardItem, browserItem store.Item
	var p *orgPolicy
	if err := readAll(ctx, s.Store, readItem(guardKey(r), &guardItem), readItem(browserKey(r, d.Browser), &browserItem), readPolicy(r, "", &p)); err != nil {
		return 0, err
	}
	if guardItem.Absent() || browserItem.Absent() {
		return 0, nil
	}
	var g guard
	var b browser
	if err := errors.Join(record.Decode(guardItem, &g), record.Decode(browserItem, &b)); err != nil {
		return 0, err
	}
	ended, taken := b.expiry(p)
	if g.browserEpoch() != d.Epoch || taken {
		return 0, nil
	}
	// Trust may have been ended by a restore that the guard doesn't follow yet.
	ring, err := s.Keys.Ring(ctx)
	if err != nil {
		return 0, err
	}
	if err := g.follow(ring.Epoch()); err != nil {
		return 0, err
	}
	if g.browserEpoch() != d.Epoch {
		return 0, nil
	}
	d.Announced = true
	u := &unit{s: s}
	u.begin(nil)
	u.put(item, &d, d.Due.Add(expiredFor))
	e := u.event(g.event(BrowserExpired, p.Version, map[string]any{"browser": d.Browser, "ended": ended}).by(serviceActor))
	e.User, e.Of = "", d.Route // the entry that it is stored with outlives an erasure
	if err := u.commit(ctx); err != nil {
		if isConflict(err) {
			return 0, nil
		}
		return 0, err
	}
	return 1, nil
}

// A sweepCursor says where the next run of the sweep goes on.
type sweepCursor struct {
	record.Head
	Hour  time.Time `json:"hour" record:"1"`  // every hour before this one is done
	Shard int       `json:"shard" record:"2"` // where in the hour the run goes on; the shards before have been looked at
	After string    `json:"after" record:"3"` // the last entry of the shard that has been looked at; empty if none has
	Since time.Time `json:"since" record:"4"` // when the first of the runs began that have looked at a part of the hour
}

func (c *sweepCursor) same(as *sweepCursor) bool {
	return c.Hour.Equal(as.Hour) && c.Shard == as.Shard && c.After == as.After && c.Since.Equal(as.Since)
}

var sweepCursorKey = store.Key{Partition: "sweep", Sort: "mark"}
