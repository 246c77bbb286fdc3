package activity

import (
	"context"

	"countersign/pkg/store"
)

// Some returns some of the items that the activity of an org consists of, the oldest first, and at most the given number. It
// returns none if nothing is left. A caller who erases an org deletes them, and asks again. The item of a day comes when the
// day has no pages any more, and checkpoints come last.
func (l *Log) Some(ctx context.Context, org Route, most int) ([]store.Item, error) {
	days, err := first(ctx, l.Store, store.Query{Partition: daysPartition(org), Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(days) == 0 {
		return first(ctx, l.Store, store.Query{Partition: checkPartition(org), Limit: most})
	}
	d, err := readDay(days[0])
	if err != nil {
		return nil, err
	}
	for shard := range d.Shards {
		pages, err := first(ctx, l.Store, store.Query{Partition: pagePartition(org, d.name, shard), Limit: most})
		if err != nil || len(pages) > 0 {
			return pages, err
		}
	}
	return days, nil
}

// first returns the first items that a query finds.
func first(ctx context.Context, from store.Store, q store.Query) ([]store.Item, error) {
	for {
		page, err := from.Query(ctx, q)
		if err != nil || len(page.Items) > 0 || !page.More {
			return page.Items, err
		}
		q.After = page.Last
	}
}
