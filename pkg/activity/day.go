package activity

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// keptFor is how long activity is kept after the end of its day.
const keptFor = 400 * 24 * time.Hour

// The number of shards of a day depends on the number of events on the day before. So a batch of a small org is one page, and a
// day of a big org is spread over several partitions. The number of shards is a power of two.
const (
	mostShards     = 8
	eventsPerShard = 4_000_000 // in a day, which is 46 a second on average
)

// A day is opened by the commit that files its first page. It has everything that all of its pages depend on. After that, only
// Begun changes.
type day struct {
	record.Head
	Shards  int       `json:"shards" record:"1"`            // how many shards the day has
	Opened  time.Time `json:"opened" record:"2"`            // when the day was opened
	Earlier string    `json:"earlier,omitempty" record:"3"` // the latest day before it that had been opened; empty if there was none
	Heads   []head    `json:"heads,omitempty" record:"4"`   // the heads of that day, one for each shard
	Begun   uint      `json:"begun" record:"5"`             // a bit for each shard of this day that has a page
}

// A head is the last page that a shard had at some moment.
type head struct {
	Number int    `json:"number,omitempty" record:"1"` // the number of the page; 0 if the shard had none
	Hash   []byte `json:"hash,omitempty" record:"2"`   // the hash of the page
}

// storedDay is a day with its name. Its item is absent if the day has not been opened yet.
type storedDay struct {
	name string
	day
}

func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// prefix is the text before the first '#' in all partitions of the activity.
const prefix = "act"

func daysPartition(r Route) string { return prefix + "#" + b64(r.org()) }

func dayKey(r Route, name string) store.Key {
	return store.Key{Partition: daysPartition(r), Sort: name}
}

// sinceBeginning returns how many milliseconds a moment is after the beginning of a day. It is negative if the moment is before it.
func sinceBeginning(day string, at time.Time) (int64, error) {
	began, err := time.Parse(time.DateOnly, day)
	return at.UnixMilli() - began.UnixMilli(), err
}

// keptUntil returns the moment from which on the activity of a day is gone.
func keptUntil(day string) (time.Time, error) {
	began, err := time.Parse(time.DateOnly, day)
	return began.AddDate(0, 0, 1).Add(keptFor), err
}

func readDay(item store.Item) (*storedDay, error) {
	d := &storedDay{name: item.Key.Sort}
	if err := record.Decode(item, &d.day); err != nil {
		return nil, err
	}
	if !validShards(d.Shards) {
		return nil, fmt.Errorf("%s has %d shards", d.name, d.Shards)
	}
	return d, nil
}

// validShards reports whether a day can have so many shards.
func validShards(n int) bool { return n >= 1 && n <= mostShards && n&(n-1) == 0 }

// hash returns the hash of the day, which the first page of each shard has.
func (d *storedDay) hash() []byte {
	fields := []string{d.Item.Key.Partition, d.name, fmt.Sprint(d.Shards), d.Opened.UTC().Format(time.RFC3339Nano), d.Earlier}
	for _, h := range d.Heads {
		fields = append(fields, pageSort(h.Number), string(h.Hash))
	}
	sum := sha256.Sum256(seal.Join(fields...))
	return sum[:]
}

func (d *storedDay) begun(shard int) bool { return d.Begun&(1<<shard) != 0 }

// day reads a day. If the day has not been opened, it returns what the day will be if it is opened now.
func (l *Log) day(ctx context.Context, org Route, name string, now time.Time) (*storedDay, error) {
	item, err := store.GetOne(ctx, l.Store, dayKey(org, name))
	if err != nil {
		return nil, err
	}
	if !item.Absent() {
		return readDay(item)
	}
	d := &storedDay{name: name, day: day{Shards: 1, Opened: now}}
	d.Item = item
	days, err := l.Store.Query(ctx, store.Query{Partition: daysPartition(org), After: name, Limit: 1, Reverse: true})
	if err != nil || len(days.Items) == 0 {
		return d, err
	}
	earlier, err := readDay(days.Items[0])
	if err != nil {
		return nil, err
	}
	d.Earlier = earlier.name
	var events int
	if d.Heads, events, err = l.heads(ctx, org, earlier); err != nil {
		return nil, err
	}
	d.Shards = l.shards(events)
	return d, nil
}

// heads returns the last page of each shard of a day, and how many events are on all pages of the day.
func (l *Log) heads(ctx context.Context, org Route, d *storedDay) (heads []head, events int, err error) {
	last := make([]*storedPage, d.Shards)
	g, ctx := errgroup.WithContext(ctx)
	for shard := range last {
		if d.begun(shard) {
			g.Go(func() (err error) {
				last[shard], err = l.lastPage(ctx, org, d.name, shard)
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return nil, 0, err
	}
	heads = make([]head, d.Shards)
	for shard, p := range last {
		if p != nil {
			heads[shard] = head{p.number, p.hash()}
			events += p.Count
		}
	}
	return heads, events, nil
}

// shards returns how many shards a day has if the day before it had so many events.
func (l *Log) shards(events int) int {
	each := l.PerShard
	if each == 0 {
		each = eventsPerShard
	}
	shards := 1
	for shards < mostShards && events > shards*each {
		shards *= 2
	}
	return shards
}
