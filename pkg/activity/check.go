package activity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/pkg/store"
)

// ErrBroken means that the activity of an org is not as it was filed.
var ErrBroken = errors.New("the activity was changed after it was filed")

// Check goes through all activity of an org that is still kept, and returns how many pages there are. If a day, a shard or a page is
// missing, was changed, or isn't linked to the one that was the last when it was filed, Check returns an error that wraps ErrBroken
// and names the first of these. It needs memory for one page of the store, and a little for each day.
//
// Check doesn't look at checkpoints, which Verify does. So it doesn't notice if the end of the activity was removed together with
// everything that is linked to it. That can be the last pages of a shard to which no later day is linked, or the latest days with the
// items that name them.
func (l *Log) Check(ctx context.Context, org Route) (pages int, err error) {
	c := &checking{l: l, org: org}
	err = c.run(ctx)
	return c.pages, err
}

// checking is one run of Check.
type checking struct {
	l     *Log
	org   Route
	pages int
	days  []checkedDay // those that were checked so far
}

type checkedDay struct {
	name   string
	opened time.Time
	shards int
}

func (c *checking) run(ctx context.Context) error {
	days := store.Query{Partition: daysPartition(c.org)}
	for more := true; more; {
		found, err := c.l.Store.Query(ctx, days)
		if err != nil {
			return err
		}
		for _, item := range found.Items {
			d, err := readDay(item)
			if err != nil {
				return err
			}
			if err := c.day(ctx, d); err != nil {
				return err
			}
		}
		days.After, more = found.Last, found.More
	}
	return nil
}

func brokenDay(d *storedDay, what string, args ...any) error {
	return fmt.Errorf("%w: %s %s", ErrBroken, d.name, fmt.Sprintf(what, args...))
}

func brokenPage(p *storedPage, what string) error {
	return fmt.Errorf("%w: page %s of %s %s", ErrBroken, p.key.Sort, p.key.Partition, what)
}

// over reports whether a day needn't be kept any longer.
func (c *checking) over(day string) (bool, error) {
	until, err := keptUntil(day)
	return !c.l.Now().Before(until), err
}

func (c *checking) day(ctx context.Context, d *storedDay) error {
	if err := c.opening(ctx, d); err != nil {
		return err
	}
	c.days = append(c.days, checkedDay{d.name, d.Opened, d.Shards})
	if d.Begun == 0 || d.Begun >= 1<<d.Shards {
		return brokenDay(d, "has shards %b of %d", d.Begun, d.Shards)
	}
	for shard := range d.Shards {
		if err := c.shard(ctx, d, shard); err != nil {
			return err
		}
	}
	return nil
}

// shard checks the chain of a shard.
func (c *checking) shard(ctx context.Context, d *storedDay, shard int) error {
	before, number, count := d.hash(), 0, 0
	q := store.Query{Partition: pagePartition(c.org, d.name, shard)}
	for more := true; more; {
		found, err := c.l.Store.Query(ctx, q)
		if err != nil {
			return err
		}
		for _, item := range found.Items {
			p, err := readPage(d.name, item)
			if err != nil {
				return err
			}
			number, count = number+1, count+p.events()
			switch {
			case !d.begun(shard):
				return brokenPage(p, "is in a shard that has none")
			case p.number != number:
				return brokenPage(p, "comes after one that is missing")
			case !bytes.Equal(p.Before, before):
				return brokenPage(p, "isn't linked to what is before it")
			case p.Shards != d.Shards || p.Count != count:
				return brokenPage(p, "doesn't count as its day does")
			}
			before = p.hash()
			c.pages++
		}
		q.After, more = found.Last, found.More
	}
	if number > 0 || !d.begun(shard) {
		return nil
	}
	if over, err := c.over(d.name); over || err != nil { // the day may have expired during the check
		return err
	}
	return brokenDay(d, "has lost all pages of shard %d", shard)
}

// opening checks the links from a day to the one before it. When the day was opened, the latest day before it had a last page in each
// shard, and the day must be linked to these. Pages that were filed within filingTime of that moment may have come later.
func (c *checking) opening(ctx context.Context, d *storedDay) error {
	if (d.Earlier == "") != (len(d.Heads) == 0) || d.Earlier >= d.name {
		return brokenDay(d, "isn't linked to a day before it")
	}
	since := d.Opened.Add(-filingTime)
	var earlier *checkedDay
	for i := range c.days {
		other := &c.days[i]
		if other.name == d.Earlier {
			earlier = other
		}
		if other.name > d.Earlier && other.opened.Before(since) {
			return brokenDay(d, "isn't linked to %s, which was opened before it", other.name)
		}
	}
	if d.Earlier == "" {
		return nil
	}
	if earlier == nil {
		if over, err := c.over(d.Earlier); over || err != nil {
			return err
		}
		return brokenDay(d, "is linked to %s, which is missing", d.Earlier)
	}
	if len(d.Heads) != earlier.shards {
		return brokenDay(d, "is linked to %d shards of %s, which has %d", len(d.Heads), d.Earlier, earlier.shards)
	}
	for shard, h := range d.Heads {
		if err := c.head(ctx, d, shard, h); err != nil {
			return err
		}
	}
	return nil
}

// head checks that a day is linked to the page that was the last one of a shard when the day was opened.
func (c *checking) head(ctx context.Context, d *storedDay, shard int, h head) error {
	q := store.Query{Partition: pagePartition(c.org, d.Earlier, shard), After: pageSort(h.Number - 1), Limit: 2}
	if h.Number == 0 {
		q.After, q.Limit = "", 1
	}
	found, err := c.l.Store.Query(ctx, q)
	if err != nil {
		return err
	}
	linked := h.Number == 0
	for _, item := range found.Items {
		p, err := readPage(d.Earlier, item)
		switch {
		case err != nil:
			return err
		case !linked && (p.number != h.Number || !bytes.Equal(p.hash(), h.Hash)):
			return brokenDay(d, "is linked to a page of %s that was altered", d.Earlier)
		case linked && p.filed.Before(d.Opened.Add(-filingTime)):
			return brokenDay(d, "isn't linked to the last page of %s, shard %d, that was filed before it", d.Earlier, shard)
		}
		linked = true
	}
	if linked {
		return nil
	}
	if over, err := c.over(d.Earlier); over || err != nil {
		return err
	}
	return brokenDay(d, "is linked to a page of %s that is missing", d.Earlier)
}
