package mfa

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"countersign/pkg/store"
)

// An ActivityQuery asks for events of an org, newest first. Zero fields don't narrow it.
type ActivityQuery struct {
	Org      string
	User     string
	Type     string    // all that is before the dot, or a whole type: "challenge", "challenge.failed"
	From, To time.Time // From included, To not
	ListQuery
}

// An Activity is one page of events.
//
// Of a user who was erased it says nothing. What is left of such an event is that it happened: id, type, time, org and
// policy version, the kind of its actor, and who that was only where it was a client or the service; it has no user, and
// data is empty. It stays in an org's activity because erasing a user must not make an attack look as if there had been
// none. It is in no user's activity: not even in that of a user who was made again under the same id.
type Activity struct {
	Items  []json.RawMessage `json:"items"`
	Cursor *string           `json:"cursor"` // null: there are no more
}

// activityReads is how many pages one answer goes through at most; what it didn't reach, the next does.
const activityReads = 400

// place is where a listing stands: at an event of a day, or at a day's end when id is empty.
type place struct {
	Day string    `json:"day"`
	At  time.Time `json:"at,omitzero"`
	ID  string    `json:"id,omitempty"`
}

// UserActivity lists the events of one user. It needs the scope manage.
func (s *Service) UserActivity(ctx context.Context, call Call, q ActivityQuery) (Activity, error) {
	if err := checkID("user", q.User); err != nil {
		return Activity{}, err
	}
	return s.activity(ctx, call, ScopeManage, q)
}

// OrgActivity lists the events of an org. It needs the scope admin.
func (s *Service) OrgActivity(ctx context.Context, call Call, q ActivityQuery) (Activity, error) {
	if q.User != "" {
		if err := checkID("user", q.User); err != nil {
			return Activity{}, err
		}
	}
	return s.activity(ctx, call, ScopeAdmin, q)
}

func (s *Service) activity(ctx context.Context, call Call, scope Scope, q ActivityQuery) (Activity, error) {
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
			l := &listing{s: s, q: &q, limit: limit, r: routeOf(q.Org, q.User)}
			if err := u.openCursor(q.Cursor, q.bound(), &l.from); err != nil {
				return Activity{}, err
			}
			next, err := l.collect(u.ctx)
			if err != nil {
				return Activity{}, AsError(err)
			}
			var answer Activity
			if answer.Items, err = l.shown(u.ctx); err != nil {
				return Activity{}, AsError(err)
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

// A listing goes back through the days of an org until it has enough.
type listing struct {
	s     *Service
	q     *ActivityQuery
	r     route  // of the org, or of the one user that it narrows to
	guard *guard // that user's
	from  *place // nil: at the newest event
	limit int
	found []filed
	reads int
}

// collect fills found, and answers where to go on; nil: there is nothing further back.
func (l *listing) collect(ctx context.Context) (*place, error) {
	if l.q.User != "" {
		guards, err := l.s.readGuards(ctx, map[route]bool{l.r: true})
		if l.guard = guards[l.r]; err != nil || l.guard == nil {
			return nil, err
		}
	}
	days := store.Query{Partition: daysPartition(l.r), Reverse: true}
	for more := true; more; {
		page, err := l.s.Store.Query(ctx, days)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			day := item.Key.Sort
			if l.from != nil && day > l.from.Day || !l.q.To.IsZero() && day > dayOf(l.q.To) {
				continue
			}
			if !l.q.From.IsZero() && day < dayOf(l.q.From) {
				return nil, nil
			}
			if l.reads >= activityReads {
				return &place{Day: day}, nil
			}
			if next, err := l.day(ctx, day); err != nil || next != nil {
				return next, err
			}
		}
		days.After, more = page.Last, page.More
	}
	return nil, nil
}

// A filed event, and the entry it is in. What it says of its user is still sealed where User is empty and the entry's Of
// isn't.
type filed struct {
	Event
	entry entry
}

// shown opens what was found. It reads the guards of all whom it is about side by side.
func (l *listing) shown(ctx context.Context) ([]json.RawMessage, error) {
	users := map[route]bool{}
	for _, f := range l.found {
		if f.User == "" && f.entry.Of != "" {
			users[f.entry.route(l.r)] = true
		}
	}
	guards, err := l.s.readGuards(ctx, users)
	if err != nil {
		return nil, err
	}
	items := []json.RawMessage{}
	for _, f := range l.found {
		if g := guards[f.entry.route(l.r)]; g != nil {
			g.reveal(&f.entry, &f.Event)
		}
		item, err := json.Marshal(f.Event)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

// day adds a day's events. It answers where to go on when they were more than there was room for.
func (l *listing) day(ctx context.Context, day string) (*place, error) {
	var events []filed
	seen := map[string]bool{}
	err := l.s.eachPage(ctx, l.r, day, func(h *heldPage) error {
		l.reads++
		for _, e := range h.Entries {
			if e.Body == nil {
				continue
			}
			f := filed{entry: e}
			if err := json.Unmarshal(e.Body, &f.Event); err != nil {
				return err
			}
			if !seen[f.ID] && l.wanted(&f) {
				seen[f.ID] = true
				events = append(events, f)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(events, func(a, b filed) int { return newerFirst(&a.Event, b.Time, b.ID) })
	for i, e := range events {
		if l.from != nil && l.from.Day == day && l.from.ID != "" && newerFirst(&e.Event, l.from.At, l.from.ID) <= 0 {
			continue
		}
		if len(l.found) == l.limit {
			last := events[i-1]
			if i == 0 {
				return &place{Day: day}, nil
			}
			return &place{Day: day, At: last.Time, ID: last.ID}, nil
		}
		l.found = append(l.found, e)
	}
	return nil, nil
}

// newerFirst orders events by time, the newest first, and within a moment by id.
func newerFirst(e *Event, at time.Time, id string) int {
	if c := at.Compare(e.Time); c != 0 {
		return c
	}
	return strings.Compare(id, e.ID)
}

// wanted reports whether f is in what the listing narrows to. To know that of one user's it opens f.
func (l *listing) wanted(f *filed) bool {
	kind, _, _ := strings.Cut(f.Type, ".")
	return (l.q.Type == "" || f.Type == l.q.Type || kind == l.q.Type) &&
		(l.q.From.IsZero() || !f.Time.Before(l.q.From)) && (l.q.To.IsZero() || f.Time.Before(l.q.To)) &&
		(l.q.User == "" || f.entry.route(l.r) == l.r && l.guard.reveal(&f.entry, &f.Event))
}
