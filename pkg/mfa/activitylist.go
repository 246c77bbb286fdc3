package mfa

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/store"
)

// An ActivityQuery asks for events of an org. Zero fields don't narrow it.
type ActivityQuery struct {
	Org      string
	User     string
	Type     string    // all that is before the dot, or a whole type: "challenge", "challenge.failed"
	From, To time.Time // From included, To not
	ListQuery
}

// An Activity is one page of a listing of events, newest first: the latest day first, and in a day what was filed last.
//
// Events are filed within seconds, in batches, so this is the order of their times but for events that happened within
// moments of each other. An event that was filed late is where it was filed, among those of its own day. In this order
// nothing moves: whatever is filed while a client goes from page to page, no event that was there at the beginning is
// missed, and none comes again. What is filed meanwhile in a part that the client has passed is found by the next listing.
//
// An event that was filed more than once, since what hands it on does so at least once, is shown in the first of its
// places. Where these are more than refiledWithin pages of the day apart, it is shown again: it has one id, by which a
// client that must not count it twice can tell.
//
// One page reads a bounded number of items and at most 1 MiB, whatever the day holds. So it may have fewer items than the
// limit, or none, while its cursor says that there are more.
//
// Of a user who was erased it says nothing. What is left of such an event is that it happened: id, type, time, org and
// policy version, the kind of its actor, and who that was only where it was a client or the service; it has no user, and
// data is empty. It stays in an org's activity because erasing a user must not make an attack look as if there had been
// none. It is in no user's activity: not even in that of a user who was made again under the same id.
type Activity struct {
	Items  []json.RawMessage `json:"items"`
	Cursor *string           `json:"cursor"` // null: there are no more
}

// What one page of a listing reads from the store at most. A page of the activity, like any item, has at most
// store.MaxItem bytes, so that a query is bounded by its limit.
const (
	listingBytes   = 960 << 10 // in all, which leaves 64 KiB for what every call reads
	listingGuards  = 256 << 10 // of these, left for the guards of the users whom the events are about
	listingQueries = 24        // one after the other
	firstPages     = refiledWithin + 2
	daysAtOnce     = 32
	guardBytes     = 16 << 10 // more than a guard takes, all of whose parts are bounded
)

// refiledWithin is how many pages, filed before the one that an event is on, are searched for an earlier filing of it.
// What is tried again is filed again within seconds.
const refiledWithin = 4

// UserActivity lists the events of one user. It needs the scope manage.
func (s *Service) UserActivity(ctx context.Context, call Call, q ActivityQuery) (Activity, error) {
	if err := checkID("user", q.User); err != nil {
		return Activity{}, err
	}
	return s.activity(ctx, call, apikey.Manage, q)
}

// OrgActivity lists the events of an org. It needs the scope admin.
func (s *Service) OrgActivity(ctx context.Context, call Call, q ActivityQuery) (Activity, error) {
	if q.User != "" {
		if err := checkID("user", q.User); err != nil {
			return Activity{}, err
		}
	}
	return s.activity(ctx, call, apikey.Admin, q)
}

func (s *Service) activity(ctx context.Context, call Call, scope apikey.Scope, q ActivityQuery) (Activity, error) {
	if err := checkID("org", q.Org); err != nil {
		return Activity{}, err
	}
	if err := checkText("type", q.Type, 64); err != nil {
		return Activity{}, err
	}
	limit, err := q.limit()
	if err != nil {
		return Activity{}, err
	}
	call.Replay = nil
	return run(ctx, s, call, step[Activity]{
		scope: scope, org: q.Org,
		decide: func(u *unit) (Activity, error) {
			l := newListing(s, &q, limit)
			if err := u.openCursor(q.Cursor, q.bound(), &l.from); err != nil {
				return Activity{}, err
			}
			next, err := l.collect(u.ctx)
			if err != nil {
				return Activity{}, AsError(err)
			}
			var answer Activity
			var rest *listedPlace
			if answer.Items, rest, err = l.shown(u.ctx); err != nil {
				return Activity{}, AsError(err)
			}
			if rest != nil {
				next = rest
			}
			if next != nil {
				answer.Cursor = u.cursor(q.bound(), next)
			}
			return answer, nil
		},
	})
}

// bound is what a cursor is good for: this listing and no other, whatever the limit.
func (q *ActivityQuery) bound() []string {
	return []string{"activity", q.Org, q.User, q.Type, q.From.UTC().Format(time.RFC3339Nano), q.To.UTC().Format(time.RFC3339Nano)}
}

// lastDay is the latest day that has what q asks for; empty: there is no such bound.
func (q *ActivityQuery) lastDay() string {
	if q.To.IsZero() {
		return ""
	}
	return dayOf(q.To.Add(-1))
}

// A listedPlace is where a listing goes on: with the first so many entries of a page, and the pages before it. Page 0
// stands for all pages of the day, whichever these will be.
type listedPlace struct {
	Day     string `json:"day"`
	Page    int    `json:"page,omitempty"`
	Entries int    `json:"entries,omitempty"`
}

// A listing goes back through the days of an org until it has enough, or has read as much as one page may.
type listing struct {
	s       *Service // over meter
	meter   *meteredStore
	q       *ActivityQuery
	limit   int
	r       route       // of the org, or of the one user that it narrows to
	guard   *guard      // that user's
	from    listedPlace // zero: at the newest event
	queries int
	found   []listedEvent
}

func newListing(s *Service, q *ActivityQuery, limit int) *listing {
	metered := *s
	meter := &meteredStore{Store: s.Store}
	metered.Store = meter
	return &listing{s: &metered, meter: meter, q: q, limit: limit, r: routeOf(q.Org, q.User)}
}

// A listedEvent is an event, the entry it is in, and where that is. What it says of its user is still sealed where User
// is empty and the entry's Of isn't.
type listedEvent struct {
	Event
	entry *entry
	at    listedPlace // the place that begins with it
}

// collect fills found, and answers where to go on; nil: there is nothing further back.
func (l *listing) collect(ctx context.Context) (*listedPlace, error) {
	if l.q.User != "" {
		guards, err := l.s.readGuards(ctx, map[route]bool{l.r: true})
		if l.guard = guards[l.r]; err != nil || l.guard == nil {
			return nil, err
		}
	}
	days := store.Query{Partition: daysPartition(l.r), Reverse: true, Limit: daysAtOnce}
	if last := l.lastDay(); last != "" {
		days.After = last + "~" // which sorts after the day, and before the next
	}
	for more := true; more; {
		l.queries++
		page, err := l.s.Store.Query(ctx, days)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			day := item.Key.Sort
			if !l.q.From.IsZero() && day < dayOf(l.q.From) {
				return nil, nil
			}
			if next, err := l.day(ctx, day); err != nil || next != nil {
				return next, err
			}
		}
		days.After, more = page.Last, page.More
	}
	return nil, nil
}

// lastDay is the day to begin with; empty: the last one there is.
func (l *listing) lastDay() string {
	last := l.q.lastDay()
	if l.from.Day != "" && (last == "" || l.from.Day < last) {
		return l.from.Day
	}
	return last
}

// day adds a day's events. It answers where to go on when they were more than there was room for.
func (l *listing) day(ctx context.Context, day string) (*listedPlace, error) {
	pages := l.pages(day)
	for {
		h, enough, err := pages.next(ctx)
		switch {
		case err != nil:
			return nil, err
		case !enough:
			return &pages.at, nil
		case h == nil:
			return nil, nil
		}
		for ; pages.at.Entries > 0; pages.at.Entries-- {
			e, wanted, err := l.wanted(&h.Entries[pages.at.Entries-1])
			if err != nil {
				return nil, err
			}
			if !wanted || pages.filedBefore(e.ID) {
				continue
			}
			if len(l.found) == l.limit {
				return &pages.at, nil
			}
			e.at = pages.at
			l.found = append(l.found, e)
		}
		if h.Filed.Before(l.q.From.Add(-filingTime)) {
			return nil, nil // and so is all that was filed before it
		}
	}
}

// wanted opens an entry, and reports whether it is in what the listing narrows to.
func (l *listing) wanted(in *entry) (e listedEvent, wanted bool, err error) {
	e.entry = in
	if in.Body == nil || l.q.User != "" && in.route(l.r) != l.r {
		return e, false, nil
	}
	if err := json.Unmarshal(in.Body, &e.Event); err != nil {
		return e, false, err
	}
	wanted = matchesType(e.Type, l.q.Type) && !e.Time.Before(l.q.From) && (l.q.To.IsZero() || e.Time.Before(l.q.To)) &&
		(l.q.User == "" || l.guard.reveal(in, &e.Event))
	return e, wanted, nil
}

// matchesType reports whether an event's type is the one asked for, or has it before its dot.
func matchesType(of, asked string) bool {
	kind, _, _ := strings.Cut(of, ".")
	return asked == "" || of == asked || kind == asked
}

// shown opens what was found. It reads the guards of all whom it is about side by side, in groups that can't be more than
// what is left to be read; rest is where to go on when something was left out.
func (l *listing) shown(ctx context.Context) (items []json.RawMessage, rest *listedPlace, err error) {
	items = []json.RawMessage{}
	for next := l.found; len(next) > 0; {
		group, users := l.group(next)
		if len(group) == 0 {
			return items, &next[0].at, nil
		}
		guards, err := l.s.readGuards(ctx, users)
		if err != nil {
			return nil, nil, err
		}
		for i := range group {
			e := &group[i]
			if g := guards[e.entry.route(l.r)]; g != nil {
				g.reveal(e.entry, &e.Event)
			}
			item, err := json.Marshal(e.Event)
			if err != nil {
				return nil, nil, err
			}
			items = append(items, item)
		}
		next = next[len(group):]
	}
	return items, nil, nil
}

// group is the first of events, as many as there is room to read the guards of, and the users whose guards are needed.
func (l *listing) group(events []listedEvent) (group []listedEvent, users map[route]bool) {
	room := (listingBytes - l.meter.bytes()) / guardBytes
	users = map[route]bool{}
	for i := range events {
		e := &events[i]
		if e.User != "" || e.entry.Of == "" {
			continue
		}
		r := e.entry.route(l.r)
		if !users[r] && len(users) == room {
			return events[:i], users
		}
		users[r] = true
	}
	return events, users
}
