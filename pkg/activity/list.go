package activity

import (
	"context"
	"slices"
	"strings"
	"time"

	"countersign/pkg/store"
)

// A Query asks for the events of an org, or of one user of the org.
type Query struct {
	Org      string    // the id of the org, which the activity doesn't have
	Route    Route     // of the org, or of the user
	Type     string    // a whole type, or the part before its dot, such as "challenge.failed" or "challenge"; empty means all
	From, To time.Time // events from From on, and before To; zero means no bound
	Limit    int       // the most events that one page may have
	After    Place     // where the page begins; zero means at the newest event
}

// A Place says where a listing goes on: in which day, and where in each shard of the day. Without shards it means the whole day, also
// what is still to be filed there.
type Place struct {
	Day    string       `json:"d"`
	Shards []ShardPlace `json:"s,omitempty"`
}

// A ShardPlace says where a listing goes on in a shard: with the first Events events of a page, and then with the pages before that.
// Page 0 means all pages, also those that are still to be filed. Any other page with no events means that nothing is left.
type ShardPlace struct {
	Page   int   `json:"p,omitempty"` // the number of the page
	Events int   `json:"e,omitempty"` // how many of its events are left
	Filed  int64 `json:"f,omitempty"` // when that page was filed, in Unix milliseconds; 0 if that isn't known
}

// These are the limits of what one page of a listing reads from the store. A page of the activity has at most store.MaxItem
// bytes, as every item has. So the limit of a query bounds how much it reads.
const (
	listingBytes   = 960 << 10         // bytes in all; it leaves 64 KiB of 1 MiB for what every call reads
	listingUsers   = 256 << 10         // of these, the bytes for the keys of the users whom the events are about
	listingQueries = 24                // how many queries there are
	firstPages     = refiledWithin + 2 // how many pages of a shard the first query reads
	daysAtOnce     = 32                // how many days a query reads
)

// filingTime is longer than the times of two filings can differ. They differ because a filing takes some time, and because the
// clocks of two processes differ.
const filingTime = 10 * time.Minute

// refiledWithin is the number of pages, before the page of an event, that are searched to find out whether the event was filed
// before. When a filing is tried again, that happens within seconds.
const refiledWithin = 4

// List returns one page of a listing of events, and the place where the next page begins. The place is nil if there are no more
// events.
//
// The newest events come first: the latest day comes first, and in a day what was filed last. Events are filed within seconds, in
// batches. So this is the order of their times, except for events that happened within moments of each other. An event that was
// filed late is among the events of its own day, in the place where it was filed. The events of one shard come in exactly the
// reverse of the order in which they were filed, and so do the events of one user. If a day has several shards, the listing goes
// back through all of them at the same time, and always takes the page that was filed last.
//
// Nothing changes in this order. A place says how far the listing has come in each shard, pages are added only after the last one,
// and no page changes. So while a client goes from page to page, it misses no event that was there at the beginning, and gets none
// twice. Events that are filed meanwhile, in a part that the client has passed, are in the next listing.
//
// If an event was filed more than once, it is shown in the first of its places. If these are more than refiledWithin pages of its
// shard apart, it is shown again. It always has the same id, so a client that must not count it twice can notice that.
//
// One page reads a bounded number of items, and at most 1 MiB, whatever the day has. So it may have fewer events than the limit, or
// none, although there are more.
//
// A listing doesn't say which user was erased. It says only that an event about that user happened, with its id, type, time, org
// and policy version, and the kind of its actor. It has the actor's id only if the actor is a client or the service. The event
// stays in the org's activity, because erasing a user must not make an attack look as if it had never happened. It is not in the
// activity of any user, not even of a user who was made again under the same id.
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

// lastDay returns the day with which the page begins. It is empty if that is the last day there is.
func (q *Query) lastDay() (last string) {
	if !q.To.IsZero() {
		last = dayOf(q.To.Add(-1))
	}
	if q.After.Day != "" && (last == "" || q.After.Day < last) {
		return q.After.Day
	}
	return last
}

// A listing goes back through the days of an org until it has enough events, or has read as much as one page may read.
type listing struct {
	store   *meteredStore
	users   func(context.Context, store.Store, []Route) (map[Route]User, error)
	q       *Query
	user    User // the user for whose events the query asks
	queries int
	found   []foundEvent
}

// A foundEvent is an event with its entry and the place of that. If User is empty and the entry is about a user, what the event says
// of the user is still encrypted.
type foundEvent struct {
	Event
	listedEvent
	at *Place // the place that begins with this event
}

// collect sets found, and returns where the next page begins. That is nil if there is nothing more.
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
		days.After = last + "~" // this comes after the day, and before the next one
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

// day adds the events of a day. If there are more events than there is room for, it returns where the next page begins.
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
			s.done = true // all that was filed before this page is too early
		}
	}
}

// room returns how many pages the listing may still read, of whatever size they are.
func (g *listing) room() int { return (listingBytes - listingUsers - g.store.bytes()) / store.MaxItem }

// mayQuery reports whether the listing may make n more queries. If so, it counts them.
func (g *listing) mayQuery(n int) bool {
	if g.queries+n > listingQueries {
		return false
	}
	g.queries += n
	return true
}

// wanted reads an event, and reports whether the query asks for it.
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

// matchesType reports whether asked is the type of an event, or the part of it before the dot, or empty.
func matchesType(of, asked string) bool {
	kind, _, _ := strings.Cut(of, ".")
	return asked == "" || of == asked || kind == asked
}

// open decrypts what was found. It reads the users whom the events are about together, in groups that surely fit into what may still
// be read. If something was left out, it also returns where the next page begins.
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

// group returns the first events, as many as there is room to read the users for, and the routes of these users.
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
