package activity

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

const (
	pageEvents = 100      // the most events on a page
	pageBytes  = 40 << 10 // the most bytes of the entries on a page, if there are several entries
)

// A Filing is an event that is to be filed, with its place.
type Filing struct {
	Event
	Route Route    // of the user whom the event is about, or of the org if it is about nobody
	Key   EntryKey // of that user and the moment of the event; nil if the event is about nobody, or the user is gone
}

func eventsOf(filings []Filing) []Event {
	events := make([]Event, len(filings))
	for i := range filings {
		events[i] = filings[i].Event
	}
	return events
}

// orgsAtOnce is how many orgs File works on at the same time. One after the other, a batch with events of a hundred orgs would take a
// hundred times as long as a batch of one org, and a busy deployment would bring more batches than that.
const orgsAtOnce = 8

// File adds events to the activity of their orgs, those of each org in this order. If it fails, some of them may have been filed.
// What an event says may have values of the types bool, float64, int, int64, string, []any and map[string]any, and nil.
func (l *Log) File(ctx context.Context, events []Filing) error {
	var order []Route
	days := map[Route][]*filing{}
	for _, e := range events {
		org, day := e.Route.org(), dayOf(e.Time)
		if days[org] == nil {
			order = append(order, org)
		}
		at := slices.IndexFunc(days[org], func(f *filing) bool { return f.day == day })
		if at < 0 {
			at = len(days[org])
			days[org] = append(days[org], &filing{l: l, org: org, day: day})
		}
		days[org][at].rest = append(days[org][at].rest, e)
	}
	free := make(chan *deflater, orgsAtOnce)
	for range cap(free) {
		free <- &deflater{}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(orgsAtOnce)
	for _, org := range order {
		g.Go(func() error {
			deflate := <-free
			defer func() { free <- deflate }()
			for _, f := range days[org] {
				f.deflate = deflate
				if err := f.run(ctx); err != nil {
					return fmt.Errorf("file activity of %s: %w", f.day, err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// A filing puts events on pages of one day of an org.
type filing struct {
	l       *Log
	deflate *deflater
	org     Route
	day     string
	shards  int      // the shards of the day; 0 if their number isn't known yet
	rest    []Filing // what is still to be filed
}

func (f *filing) run(ctx context.Context) error {
	for len(f.rest) > 0 {
		var left []Filing
		err := f.l.Commit(ctx, func(now time.Time) (writes []store.Write, err error) {
			writes, left, err = f.page(ctx, now)
			return writes, err
		})
		if err != nil {
			return err
		}
		f.rest = left
	}
	return nil
}

// page plans the next page of the shard to which the first of the events belongs. It also returns the events that are not on this
// page.
func (f *filing) page(ctx context.Context, now time.Time) (writes []store.Write, left []Filing, err error) {
	expires, err := keptUntil(f.day)
	if err != nil {
		return nil, nil, err
	}
	at, err := f.place(ctx, now)
	if err != nil {
		return nil, nil, err
	}
	next, number := &page{}, 1
	if at.shards > 1 {
		next.Shards = at.shards
	}
	if next.Filed, err = sinceBeginning(f.day, now); err != nil {
		return nil, nil, err
	}
	if next.Entries, left, err = f.take(at, now.Truncate(time.Millisecond)); err != nil {
		return nil, nil, err
	}
	opens := at.last == nil && at.day.Item.Absent()
	if writes, err = f.activate(ctx, opens, now); err != nil {
		return nil, nil, err
	}
	if at.last != nil {
		number, next.Before, next.Count = at.last.number+1, at.last.hash(), at.last.Count
	} else {
		next.Before = at.day.hash()
		at.day.Begun |= 1 << at.shard
		body, err := record.Encode(&at.day.day)
		if err != nil {
			return nil, nil, err
		}
		writes = append(writes, store.Write{Key: at.day.Item.Key, Expect: at.day.Item.Version, Body: body, Expires: expires})
	}
	next.Count += len(f.rest) - len(left)
	body, err := next.encode()
	if err != nil {
		return nil, nil, err
	}
	key := store.Key{Partition: pagePartition(f.org, f.day, at.shard), Sort: pageSort(number)}
	return append(writes, store.Write{Key: key, Body: body, Expires: expires}), left, nil
}

// A place is the place of the next page.
type place struct {
	shards, shard int
	last          *storedPage // the last page of the shard; nil if the shard has none
	day           *storedDay  // set if last is nil
}

// place finds the place of the first of the events. Each page says how many shards its day has. So if the first shard has a page, the
// day isn't read. Most days have only one shard, and then a page costs one read and one write.
func (f *filing) place(ctx context.Context, now time.Time) (at place, err error) {
	var first *storedPage
	if at.shards = f.shards; at.shards == 0 {
		if first, err = f.l.lastPage(ctx, f.org, f.day, 0); err != nil {
			return place{}, err
		}
		if first != nil {
			f.shards, at.shards = first.Shards, first.Shards
		} else if err := f.readDay(ctx, now, &at); err != nil {
			return place{}, err
		}
	}
	at.shard = f.rest[0].Route.shard(at.shards)
	switch {
	case at.shard == 0 && first != nil:
		at.last = first
	case at.day == nil || at.day.begun(at.shard):
		if at.last, err = f.l.lastPage(ctx, f.org, f.day, at.shard); err != nil {
			return place{}, err
		}
	}
	if at.last == nil && at.day == nil {
		err = f.readDay(ctx, now, &at)
	}
	return at, err
}

// readDay reads the day. The number of its shards is certain only when the day has been opened.
func (f *filing) readDay(ctx context.Context, now time.Time, at *place) (err error) {
	if at.day, err = f.l.day(ctx, f.org, f.day, now); err != nil {
		return err
	}
	if at.shards == 0 {
		at.shards = at.day.Shards
	}
	if !at.day.Item.Absent() {
		f.shards = at.shards
	}
	return nil
}

// take makes the entries of the next page of a shard, from the first events that belong there. It also returns all other events.
func (f *filing) take(at place, filed time.Time) (entries [][]byte, left []Filing, err error) {
	var mine []Filing
	for _, e := range f.rest {
		if e.Route.shard(at.shards) == at.shard {
			mine = append(mine, e)
		} else {
			left = append(left, e)
		}
	}
	for events, bytes := 0, 0; len(mine) > 0 && events < pageEvents; {
		n := min(together(mine), pageEvents-events)
		entry, err := newEntry(mine[:n], filed, f.deflate)
		for err == nil && len(entries) == 0 && n > 1 && len(entry) > pageBytes { // because it would be too big for any page
			n /= 2
			entry, err = newEntry(mine[:n], filed, f.deflate)
		}
		if err != nil {
			return nil, nil, err
		}
		if len(entries) > 0 && bytes+len(entry) > pageBytes {
			break
		}
		entries, mine, events, bytes = append(entries, entry), mine[n:], events+n, bytes+len(entry)
	}
	return entries, append(mine, left...), nil
}
