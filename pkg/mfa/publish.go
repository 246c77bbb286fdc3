package mfa

import (
	"context"
	"fmt"
	"time"

	"countersign/pkg/store"
)

// Publish hands on what was committed: events to the activity of their org and to the bus, and notices to the users they
// concern, these last so that nothing that fails after them has them sent again. It is called with records as the store's
// Feed gives them, at least once each, and may do its work twice: an event keeps its id.
//
// What is about a user who was erased meanwhile goes to the bus as it was recorded, and to the activity without anything
// of the user.
//
// A notice that can't be handed over is recorded as delivery.failed and not tried again, so that one bad address doesn't
// hold up everything behind it.
func (s *Service) Publish(ctx context.Context, records []store.Record) error {
	batch, err := s.gather(ctx, records)
	if err != nil || len(batch) == 0 {
		return err
	}
	if err := s.file(ctx, batch); err != nil {
		return err
	}
	events := make([]Event, 0, len(batch))
	for _, p := range batch {
		events = append(events, p.Event)
	}
	if err := s.Bus.PutEvents(ctx, events); err != nil {
		return fmt.Errorf("put %d events: %w", len(events), err)
	}
	for _, p := range batch {
		if !p.Notify {
			continue
		}
		if err := s.notify(ctx, p.Event); err != nil {
			return err
		}
	}
	return nil
}

// published is an event that is being handed on, with the guard of the user it is about as that is now. The guard is nil
// where the event is about nobody, or about a user who is gone.
type published struct {
	carried
	route route
	guard *guard
}

// gather takes the events out of records, and reads the guards of all they are about. An event that rode without its
// user's name gets it back; where the user is gone, there is nobody left to tell of.
func (s *Service) gather(ctx context.Context, records []store.Record) ([]published, error) {
	var all []published
	users := map[route]bool{}
	for _, r := range records {
		batch, err := decodeEvents(r)
		if err != nil {
			return nil, err
		}
		for _, c := range batch {
			p := published{carried: c, route: route(c.Of)}
			if c.User != "" {
				p.route = routeOf(c.Org, c.User)
			}
			if p.route != "" {
				users[p.route] = true
			}
			all = append(all, p)
		}
	}
	guards, err := s.readGuards(ctx, users)
	if err != nil {
		return nil, err
	}
	batch := all[:0]
	for _, p := range all {
		if g := guards[p.route]; g != nil && g.life() == p.Life {
			p.guard, p.User = g, g.User
		}
		if p.route == "" || p.User != "" {
			batch = append(batch, p)
		}
	}
	return batch, nil
}

// noticeOf is what a user is told of an event.
var noticeOf = map[string]func(sender, language string, n notice) Message{
	ChallengeLocked: lockMessage,
	BrowserTheft:    theftMessage,
	FactorEnrolled:  enrolledMessage,
	FactorRemoved:   removedMessage,
	RecoveryUsed:    recoveryUsedMessage,
	RecoveryMade:    recoveryMadeMessage,
	UserDisabled:    disabledMessage,
	UserUnlocked:    unlockedMessage,
}

// notify tells a user by email what an event says. The commit that recorded the event has counted the email.
func (s *Service) notify(ctx context.Context, e Event) error {
	r := routeOf(e.Org, e.User)
	var a *account
	var p *orgPolicy
	if err := side(ctx, s.readAccount(r, &a), s.readPolicy(r, e.Org, &p)); err != nil {
		return fmt.Errorf("notify of %s: %w", e.ID, err)
	}
	if !a.known() || a.guard.Profile.Email == "" {
		return nil
	}
	profile := a.guard.Profile
	language := p.language(profile.Locale)
	n := notice{to: profile.Email, name: profile.Name, left: a.guard.codesLeft(p)}
	n.browsers, _ = e.Data["browsers"].(string)
	n.until, _ = a.guard.Guesses.locked(n.browsers == knownBrowsers, e.Time)
	n.kind, _ = e.Data["kind"].(string)
	write, ok := noticeOf[e.Type]
	if !ok {
		return fmt.Errorf("notify of %s: no message for %s", e.ID, e.Type)
	}
	if e.Type == ChallengeLocked && e.Data["recovery"] == true {
		write = recoveryLockMessage
	}
	m := write(s.sender(), language, n)
	if err := s.Mail.SendMail(ctx, m); err != nil {
		s.log().WarnContext(ctx, "a notice was not handed over", "event", e.ID, "error", err)
		return s.recordUndelivered(ctx, r, e)
	}
	return nil
}

// recordUndelivered records that a notice didn't go out, on the user's guard; a user erased meanwhile needs no record.
func (s *Service) recordUndelivered(ctx context.Context, r route, about Event) error {
	return s.alone(ctx, func(u *unit) error {
		var a *account
		if err := s.readAccount(r, &a)(ctx); err != nil || !a.known() {
			return err
		}
		u.put(a.item, a.guard, time.Time{})
		u.event(a.guard.event(DeliveryFailure, about.PolicyVersion, map[string]any{"channel": "email", "about": about.ID}).by(serviceActor))
		return nil
	})
}

// alone runs a piece of the service's own work, for no caller: it reads, decides and commits, again where it lost a race.
func (s *Service) alone(ctx context.Context, work func(*unit) error) error {
	return (&unit{s: s, ctx: ctx}).repeat(work)
}

// repeat has work read, decide and plan, and commits that, again where it lost a race.
func (u *unit) repeat(work func(*unit) error) error {
	for try := 1; ; try++ {
		u.begin(u.ring)
		if err := work(u); err != nil {
			return err
		}
		err := u.commit(u.ctx)
		if err == nil || !isConflict(err) || try == mostTries {
			return err
		}
		if err := u.s.pause(u.ctx, try); err != nil {
			return err
		}
	}
}
