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
	type chain struct {
		org Route
		day string
	}
	var order []chain
	batches := map[chain][]entry{}
	for i := range filings {
		f := &filings[i]
		made, err := newEntry(f)
		if err != nil {
			return err
		}
		at := chain{f.Route.org(), dayOf(f.Time)}
		if batches[at] == nil {
			order = append(order, at)
		}
		batches[at] = append(batches[at], made)
	}
	for _, at := range order {
		for rest := batches[at]; len(rest) > 0; {
			n, bytes := 0, 0
			for n < len(rest) && n < pageEntries && (n == 0 || bytes+rest[n].size() <= pageBytes) {
				bytes += rest[n].size()
				n++
			}
			if err := l.filePage(ctx, at.org, at.day, rest[:n]); err != nil {
				return fmt.Errorf("file activity of %s: %w", at.day, err)
			}
			rest = rest[n:]
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

// filePage adds one page to a day of an org.
func (l *Log) filePage(ctx context.Context, org Route, day string, entries []entry) error {
	expires, err := keptUntil(day)
	if err != nil {
		return err
	}
	return l.Commit(ctx, func(now time.Time) (writes []store.Write, err error) {
		last, err := l.lastPage(ctx, org, day)
		if err != nil {
			return nil, err
		}
		next := &page{Filed: now, Entries: entries}
		number := 1
		if last != nil {
			number = last.number + 1
		} else {
			if last, err = l.lastPageBefore(ctx, org, day); err != nil {
				return nil, err
			}
			if last != nil {
				next.Earlier = &pagePlace{last.day, last.number}
			}
			body, err := record.Encode(&filedDay{})
			if err != nil {
				return nil, err
			}
			writes = append(writes, store.Write{Key: store.Key{Partition: daysPartition(org), Sort: day}, Body: body, Expires: expires})
		}
		if last != nil {
			next.Before = last.hash(last.key)
		}
		body, err := record.Encode(next)
		if err != nil {
			return nil, err
		}
		at := store.Key{Partition: pagePartition(org, day), Sort: pageSort(number)}
		return append(writes, store.Write{Key: at, Body: body, Expires: expires}), nil
	})
}

// lastPage is the newest page of a day; nil: the day has none.
func (l *Log) lastPage(ctx context.Context, org Route, day string) (*storedPage, error) {
	found, err := l.Store.Query(ctx, store.Query{Partition: pagePartition(org, day), Limit: 1, Reverse: true})
	if err != nil || len(found.Items) == 0 {
		return nil, err
	}
	return readPage(day, found.Items[0])
}

// lastPageBefore is the newest page of the latest day before day; nil: there is none.
func (l *Log) lastPageBefore(ctx context.Context, org Route, day string) (*storedPage, error) {
	days, err := l.Store.Query(ctx, store.Query{Partition: daysPartition(org), After: day, Limit: 1, Reverse: true})
	if err != nil || len(days.Items) == 0 {
		return nil, err
	}
	return l.lastPage(ctx, org, days.Items[0].Key.Sort)
}
