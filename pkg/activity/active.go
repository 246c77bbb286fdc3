package activity

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// activePrefix is the text before the first '#' in the partitions that say of which orgs activity was filed on a day.
const activePrefix = "active"

// ActiveShards is how many shards the list of active days has that belongs to one day.
const ActiveShards = 4

// activeKept is how long it is kept which orgs were active on a day. The sweep is never so late.
const activeKept = 60 * 24 * time.Hour

// An activeDay says that something was filed in a day of an org. It is in the list of the day on which that was filed. This list is
// how the sweep finds what it makes checkpoints of, so it costs nothing that most orgs file nothing. It is committed together with
// the page that is the first one in that list. Almost all pages are filed on the day of their events, and only the first of these
// puts an item.
type activeDay struct {
	record.Head
	Org   string `json:"org" record:"1"`             // the id of the org
	Route []byte `json:"route" record:"2"`           // the org's route
	Day   string `json:"day" record:"3"`             // the day of the events
	Heads []byte `json:"heads,omitempty" record:"4"` // a hash of the heads that the last checkpoint of the day has; empty if it has none
}

func activePartition(on string, shard int) string {
	return activePrefix + "#" + on + "#" + strconv.Itoa(shard)
}

func activeKey(on string, org Route, day string) store.Key {
	return store.Key{Partition: activePartition(on, int(org[0])%ActiveShards), Sort: b64(org.org()) + "#" + day}
}

// activeIn returns the day in whose list a page is that is filed now. It is today. A page for a day that has not begun yet, by the
// clock of this process, is in the list of that day.
func activeIn(day string, now time.Time) string { return max(day, dayOf(now)) }

// activate returns the write that says that the day of the filing is active, unless that has been said. A page that is not the first
// one of its day says it only if its day is over.
func (f *filing) activate(ctx context.Context, opens bool, now time.Time) ([]store.Write, error) {
	on := activeIn(f.day, now)
	if !opens && on == f.day {
		return nil, nil
	}
	item, err := store.GetOne(ctx, f.l.Store, activeKey(on, f.org, f.day))
	if err != nil || !item.Absent() {
		return nil, err
	}
	began, err := time.Parse(time.DateOnly, on)
	if err != nil {
		return nil, err
	}
	body, err := record.Encode(&activeDay{Org: f.rest[0].Org, Route: []byte(f.org), Day: f.day})
	if err != nil {
		return nil, err
	}
	return []store.Write{{Key: item.Key, Body: body, Expires: began.Add(activeKept)}}, nil
}

// An Active is a day of an org in which something was filed.
type Active struct {
	Org string // the id of the org
	Day string // such as 2026-11-30

	route Route
	key   store.Key
}

// ActiveOn returns days of orgs in which something was filed on the day of the moment on, in UTC. They are those of one shard, from 0
// up to ActiveShards, that come after a place. It returns at most limit of them, the place of the last one, and whether there are more.
func (l *Log) ActiveOn(ctx context.Context, on time.Time, shard int, after string, limit int) (days []Active, last string, more bool, err error) {
	found, err := l.Store.Query(ctx, store.Query{Partition: activePartition(dayOf(on), shard), After: after, Limit: limit})
	if err != nil {
		return nil, "", false, err
	}
	for _, item := range found.Items {
		var a activeDay
		if err := record.Decode(item, &a); err != nil {
			return nil, "", false, err
		}
		if len(a.Route) != orgRoute {
			return nil, "", false, fmt.Errorf("the active day %s has no org", item.Key.Sort)
		}
		days = append(days, Active{Org: a.Org, Day: a.Day, route: Route(a.Route), key: item.Key})
	}
	return days, found.Last, found.More, nil
}
