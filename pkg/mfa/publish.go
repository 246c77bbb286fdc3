package mfa

import (
	"context"
	"fmt"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/store"
)

// Publish hands on what was committed: events to the activity of their org and to the bus, and notices to the users they
// concern, these last so that nothing that fails after them has them asked for again. It is called with records as the
// store's Feed gives them, at least once each, and may do its work twice: an event keeps its id, and a notice is claimed
// before it is sent.
//
// What is about a user who was erased meanwhile goes to the bus as it was recorded, and to the activity without anything
// of the user. It is told to nobody.
func (s *Service) Publish(ctx context.Context, records []store.Record) error {
	batch, err := s.gather(ctx, records)
	if err != nil {
		return err
	}
	if len(batch.events) > 0 {
		events := make([]activity.Event, 0, len(batch.events))
		for i := range batch.events {
			events = append(events, batch.events[i].Event)
		}
		if err := s.activity().File(ctx, batch.events); err != nil {
			return err
		}
		if err := s.Bus.PutEvents(ctx, events); err != nil {
			return fmt.Errorf("put %d events: %w", len(events), err)
		}
	}
	for r, at := range batch.waits {
		if err := s.remind(ctx, r, at); err != nil {
			return fmt.Errorf("note that something waits to be told: %w", err)
		}
	}
	for i := range batch.notices {
		if err := s.notify(ctx, &batch.notices[i]); err != nil {
			return fmt.Errorf("notify of %s: %w", batch.notices[i].about.ID, err)
		}
	}
	return nil
}

// A batch is what some records hand on.
type batch struct {
	events  []activity.Filing
	notices []addressed
	waits   map[route]time.Time // when there will be room for what waits to be told
}

// gather takes out of records what they hand on, and reads the guards of all they are about. An event that rode without
// its user's name gets it back; where the user is gone, there is nobody left to tell of, or to tell.
func (s *Service) gather(ctx context.Context, records []store.Record) (batch, error) {
	manifests := make([]*eventBatch, len(records))
	users := map[route]bool{}
	for i, r := range records {
		m, err := decodeEventBatch(r)
		if err != nil {
			return batch{}, err
		}
		manifests[i] = m
		if of := m.route(); of != "" {
			users[of] = true
		}
	}
	guards, err := readGuards(ctx, s.Store, users)
	if err != nil {
		return batch{}, err
	}
	b := batch{waits: map[route]time.Time{}}
	for _, m := range manifests {
		r := m.route()
		g := guards[r]
		if g != nil && g.life() == m.Life {
			m.User = g.User
		} else {
			g = nil
		}
		if r != "" && m.User == "" {
			continue
		}
		for _, e := range m.carried() {
			b.events = append(b.events, filing(&e, r, g))
			if g != nil {
				for _, to := range e.To {
					b.notices = append(b.notices, addressed{recipient: to, about: e.Event, life: e.Life, topic: e.Topic})
				}
			}
		}
		if g == nil {
			continue
		}
		for _, sum := range m.Sums {
			about := activity.Event{ID: sum.ID, Org: m.Org, User: m.User, PolicyVersion: m.PolicyVersion}
			b.notices = append(b.notices, addressed{recipient: sum.recipient, about: about, life: m.Life, sum: sum.Items})
		}
		if !m.Waits.IsZero() {
			b.waits[r] = m.Waits
		}
	}
	return b, nil
}

// filing is an event for the activity, about the user of a route whose guard is g. The guard is nil where the event is about
// nobody, or about a user who is gone.
func filing(e *pendingEvent, r route, g *guard) activity.Filing {
	f := activity.Filing{Event: e.Event, Route: activity.Route(r)}
	if r == "" {
		f.Route = activity.Route(routeOf(e.Org, "").org())
	}
	if g != nil {
		f.Key = g.ActivityKey
	}
	return f
}

// route is that of the user whom the manifest is about; empty: it is about nobody.
func (m *eventBatch) route() route {
	if m.User != "" {
		return routeOf(m.Org, m.User)
	}
	return route(m.Of)
}
