package mfa

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/pkg/store"
)

// Swept says what a run of the sweep did.
type Swept struct {
	Announced int  `json:"announced"` // ends of trust
	More      bool `json:"more"`      // there was more than one run does
}

// mostHours is how many hours of due items one run looks at: a month and some, so that a clock that jumped or a schedule
// that was off is caught up with in a few runs.
const mostHours = 1000

// firstLook is how far back the very first run looks.
const firstLook = 48 * time.Hour

// Sweep announces what has ended by itself: each end once, however often it runs and wherever it is cut off. A sign-in
// never depends on it. What it looks at is what is due, hour by hour from its mark.
func (s *Service) Sweep(ctx context.Context) (Swept, error) {
	var done Swept
	var m mark
	now := s.Now().UTC()
	item, err := s.Store.Get(ctx, markKey)
	if err != nil {
		return done, fmt.Errorf("sweep: %w", err)
	}
	if item.Absent() {
		m.Hour = now.Add(-firstLook).Truncate(time.Hour)
	} else if err := decode(item, &m); err != nil {
		return done, fmt.Errorf("sweep: %w", err)
	}
	from := m.Hour
	for hours := 0; !m.Hour.After(now); hours++ {
		if hours == mostHours {
			done.More = true
			break
		}
		for shard := range dueShards {
			n, err := s.sweepShard(ctx, duePartition(m.Hour, shard), now)
			done.Announced += n
			if err != nil {
				return done, fmt.Errorf("sweep of %s: %w", m.Hour.Format(time.RFC3339), err)
			}
		}
		if m.Hour.Add(time.Hour).After(now) {
			break // the hour is not over
		}
		m.Hour = m.Hour.Add(time.Hour)
	}
	if m.Hour.Equal(from) && !item.Absent() {
		return done, nil
	}
	u := &unit{s: s}
	u.begin(nil)
	u.put(item, &m, time.Time{})
	// A run beside this one may have moved the mark: then there is nothing left to note.
	if err := u.commit(ctx); err != nil && !isConflict(err) {
		return done, fmt.Errorf("sweep: %w", err)
	}
	return done, nil
}

func (s *Service) sweepShard(ctx context.Context, partition string, now time.Time) (announced int, err error) {
	q := store.Query{Partition: partition}
	for more := true; more; {
		page, err := s.Store.Query(ctx, q)
		if err != nil {
			return announced, err
		}
		for _, item := range page.Items {
			n, err := s.announce(ctx, item, now)
			announced += n
			if err != nil {
				return announced, err
			}
		}
		q.After, more = page.Last, page.More
	}
	return announced, nil
}

// announce records the end of one trusted browser, unless it was announced, or the trust was ended before its time.
// Of several runs at once only the one whose conditional write succeeds announces.
func (s *Service) announce(ctx context.Context, item store.Item, now time.Time) (int, error) {
	var d due
	if err := decode(item, &d); err != nil {
		return 0, err
	}
	if d.Announced || now.Before(d.Ends) {
		return 0, nil
	}
	r := route(d.Route)
	var guardItem, browserItem store.Item
	var p *orgPolicy
	if err := side(ctx, s.readItem(guardKey(r), &guardItem), s.readItem(browserKey(r, d.Browser), &browserItem), s.readPolicy(r, "", &p)); err != nil {
		return 0, err
	}
	if guardItem.Absent() || browserItem.Absent() {
		return 0, nil
	}
	var g guard
	var b browser
	if err := errors.Join(decode(guardItem, &g), decode(browserItem, &b)); err != nil {
		return 0, err
	}
	ended, taken := b.end(p)
	if g.trustEpoch() != d.Epoch || taken {
		return 0, nil
	}
	d.Announced = true
	u := &unit{s: s}
	u.begin(nil)
	u.put(item, &d, d.Ends.Add(expiredFor))
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

func (s *Service) readItem(key store.Key, into *store.Item) read {
	return func(ctx context.Context) (err error) {
		*into, err = s.Store.Get(ctx, key)
		return err
	}
}

func isConflict(err error) bool { return errors.Is(err, store.ErrConflict) }
