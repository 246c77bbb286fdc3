package activity

import (
	"encoding/json"
	"time"
)

// An Event says what happened. People read it in the activity, and programs get it on the event bus. The commit that made it true
// also records it. It is handed on at least once, always with the same id. It has no code, no secret, and no full address or phone
// number.
type Event struct {
	ID            string         `json:"id"` // ev_…
	Type          string         `json:"type"`
	Time          time.Time      `json:"time"`
	Org           string         `json:"org"`
	User          string         `json:"user"` // empty, and null in JSON, if the event names no user
	Actor         Actor          `json:"actor"`
	PolicyVersion int            `json:"policy_version"`
	Data          map[string]any `json:"data"`
}

// An Actor has caused an event. It is a client with its API key, a user with the token of a challenge or an enrolment, an
// administrator, or the service itself.
type Actor struct {
	Kind string `json:"kind" record:"1"`         // client, user, administrator or service
	ID   string `json:"id,omitempty" record:"2"` // empty if nobody is named, which is null in the JSON of an event
}

// named reports whether an event still names its actor when nothing about its user may be left in it. That is so if the actor is a
// client or the service.
func (a Actor) named() bool { return a.Kind == "client" || a.Kind == "service" }

// MarshalJSON writes the event with all of its fields, so that whoever reads events finds the same fields in each of them.
func (e Event) MarshalJSON() ([]byte, error) {
	type actor struct {
		Kind string  `json:"kind"`
		ID   *string `json:"id"`
	}
	return json.Marshal(struct {
		ID            string         `json:"id"`
		Type          string         `json:"type"`
		Time          time.Time      `json:"time"`
		Org           string         `json:"org"`
		User          *string        `json:"user"`
		Actor         actor          `json:"actor"`
		PolicyVersion int            `json:"policy_version"`
		Data          map[string]any `json:"data"`
	}{e.ID, e.Type, e.Time, e.Org, orNull(e.User), actor{e.Actor.Kind, orNull(e.Actor.ID)}, e.PolicyVersion, e.Data})
}

// orNull returns a pointer to a text, or nil if it is empty.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
