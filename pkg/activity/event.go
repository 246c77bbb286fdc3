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
	Kind string `json:"kind" record:"1"` // client, user, administrator or service
	ID   string `json:"id,omitempty" record:"2"`
}

// named reports whether an actor stays named in what remains of an event when nothing about its user may remain: that it
// happened, and when. That is a client, or the service.
func (a Actor) named() bool { return a.Kind == "client" || a.Kind == "service" }
