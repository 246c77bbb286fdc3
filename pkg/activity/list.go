package activity

import (
	"context"
	"slices"
	"strings"
	"time"

	"countersign/pkg/store"
)

// A Query asks for events of an org, or of one user of it. From Type on, zero fields don't narrow it.
type Query struct {
	Org      string    // the org's id, which the activity doesn't hold
	Route    Route     // of the org, or of the user
	Type     string    // all that is before the dot, or a whole type: "challenge", "challenge.failed"
	From, To time.Time // From included, To not
	Limit    int       // the most events that one page may have
	After    Place     // where to go on; zero: at the newest event
}

// A Place is where a listing goes on: in a day, and in each of its shards. Without shards it stands for all of the day,
// whatever that will be.
type Place struct {
	Day    string       `json:"d"`
	Shards []ShardPlace `json:"s,omitempty"`
}

// A ShardPlace is where a listing goes on in a shard: with the first so many events of a page, and the pages before it. Page 0
// stands for all pages, whichever they will be, and any other page without events for none.
type ShardPlace struct {
	Page   int   `json:"p,omitempty"`
	Events int   `json:"e,omitempty"`
	Filed  int64 `json:"f,omitempty"` // when that page was, Unix milliseconds; 0: not known
}

// What one page of a listing reads from the store at most. A page of the activity, like any item, has at most
// store.MaxItem bytes, so a query is bounded by its limit.
const (
	listingBytes   = 960 << 10         // in all, which leaves 64 KiB of 1 MiB for what every call reads
	listingUsers   = 256 << 10         // of these, kept for the keys of the users whom the events are about
	listingQueries = 24                // one after the other
	firstPages     = refiledWithin + 2 // of a shard
	daysAtOnce     = 32
)

// filingTime is more than two filings can differ in what they take the time for: how long one of them may last, and how
// far apart the clocks of two processes are.
const filingTime = 10 * time.Minute

// refiledWithin is how many pages, filed before the one that an event is on, are searched for an earlier filing of it.
// What is tried again is filed again within seconds.
const refiledWithin = 4

// List gives one page of a listing of events, and the place where the next page goes on; nil: there are no more.
//
// The newest events come first: the latest day first, and in a day what was filed last. Events are filed within seconds,
// in batches, so this is the order of their times except for events that happened within moments of each other. An event
// that was filed late is where it was filed, among those of its own day. The events of one shard, and so those of one user,
// come in exactly the reverse of the order in which they were filed. Where a day has several shards, the listing goes back
// through all of them at once, and always takes the page that was filed last of those that it has come to.
//
// In this order nothing moves: a place says how far the listing has come in each shard, pages are only ever added after
// the last one, and no page changes. So whatever is filed while a client goes from page to page, no event that was there
// at the beginning is missed, and none comes again. What is filed meanwhile in a part that the client has passed is found
// by the next listing.
//
// An event that was filed more than once is shown in the first of its places. Where these are more than refiledWithin
// pages of its shard apart, it is shown again. It has one id, by which a client that must not count it twice can tell.
//
// One page reads a bounded number of items and at most 1 MiB, whatever the day holds. So it may have fewer events than the
// limit, or none, while there are more.
//
// Of a user who was erased a listing says nothing. What remains of such an event is that it happened: id, type, time, org
// and policy version, and the kind of its actor; the actor's id only where that is a client or the service. It stays in
// the org's activity, because erasing a user must not make an attack look as if it had never happened. It is in no user's
// activity, not even in that of a user who was made again under the same id.
func (l *Log) List(ctx context.Context, q Query) (events []Event, next *Place, err error) {
	meter := &meteredStore{Store: l.Store}
	g := &listing{store: meter, users: l.Users, q: &q}
	next, err = g.collect(ctx)
	if err != nil {
		return nil, nil, err
	}
	events, rest, err := g.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	if rest != nil {
		next = rest
	}
	return events, next, nil
}

// ofUser reports whether the query asks for the events of one user.
func (q *Query) ofUser() bool { return len(q.Route) > orgRoute }

// lastDay is the day to begin with; empty: the last one there is.
func (q *Query) lastDay() (last string) {
	if !q.To.IsZero() {
		last = dayOf(q.To.Add(-1))
	}
	if q.After.Day != "" && (last == "" || q.After.Day < last) {
		return q.After.Day
	}
	return last
}

// A listing goes back through the days of an org until it has enough, or has read as much as one page may.
type listing struct {
	store   *meteredStore
	users   func(context.Context, store.Store, []Route) (map[Route]User, error)
	q       *Query
	user    User // that the query narrows to
	queries int
	found   []foundEvent
}

// A foundEvent is an event, the entry it is in, and where that is. What it says of its user is still encrypted where User
// is empty and the entry is about one.
type foundEvent struct {
	Event
	listedEvent
	at *Place // the place that begins with it
}

// collect fills found, and answers where to go on; nil: there is nothing further back.
func (g *listing) collect(ctx context.Context) (*Place, error) {
	if g.q.ofUser() {
		users, err := g.users(ctx, g.store, []Route{g.q.Route})
		if err != nil {
			return nil, err
		}
		var exists bool
		if g.user, exists = users[g.q.Route]; !exists {
			return nil, nil
		}
	}
	days := store.Query{Partition: daysPartition(g.q.Route), Reverse: true, Limit: daysAtOnce}
	if last := g.q.lastDay(); last != "" {
		days.After = last + "~" // which sorts after the day, and before the next
	}
	for more := true; more; {
		g.queries++
		page, err := g.store.Query(ctx, days)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			d, err := readDay(item)
			if err != nil {
				return nil, err
			}
			if !g.q.From.IsZero() && d.name < dayOf(g.q.From) {
				return nil, nil
			}
			if next, err := g.day(ctx, d); err != nil || next != nil {
				return next, err
			}
		}
		days.After, more = page.Last, page.More
	}
	return nil, nil
}

// day adds a day's events. It answers where to go on when there were more than there was room for.
func (g *listing) day(ctx context.Context, d *storedDay) (*Place, error) {
	shards := g.shards(d)
	for {
		s, enough, err := shards.last(ctx)
		switch {
		case err != nil:
			return nil, err
		case !enough:
			return shards.place(), nil
		case s == nil:
			return nil, nil
		}
		p := s.ahead[0]
		for ; s.at.Events > 0; s.at.Events-- {
			e, wanted, err := g.wanted(p.events[s.at.Events-1])
			if err != nil {
				return nil, err
			}
			if !wanted || s.filedBefore(e.ID) {
				continue
			}
			if len(g.found) == g.q.Limit {
				return shards.place(), nil
			}
			e.at = shards.place()
			g.found = append(g.found, e)
		}
		s.turn()
		if p.filed.Before(g.q.From.Add(-filingTime)) {
			s.done = true // and so is all that was filed before it
		}
	}
}

// room is how many pages, of whatever size, the listing may still read.
func (g *listing) room() int { return (listingBytes - listingUsers - g.store.bytes()) / store.MaxItem }

// mayQuery reports whether the listing may ask the store so many times more, and counts them if it may.
func (g *listing) mayQuery(n int) bool {
	if g.queries+n > listingQueries {
		return false
	}
	g.queries += n
	return true
}

// wanted opens an event, and reports whether the query asks for it.
func (g *listing) wanted(in listedEvent) (e foundEvent, wanted bool, err error) {
	e.listedEvent = in
	if in.entry == nil || g.q.ofUser() && in.entry.route(g.q.Route) != g.q.Route {
		return e, false, nil
	}
	if e.Event, err = in.entry.event(in.place, g.q.Org); err != nil {
		return e, false, err
	}
	wanted = matchesType(e.Type, g.q.Type) && !e.Time.Before(g.q.From) && (g.q.To.IsZero() || e.Time.Before(g.q.To)) &&
		(!g.q.ofUser() || g.user.reveal(in.entry, in.place, g.q.Route, &e.Event))
	return e, wanted, nil
}

// matchesType reports whether an event's type is the one asked for, or has it before its dot.
func matchesType(of, asked string) bool {
	kind, _, _ := strings.Cut(of, ".")
	return asked == "" || of == asked || kind == asked
}

// open decrypts what was found. It reads all users whom the events are about side by side, in groups that surely fit into
// what is left to be read. rest is where to go on when something was left out.
func (g *listing) open(ctx context.Context) (events []Event, rest *Place, err error) {
	for next := g.found; len(next) > 0; {
		group, routes := g.group(next)
		if len(group) == 0 {
			return events, next[0].at, nil
		}
		var users map[Route]User
		if len(routes) > 0 {
			if users, err = g.users(ctx, g.store, routes); err != nil {
				return nil, nil, err
			}
		}
		for i := range group {
			e := &group[i]
			if user, exists := users[e.entry.route(g.q.Route)]; exists {
				user.reveal(e.entry, e.place, g.q.Route, &e.Event)
			}
			events = append(events, e.Event)
		}
		next = next[len(group):]
	}
	return events, nil, nil
}

// group is the first of events, as many as there is room to read the users of, and the routes of the users that are needed.
func (g *listing) group(events []foundEvent) (group []foundEvent, routes []Route) {
	room := (listingBytes - g.store.bytes()) / UserBytes
	for i := range events {
		e := &events[i]
		user := e.entry.route(g.q.Route)
		if e.User != "" || user == "" || slices.Contains(routes, user) {
			continue
		}
		if len(routes) == room {
			return events[:i], routes
		}
		routes = append(routes, user)
	}
	return events, routes
}
