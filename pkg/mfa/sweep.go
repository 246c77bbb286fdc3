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

// Swept says what a run of the sweep did.
type Swept struct {
	Announced int  `json:"announced"` // ends of trust
	More      bool `json:"more"`      // there was more than one run does
}

// What one run does at most: a few seconds of work. A clock that jumped, or a schedule that was off, is caught up with in
// several runs.
const (
	mostDue   = 2000 // items looked at, and as many queries
	mostHours = 200
	dueAtOnce = 16 // items that are looked at side by side
)

// firstLook is how far back a run looks that has no mark to go by.
const firstLook = 48 * time.Hour

// Sweep announces what has ended by itself, and has users told of what waits for room: each end once, however often it runs, beside whom, and wherever it is cut off.
// A sign-in never depends on it. What it looks at is what is due, hour by hour from its mark.
//
// An hour is done when all of it has been looked at by runs that began after it was over. Until then it is gone through
// again; what was announced says so. Nothing is put into an hour that is done: trust is granted for a day at least, so that
// would take a mark that is a day ahead of the clock it is granted by. Where the mark was made by a clock that was ahead, a
// run by the right one begins anew.
func (s *Service) Sweep(ctx context.Context) (Swept, error) { return s.sweep(ctx, mostDue, mostHours) }

func (s *Service) sweep(ctx context.Context, items, hours int) (Swept, error) {
	r := &sweeping{s: s, now: s.Now().UTC(), left: items}
	item, err := store.GetOne(ctx, s.Store, sweepCursorKey)
	if err != nil {
		return Swept{}, fmt.Errorf("sweep: %w", err)
	}
	first := r.now.Add(-firstLook).Truncate(time.Hour)
	m := sweepCursor{Hour: first}
	if !item.Absent() {
		if err := record.Decode(item, &m); err != nil {
			return Swept{}, fmt.Errorf("sweep: %w", err)
		}
	}
	from := m
	if m.Hour.After(r.now.Add(time.Hour)) {
		m = sweepCursor{Hour: first}
	}
	if err := r.run(ctx, &m, hours); err != nil {
		return r.done, fmt.Errorf("sweep of %s: %w", m.Hour.Format(time.RFC3339), err)
	}
	if m.same(&from) && !item.Absent() {
		return r.done, nil
	}
	u := &unit{s: s}
	u.begin(nil)
	u.put(item, &m, time.Time{})
	// A run beside this one may have moved the mark. Either has been as far as it says; one of them is gone on from.
	if err := u.commit(ctx); err != nil && !isConflict(err) {
		return r.done, fmt.Errorf("sweep: %w", err)
	}
	return r.done, nil
}

// sweeping is one run.
type sweeping struct {
	s    *Service
	now  time.Time // when it began; all of it is judged at that moment
	left int       // items that it may still look at
	done Swept
}

// run goes on from the mark, and moves it to where the next run shall go on.
func (r *sweeping) run(ctx context.Context, m *sweepCursor, hours int) error {
	for ; ; hours-- {
		if hours == 0 {
			r.done.More = true
			return nil
		}
		if m.Since.IsZero() || r.now.Before(m.Since) {
			m.Since = r.now
		}
		if through, err := r.hour(ctx, m); err != nil || !through {
			r.done.More = true
			return err
		}
		over := m.Hour.Add(time.Hour)
		switch {
		case !m.Since.Before(over):
			*m = sweepCursor{Hour: over}
		case r.now.Before(over):
			*m = sweepCursor{Hour: m.Hour} // to be gone through again, until it is over
			return nil
		default:
			*m = sweepCursor{Hour: m.Hour} // it was looked at in part before it was over
		}
	}
}

// hour goes on with the mark's hour, and reports whether it came through.
func (r *sweeping) hour(ctx context.Context, m *sweepCursor) (through bool, err error) {
	for ; m.Shard < expiryShards; m.Shard, m.After = m.Shard+1, "" {
		for more := true; more; {
			if r.left <= 0 {
				return false, nil
			}
			page, err := r.s.Store.Query(ctx, store.Query{
				Partition: expiryPartition(m.Hour, m.Shard), After: m.After, Limit: min(r.left, store.MaxLimit),
			})
			if err != nil {
				return false, err
			}
			if err := r.announceAll(ctx, page.Items); err != nil {
				return false, err
			}
			r.left -= max(1, len(page.Items))
			m.After, more = page.Last, page.More
		}
	}
	return true, nil
}

// announceAll looks at items side by side.
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

// announce records the end of one trusted browser, unless it was announced, or the trust was ended before its time.
// Of several runs at once only the one whose conditional write succeeds announces.
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
	d.Announced = true
	u := &unit{s: s}
	u.begin(nil)
	u.put(item, &d, d.Due.Add(expiredFor))
	e := u.event(g.event(BrowserExpired, p.Version, map[string]any{"browser": d.Browser, "ended": ended}).by(serviceActor))
	e.User, e.Of = "", d.Route // the item it rides on outlives an erasure
	if err := u.commit(ctx); err != nil {
		if isConflict(err) {
			return 0, nil
		}
		return 0, err
	}
	return 1, nil
}

// sweepCursor is where the sweep goes on.
type sweepCursor struct {
	record.Head
	Hour  time.Time `json:"hour"`            // every hour before it is done
	Shard int       `json:"shard,omitempty"` // of that hour; those before it have been gone through
	After string    `json:"after,omitempty"` // in that shard; so has what is no later
	Since time.Time `json:"since,omitzero"`  // when the first run began that has gone through a part of the hour
}

func (m *sweepCursor) same(as *sweepCursor) bool {
	return m.Hour.Equal(as.Hour) && m.Shard == as.Shard && m.After == as.After && m.Since.Equal(as.Since)
}

var sweepCursorKey = store.Key{Partition: "sweep", Sort: "mark"}
