package activity

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

const (
	pageEntries = 100      // of a page, at most
	pageBytes   = 40 << 10 // of what the entries of a page say
)

// A Filing is an event to be filed, and where it belongs.
type Filing struct {
	Event
	Route Route // of the user it is about, or of the org
	Key   Key   // of that user; nil: the event is about nobody, or about a user who is gone
}

// File puts events into the activity of their orgs, in the order given. When it fails some of them may have been filed.
func (l *Log) File(ctx context.Context, filings []Filing) error {
	type dayOfOrg struct {
		org  Route
		name string
	}
	var order []dayOfOrg
	batches := map[dayOfOrg][]routed{}
	for i := range filings {
		f := &filings[i]
		made, err := newEntry(f)
		if err != nil {
			return err
		}
		at := dayOfOrg{f.Route.org(), dayOf(f.Time)}
		if batches[at] == nil {
			order = append(order, at)
		}
		batches[at] = append(batches[at], routed{f.Route, made})
	}
	for _, at := range order {
		f := &filing{l: l, org: at.org, day: at.name, rest: batches[at]}
		if err := f.run(ctx); err != nil {
			return fmt.Errorf("file activity of %s: %w", at.name, err)
		}
	}
	return nil
}

func newEntry(f *Filing) (made entry, err error) {
	shown := f.Event
	if f.User != "" {
		shown = shown.withoutUser()
	}
	if made.Body, err = json.Marshal(shown); err != nil {
		return entry{}, fmt.Errorf("encode event %s: %w", f.ID, err)
	}
	if f.Key != nil {
		if err := f.Key.hide(f.Route, &f.Event, &made); err != nil {
			return entry{}, fmt.Errorf("encrypt event %s: %w", f.ID, err)
		}
	}
	made.Salt = make([]byte, 16)
	rand.Read(made.Salt)
	made.Digest = made.digest()
	return made, nil
}

// routed is an entry with the route that says which shard it belongs to.
type routed struct {
	route Route
	entry
}

// A filing puts entries on pages of one day of an org.
type filing struct {
	l      *Log
	org    Route
	day    string
	shards int      // of the day; 0: not known yet
	rest   []routed // to be filed
}

func (f *filing) run(ctx context.Context) error {
	for len(f.rest) > 0 {
		var left []routed
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

// page plans the next page of the shard that the first of the entries belongs to. left are those that are not on it.
func (f *filing) page(ctx context.Context, now time.Time) (writes []store.Write, left []routed, err error) {
	expires, err := keptUntil(f.day)
	if err != nil {
		return nil, nil, err
	}
	at, err := f.place(ctx, now)
	if err != nil {
		return nil, nil, err
	}
	next, number := &page{Shards: at.shards, Filed: now}, 1
	next.Entries, left = f.take(at)
	if at.last != nil {
		number, next.Before, next.Count = at.last.number+1, at.last.hash(), at.last.Count
	} else {
		next.Before = at.day.hash()
		at.day.Begun |= 1 << at.shard
		body, err := record.Encode(&at.day.day)
		if err != nil {
			return nil, nil, err
		}
		writes = append(writes, store.Write{Key: at.day.item.Key, Expect: at.day.item.Version, Body: body, Expires: expires})
	}
	next.Count += len(next.Entries)
	body, err := record.Encode(next)
	if err != nil {
		return nil, nil, err
	}
	key := store.Key{Partition: pagePartition(f.org, f.day, at.shard), Sort: pageSort(number)}
	return append(writes, store.Write{Key: key, Body: body, Expires: expires}), left, nil
}

// A place is where the next page goes.
type place struct {
	shards, shard int
	last          *storedPage // of the shard; nil: it has none
	day           *storedDay  // where last is nil
}

// place finds where the first of the entries goes. How many shards a day has stands on each page, so where the first shard
// has one, the day isn't read: most days have no other shard, and their pages cost no more than one read and one write.
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
	at.shard = f.rest[0].route.shard(at.shards)
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

// readDay reads the day. Only once it is opened its number of shards is certain.
func (f *filing) readDay(ctx context.Context, now time.Time, at *place) (err error) {
	if at.day, err = f.l.day(ctx, f.org, f.day, now); err != nil {
		return err
	}
	if at.shards == 0 {
		at.shards = at.day.Shards
	}
	if !at.day.item.Absent() {
		f.shards = at.shards
	}
	return nil
}

// take gives the entries for the next page of a shard, in order, and those that are left.
func (f *filing) take(at place) (entries []entry, left []routed) {
	bytes, full := 0, false
	for _, e := range f.rest {
		if e.route.shard(at.shards) == at.shard && !full {
			full = len(entries) == pageEntries || len(entries) > 0 && bytes+e.size() > pageBytes
			if !full {
				bytes += e.size()
				entries = append(entries, e.entry)
				continue
			}
		}
		left = append(left, e)
	}
	return entries, left
}
