package mfa

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// The types of event that this package records so far.
const (
	ChallengeStarted  = "challenge.started"
	ChallengeSent     = "challenge.sent"
	ChallengeVerified = "challenge.verified"
	ChallengeFailed   = "challenge.failed"
	ChallengeLocked   = "challenge.locked"
	FactorEnrolled    = "factor.enrolled"
	FactorRemoved     = "factor.removed"
	FactorRenamed     = "factor.renamed"
	RecoveryUsed      = "recovery.used"
	RecoveryMade      = "recovery.regenerated"
	BrowserTrusted    = "browser.trusted"
	BrowserRevoked    = "browser.revoked"
	BrowserExpired    = "browser.expired"
	BrowserTheft      = "browser.theft_suspected"
	PolicyChanged     = "policy.changed"
	UserCreated       = "user.created"
	UserUpdated       = "user.updated"
	UserEnabled       = "user.enabled"
	UserDisabled      = "user.disabled"
	UserReported      = "user.reported"
	UserUnlocked      = "user.unlocked"
	UserErased        = "user.erased"
	DeliveryFailure   = "delivery.failed"
)

var serviceActor = activity.Actor{Kind: "service"}

func userActor(user string) activity.Actor {
	return activity.Actor{Kind: "user", ID: user}
}

// by returns the event with an actor who is not the caller.
func (e pendingEvent) by(who activity.Actor) pendingEvent {
	e.Actor = who
	return e
}

// A pendingEvent is an event that is stored with an item of its commit until it is handed on, together with the people who
// are told of it.
//
// It stays there until the item is written again. So an event is stored with an item that an erasure of its user removes, or
// that is gone within half an hour. With any other item it names the user by the route only, and nobody is told of it.
type pendingEvent struct {
	activity.Event
	Life  string // of the user that the event is about
	Of    []byte // the route of that user, if User is empty
	Topic string // what the user is told; empty if the user is told nothing
	To    []recipient

	former profile // the profile before, if the event is that the address has changed
	judged bool    // it has been decided whether the user is told
}

func newEventID() string { return seal.ID("ev_", nil) }

// An eventBatch is what is stored with one commit: its events, the notices that sum up, and when there will be room for what
// waits to be told. What the events have in common is said once, because each further KB of an item costs a write unit.
type eventBatch struct {
	Org           string         `json:"o"`
	User          string         `json:"u,omitempty"`
	Of            []byte         `json:"f,omitempty"` // the route of the user, in the place of User
	Life          string         `json:"l,omitempty"` // of the user they are about
	Time          time.Time      `json:"t"`
	PolicyVersion int            `json:"p"`
	Actor         activity.Actor `json:"a"`
	Events        []batchEntry   `json:"e"`
	Sums          []sum          `json:"s,omitempty"`
	Waits         time.Time      `json:"w,omitzero"`
}

// A batchEntry is what one event of a batch doesn't share with the others. It has an actor or a policy version only if that
// is not the batch's own.
type batchEntry struct {
	ID            string          `json:"i"`
	Type          string          `json:"y"`
	PolicyVersion *int            `json:"p,omitempty"`
	Actor         *activity.Actor `json:"a,omitempty"`
	Topic         string          `json:"n,omitempty"`
	To            []recipient     `json:"r,omitempty"`
	Data          map[string]any  `json:"d,omitempty"`
}

var (
	errEvents = errors.New("the events of one commit are of two users or moments")
	errUntold = errors.New("an event that its user is told of, in a commit that doesn't put the guard")
)

// batchOfEvents returns what is stored with the unit's commit. It is empty if there is nothing to hand on.
func (u *unit) batchOfEvents() (string, error) {
	about := u.events
	if len(about) == 0 && u.told != nil {
		e := u.told.event("", 0, nil)
		e.Time = u.now
		about = []pendingEvent{e}
	}
	if len(about) == 0 {
		return "", nil
	}
	first := about[0]
	m := eventBatch{
		Org: first.Org, User: first.User, Of: first.Of, Life: first.Life, Time: first.Time, PolicyVersion: first.PolicyVersion, Actor: first.Actor,
		Sums: u.sums, Waits: u.waits,
	}
	for _, e := range u.events {
		switch {
		case e.Org != m.Org || e.User != m.User || string(e.Of) != string(m.Of) || e.Life != m.Life || !e.Time.Equal(m.Time):
			return "", fmt.Errorf("encode %s: %w", e.Type, errEvents)
		case !e.judged && e.topic() != nil:
			return "", fmt.Errorf("encode %s: %w", e.Type, errUntold)
		}
		l := batchEntry{ID: e.ID, Type: e.Type, Topic: e.Topic, To: e.To, Data: e.Data}
		if e.Actor != m.Actor {
			l.Actor = &e.Actor
		}
		if e.PolicyVersion != m.PolicyVersion {
			l.PolicyVersion = &e.PolicyVersion
		}
		m.Events = append(m.Events, l)
	}
	b, err := json.Marshal(&m)
	if err != nil {
		return "", fmt.Errorf("encode events: %w", err)
	}
	return string(b), nil
}

func decodeEventBatch(r store.Record) (*eventBatch, error) {
	m := &eventBatch{}
	if err := json.Unmarshal([]byte(r.Events), m); err != nil {
		return nil, fmt.Errorf("decode events of commit %s: %w", r.Version, err)
	}
	return m, nil
}

// pendingEvents returns the events of the batch, each one whole.
func (m *eventBatch) pendingEvents() (events []pendingEvent) {
	for _, l := range m.Events {
		e := pendingEvent{
			Event: activity.Event{
				ID: l.ID, Type: l.Type, Time: m.Time, Org: m.Org, User: m.User, Actor: m.Actor, PolicyVersion: m.PolicyVersion, Data: l.Data,
			},
			Life: m.Life, Of: m.Of, Topic: l.Topic, To: l.To,
		}
		if l.Actor != nil {
			e.Actor = *l.Actor
		}
		if l.PolicyVersion != nil {
			e.PolicyVersion = *l.PolicyVersion
		}
		if e.Data == nil {
			e.Data = map[string]any{}
		}
		events = append(events, e)
	}
	return events
}
