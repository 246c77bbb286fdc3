package mfa

import (
	"context"
	"fmt"
	"slices"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/store"
)

// Publish hands on what was committed: events to the activity of their org and to the bus, and notices to the users they
// concern. Only to the bus go events that tell of a checkpoint of the activity. The notices come late, so that no failure after
// them makes Publish send them again; and after them answers are counted, without which it goes on. It is called with records
// as the store's Feed gives them, each at least once. It may do its work twice: an event keeps its id, and a notice is claimed
// before it is sent.
//
// If the user was erased meanwhile, an event that names the user goes to the bus as it was recorded, and to the activity
// so that nobody can read anything of the user. An event that names the user by the route only is dropped. Nobody is told.
func (s *Service) Publish(ctx context.Context, records []store.Record) error {
	p, err := s.gather(ctx, records)
	if err != nil {
		return err
	}
	if len(p.events) > 0 {
		events := make([]activity.Event, 0, len(p.events))
		filed := make([]activity.Filing, 0, len(p.events))
		for i := range p.events {
			events = append(events, p.events[i].Event)
			if p.events[i].Type != ActivityChecked { // for the bus only: it would need the next checkpoint if it were filed
				filed = append(filed, p.events[i])
			}
		}
		if err := s.activity().File(ctx, filed); err != nil {
			return err
		}
		if err := s.Bus.PutEvents(ctx, events); err != nil {
			return fmt.Errorf("put %d events: %w", len(events), err)
		}
	}
	if s.Wake != nil && slices.ContainsFunc(p.events, func(f activity.Filing) bool { return pendingFanOut(&f.Event) }) {
		s.Wake()
	}
	for r, at := range p.waits {
		if err := s.remind(ctx, r, at); err != nil {
			return fmt.Errorf("note that something waits to be told: %w", err)
		}
	}
	for i := range p.events {
		if e := &p.events[i].Event; e.Type == ChallengeLocked && e.User != "" {
			if err := s.noteLock(ctx, e); err != nil {
				return err
			}
		}
	}
	for i := range p.notices {
		if err := s.notify(ctx, &p.notices[i]); err != nil {
			return fmt.Errorf("notify of %s: %w", p.notices[i].about.ID, err)
		}
	}
	for _, partition := range p.answered {
		if err := s.countAnswer(ctx, partition); err != nil {
			s.log().WarnContext(ctx, "an answer could not be counted", "error", err)
		}
	}
	return nil
}

// A publication is what some records hand on.
type publication struct {
	events  []activity.Filing
	notices []addressed
	waits   map[route]time.Time // when there will be room for what waits to be told

	answered []string // where answers are counted
}

// gather finds what records hand on, and reads the guards of those users without whom that can't be done. An event that names its user
// by the route only gets the name from the guard. If the user is gone, it is left out.
func (s *Service) gather(ctx context.Context, records []store.Record) (publication, error) {
	batches := make([]*eventBatch, len(records))
	users := map[route]bool{}
	for i, r := range records {
		b, err := decodeEventBatch(r)
		if err != nil {
			return publication{}, err
		}
		batches[i] = b
		if of := b.route(); of != "" && b.needsGuard() {
			users[of] = true
		}
	}
	guards, err := readGuards(ctx, s.Store, users)
	if err != nil {
		return publication{}, err
	}
	p := publication{waits: map[route]time.Time{}}
	for _, b := range batches {
		if b.Answered != "" {
			p.answered = append(p.answered, b.Answered)
		}
		r := b.route()
		g := guards[r]
		if g != nil && g.life() == b.Life {
			b.User = g.User
		} else {
			g = nil
		}
		if r != "" && b.User == "" {
			continue
		}
		under := b.filedUnder()
		for _, e := range b.pendingEvents() {
			p.events = append(p.events, b.filing(&e, under, g))
			if g != nil {
				for _, to := range e.To {
					p.notices = append(p.notices, addressed{recipient: to, about: e.Event, life: e.Life, topic: e.Topic})
				}
				for _, to := range e.Watchers {
					p.notices = append(p.notices, addressed{recipient: to, about: e.Event, life: e.Life, topic: watchTopic(&e.Event), watcher: true})
				}
			}
		}
		if g == nil {
			continue
		}
		for _, sum := range b.Sums {
			about := activity.Event{ID: sum.ID, Org: b.Org, User: b.User, PolicyVersion: b.PolicyVersion}
			p.notices = append(p.notices, addressed{recipient: sum.recipient, about: about, life: b.Life, sum: sum.Items})
		}
		if !b.Waits.IsZero() {
			p.waits[r] = b.Waits
		}
	}
	return p, nil
}

// filing is an event for the activity. g is the guard of the user it is about. It is nil if the event is about nobody, the user is
// gone, or the guard was not read.
func (b *eventBatch) filing(e *pendingEvent, under activity.Route, g *guard) activity.Filing {
	f := activity.Filing{Event: e.Event, Route: under, Key: b.EntryKey}
	if f.Key == nil && g != nil {
		f.Key = activity.Key(g.ActivityKey).Entry(e.Time)
	}
	return f
}

// needsGuard reports whether the batch can't be handed on without the guard of its user: because only the guard has the name of the
// user or the key of the entry, or because somebody is to be told who must still exist.
func (b *eventBatch) needsGuard() bool {
	tells := func(e batchEntry) bool { return len(e.To) > 0 || len(e.Watchers) > 0 }
	return b.User == "" || b.EntryKey == nil || len(b.Sums) > 0 || !b.Waits.IsZero() || slices.ContainsFunc(b.Entries, tells)
}
