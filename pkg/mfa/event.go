package mfa

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// The types of event that this package records so far.
const (
	ChallengeStarted  = "challenge.started"
	ChallengeSent     = "challenge.sent"
	ChallengeVerified = "challenge.verified"
	ChallengeFailed   = "challenge.failed"
	ChallengeLocked   = "challenge.locked"
	AddressProven     = "challenge.proven"
	FactorEnrolled    = "factor.enrolled"
	FactorRemoved     = "factor.removed"
	FactorRenamed     = "factor.renamed"
	CounterRefused    = "factor.counter_refused"
	FactorReturned    = "factor.undeliverable"
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
	UserEnforced      = "user.enforced"
	UserGraceChanged  = "user.grace_changed"
	UserSignedOut     = "user.signed_out"
	UserErased        = "user.erased"
	UserReset         = "user.reset"
	PassIssued        = "user.pass_issued"
	PassRevoked       = "user.pass_revoked"
	PassUsed          = "user.pass_used"
	DeliveryFailure   = "delivery.failed"
	DeliveryBlocked   = "delivery.blocked"
	UserImported      = "user.imported"
	ActivityChecked   = "activity.checkpointed"

	UserResetRequested = "user.reset_requested"
	UserResetApproved  = "user.reset_approved"
	UserResetCancelled = "user.reset_cancelled"
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
	Life  string // the life of the user that the event is about
	Of    []byte // the route of that user, if User is empty
	Topic string // what the user is told; empty if the user is told nothing
	To    []recipient

	Watchers []recipient // the addresses of the policy that are told too, because it concerns administrators

	key    activity.Key // of what the activity says of the user; nil if that isn't known here, or the user is gone with this commit
	moved  string       // the topic of the notice, if an address or a number has changed
	former profile      // the profile before, if the event is that the address has changed
	judged bool         // it has been decided whether the user is told
}

func newEventID() string { return seal.ID("ev_", nil) }

// An eventBatch is what is stored with one commit: its events, the notices that sum up, when there will be room for what waits
// to be told, and which count an answer belongs to. What the events have in common is said once, because each further KB of an
// item costs a write unit.
type eventBatch struct {
	record.Head
	Org           string          `record:"1"`
	User          string          `record:"2"`
	Of            []byte          `record:"3"`      // the route of the user, if the batch doesn't name the user; then User is empty
	Life          string          `record:"4,word"` // the life of the user that the events are about
	Time          time.Time       `record:"5"`
	PolicyVersion int             `record:"6"`
	Actor         *activity.Actor `record:"7"` // who has done it; nil stands for the user that the events are about
	Said          []byte          `record:"8"` // the type, the id and the data of each event, by activity.Encode
	Entries       []batchEntry    `record:"9"` // one for each event, in the same order
	Sums          []sum           `record:"10"`
	Waits         time.Time       `record:"11"` // when there will be room for what waits; zero if nothing new waits
	Answered      string          `record:"12"` // where it is counted that a code by SMS was answered; empty if none was

	// With the key of their entry, events are filed without reading the guard of their user. It is empty if the batch doesn't name the
	// user, because then it may outlive an erasure.
	EntryKey activity.EntryKey `record:"13"`

	events []activity.Event // the events in Said
}

// A batchEntry is the rest of one event of a batch. It has an actor or a policy version only if that differs from the batch's
// own.
type batchEntry struct {
	PolicyVersion *int            `record:"1"`
	Actor         *activity.Actor `record:"2"`
	Topic         string          `record:"3"`
	To            []recipient     `record:"4"`
	Watchers      []recipient     `record:"5"`
}

var (
	errEvents = errors.New("the events of one commit are of two users or moments")
	errUntold = errors.New("an event that its user is told of, in a commit that doesn't put the guard")
)

// batchOfEvents returns what is stored with the unit's commit. It is nil if there is nothing to hand on.
func (u *unit) batchOfEvents() ([]byte, error) {
	about := u.events
	if len(about) == 0 && u.told != nil {
		e := u.told.event("", 0, nil)
		e.Time = u.now
		about = []pendingEvent{e}
	}
	if len(about) == 0 {
		return nil, nil
	}
	first := about[0]
	b := eventBatch{
		Org: first.Org, User: first.User, Of: first.Of, Life: first.Life, Time: first.Time, PolicyVersion: first.PolicyVersion,
		Sums: u.sums, Waits: u.waits, Answered: u.answered,
	}
	if first.Actor != userActor(first.User) {
		b.Actor = &first.Actor
	}
	if first.User != "" && first.key != nil {
		b.EntryKey = first.key.Entry(first.Time)
	}
	for _, e := range u.events {
		switch {
		case e.Org != b.Org || e.User != b.User || string(e.Of) != string(b.Of) || e.Life != b.Life || !e.Time.Equal(b.Time):
			return nil, fmt.Errorf("encode %s: %w", e.Type, errEvents)
		case !e.judged && e.topic() != nil:
			return nil, fmt.Errorf("encode %s: %w", e.Type, errUntold)
		}
		entry := batchEntry{Topic: e.Topic, To: e.To, Watchers: e.Watchers}
		if e.Actor != first.Actor {
			entry.Actor = &e.Actor
		}
		if e.PolicyVersion != b.PolicyVersion {
			entry.PolicyVersion = &e.PolicyVersion
		}
		b.events, b.Entries = append(b.events, e.Event), append(b.Entries, entry)
	}
	var err error
	if b.Said, err = activity.Encode(b.filedUnder(), b.events); err != nil {
		return nil, fmt.Errorf("encode events: %w", err)
	}
	return record.EncodeIn(u.recordFormat(), &b)
}

func decodeEventBatch(r store.Record) (*eventBatch, error) {
	b := &eventBatch{}
	err := record.Decode(store.Item{Key: r.Key, Version: r.Version, Body: r.Events}, b)
	if err == nil {
		b.events, err = activity.Decode(b.filedUnder(), b.Said)
	}
	if err == nil && len(b.events) != len(b.Entries) {
		err = fmt.Errorf("%d entries for %d events", len(b.Entries), len(b.events))
	}
	if err != nil {
		return nil, fmt.Errorf("decode events of commit %s: %w", r.Version, err)
	}
	return b, nil
}

// route is that of the user whom the batch is about; empty if it is about nobody.
func (b *eventBatch) route() route {
	if b.User != "" {
		return routeOf(b.Org, b.User)
	}
	return route(b.Of)
}

// filedUnder is the route under which the activity has the events: of the user, or of the org if they are about nobody.
func (b *eventBatch) filedUnder() activity.Route {
	if of := b.route(); of != "" {
		return activity.Route(of)
	}
	return activity.Route(routeOf(b.Org, "").org())
}

// pendingEvents returns the events of the batch, each one whole.
func (b *eventBatch) pendingEvents() (events []pendingEvent) {
	for i, entry := range b.Entries {
		e := pendingEvent{Event: b.events[i], Life: b.Life, Of: b.Of, Topic: entry.Topic, To: entry.To, Watchers: entry.Watchers}
		e.Time, e.Org, e.User, e.Actor, e.PolicyVersion = b.Time, b.Org, b.User, userActor(b.User), b.PolicyVersion
		if actor := cmp.Or(entry.Actor, b.Actor); actor != nil {
			e.Actor = *actor
		}
		if entry.PolicyVersion != nil {
			e.PolicyVersion = *entry.PolicyVersion
		}
		events = append(events, e)
	}
	return events
}
