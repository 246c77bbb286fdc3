package mfa

import (
	"encoding/json"
	"fmt"
	"time"

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
	UserUpdated       = "user.updated"
	UserEnabled       = "user.enabled"
	UserDisabled      = "user.disabled"
	UserReported      = "user.reported"
	UserErased        = "user.erased"
	DeliveryFailure   = "delivery.failed"
)

// An Event says what happened, for people (activity) and for programs (the bus). It is written by the very Commit that
// made it true, and handed on at least once under the same id. It holds no code, secret, full address or number.
type Event struct {
	ID            string         `json:"id"` // ev_…
	Type          string         `json:"type"`
	Time          time.Time      `json:"time"`
	Org           string         `json:"org"`
	User          string         `json:"user,omitempty"`
	Actor         Actor          `json:"actor"`
	PolicyVersion int            `json:"policy_version"`
	Data          map[string]any `json:"data"`

	life string // that of the user it is about; empty: it is about nobody, or has been handed on
}

// An Actor is who did it: a client (by its key), a user (by a challenge token), or the service itself.
type Actor struct {
	Kind string `json:"kind"` // client, user or service
	ID   string `json:"id,omitempty"`
}

var serviceActor = Actor{Kind: "service"}

func userActor(user string) Actor { return Actor{Kind: "user", ID: user} }

// by is the event with another actor than the caller.
func (e Event) by(who Actor) Event {
	e.Actor = who
	return e
}

// carried is how an event rides on a Put: with the notice to the user that the same Commit has counted, if any.
//
// What rides on an item stays in it for as long as nobody writes it again. An event rides on items that an erasure of its
// user removes, or that are gone within half an hour; on any other it names the user by the route only.
type carried struct {
	Event
	Notify bool   `json:"notify,omitempty"`
	Life   string `json:"life,omitempty"` // of the user it is about
	Of     []byte `json:"of,omitempty"`   // the route of the user, in the place of User
}

func newEventID() string { return seal.ID("ev_", nil) }

func encodeEvents(events []carried) (string, error) {
	if len(events) == 0 {
		return "", nil
	}
	b, err := json.Marshal(events)
	if err != nil {
		return "", fmt.Errorf("encode events: %w", err)
	}
	return string(b), nil
}

func decodeEvents(r store.Record) ([]carried, error) {
	var events []carried
	if err := json.Unmarshal([]byte(r.Events), &events); err != nil {
		return nil, fmt.Errorf("decode events of commit %s: %w", r.Version, err)
	}
	return events, nil
}
