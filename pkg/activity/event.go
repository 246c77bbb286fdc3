package activity

import "time"

// An Event says what happened. People read it in the activity, and programs get it on the event bus. The commit that made it true
// also records it. It is handed on at least once, always with the same id. It has no code, no secret, and no full address or phone
// number.
type Event struct {
	ID            string         `json:"id"` // ev_…
	Type          string         `json:"type"`
	Time          time.Time      `json:"time"`
	Org           string         `json:"org"`
	User          string         `json:"user,omitempty"`
	Actor         Actor          `json:"actor"`
	PolicyVersion int            `json:"policy_version"`
	Data          map[string]any `json:"data"`
}

// An Actor has caused an event. It is a client with its API key, a user with the token of a challenge or an enrolment, an
// administrator, or the service itself.
type Actor struct {
	Kind string `json:"kind" record:"1"` // client, user, administrator or service
	ID   string `json:"id,omitempty" record:"2"`
}

// named reports whether an event still names its actor when nothing about its user may be left in it. That is so if the actor is a
// client or the service.
func (a Actor) named() bool { return a.Kind == "client" || a.Kind == "service" }
