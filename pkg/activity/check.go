package activity

import (
	"context"
	"errors"
	"fmt"

	"countersign/pkg/store"
)

// ErrBroken says that an org's activity isn't as it was filed.
var ErrBroken = errors.New("the activity was changed after it was filed")

// Check goes through all of an org's activity that is still kept, and answers how many pages it has, or
// ErrBroken with the first page that doesn't fit: one that is missing, was altered, or isn't linked to the page
// that was the last one when it was filed. It needs memory for one store page, and a line for each day.
func (l *Log) Check(ctx context.Context, org Route) (pages int, err error) {
	c := &checking{l: l, org: org}
	days := store.Query{Partition: daysPartition(c.org)}
	for more := true; more; {
		found, err := l.Store.Query(ctx, days)
		if err != nil {
			return c.pages, err
		}
		for _, item := range found.Items {
			if err := c.day(ctx, item.Key.Sort); err != nil {
				return c.pages, err
			}
		}
		days.After, more = found.Last, found.More
	}
	return c.pages, nil
}

// checking is one run of Check.
type checking struct {
	l     *Log
	org   Route
	pages int
	first []*storedPage // of each day so far, without its entries
}

func broken(h *storedPage, what string) error {
	return fmt.Errorf("%w: page %d of %s %s", ErrBroken, h.number, h.day, what)
}

// over reports whether the retention of a day is over.
func (c *checking) over(day string) (bool, error) {
	until, err := keptUntil(day)
	return !c.l.Now().Before(until), err
}

func (c *checking) day(ctx context.Context, day string) error {
	var before *storedPage
	q := store.Query{Partition: pagePartition(c.org, day)}
	for more := true; more; {
		found, err := c.l.Store.Query(ctx, q)
		if err != nil {
			return err
		}
		for _, item := range found.Items {
			h, err := readPage(day, item)
			if err != nil {
				return err
			}
			if before == nil {
				err = c.firstPage(ctx, h)
			} else if h.Before != before.hash(before.key) || h.number != before.number+1 {
				err = broken(h, "isn't linked to the page before it")
			}
			if err != nil {
				return err
			}
			for i := range h.Entries {
				if !h.Entries[i].whole() {
					return broken(h, "has an entry that was altered")
				}
			}
			before = h
			c.pages++
		}
		q.After, more = found.Last, found.More
	}
	if before != nil {
		return nil
	}
	if over, err := c.over(day); over || err != nil { // it was over while the check went on
		return err
	}
	return fmt.Errorf("%w: all pages of %s are missing", ErrBroken, day)
}

// firstPage checks the link between days. The first page of a day must be linked to the page that was the last one of
// the latest day before, when it was filed. What was filed within filingTime of it may have come later.
func (c *checking) firstPage(ctx context.Context, h *storedPage) error {
	if h.number != 1 {
		return broken(h, "is the first that is there of its day")
	}
	if (h.Earlier == nil) != (h.Before == "") || h.Earlier != nil && h.Earlier.Day >= h.day {
		return broken(h, "isn't linked to a day before it")
	}
	since := h.Filed.Add(-filingTime)
	for _, other := range c.first {
		if (h.Earlier == nil || other.day > h.Earlier.Day) && other.Filed.Before(since) {
			return broken(h, "isn't linked to "+other.day+", which has pages that were filed before it")
		}
	}
	c.first = append(c.first, &storedPage{day: h.day, page: page{Filed: h.Filed}})
	if h.Earlier == nil {
		return nil
	}
	found, err := c.l.Store.Query(ctx, store.Query{Partition: pagePartition(c.org, h.Earlier.Day), After: pageSort(h.Earlier.Number - 1), Limit: 2})
	if err != nil {
		return err
	}
	for i, item := range found.Items {
		earlier, err := readPage(h.Earlier.Day, item)
		switch {
		case err != nil:
			return err
		case i == 0 && (earlier.number != h.Earlier.Number || earlier.hash(earlier.key) != h.Before):
			return broken(h, "is linked to a page that was altered")
		case i == 1 && earlier.Filed.Before(since):
			return broken(h, "isn't linked to the last page of "+earlier.day+" that was filed before it")
		}
	}
	if len(found.Items) > 0 {
		return nil
	}
	if over, err := c.over(h.Earlier.Day); over || err != nil {
		return err
	}
	return broken(h, "is linked to a page that is missing")
}
