package activity

import "time"

// An Event says what happened, for people (the activity) and for programs (the bus). The same commit that made it true
// records it, and it is handed on at least once under the same id. It holds no code, no secret and no full address or
// phone number.
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

// An Actor is who did it: a client (by its API key), a user (by a challenge token), an administrator, or the service itself.
type Actor struct {
	Kind string `json:"kind"` // client, user, administrator or service
	ID   string `json:"id,omitempty"`
}

// withoutUser is what remains of an event about a user when nothing about the user may remain: that it happened, and when.
// It names who did it only where that was a client or the service.
func (e Event) withoutUser() Event {
	if e.Actor.Kind != "client" && e.Actor.Kind != "service" {
		e.Actor.ID = ""
	}
	e.User, e.Data = "", map[string]any{}
	return e
}
