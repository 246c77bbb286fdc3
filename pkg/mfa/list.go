package mfa

import (
	"encoding/base64"
	"encoding/json"
	"errors"

	"countersign/pkg/seal"
)

// A ListQuery says which page of a list is asked for.
type ListQuery struct {
	Limit  int    // the most items that the page may have, 1 to MaxListLimit; 0 stands for DefaultListLimit
	Cursor string // from the page before; empty for the first page
}

// How many items a page of a list can have.
const (
	DefaultListLimit = 50  // if the query doesn't say it
	MaxListLimit     = 200 // whatever the query says
)

// mostCursor is the length of the longest cursor that is read, in bytes.
const mostCursor = 1024

func (q *ListQuery) limit() (int, error) {
	switch {
	case q.Limit == 0:
		return DefaultListLimit, nil
	case q.Limit < 0 || q.Limit > MaxListLimit:
		return 0, invalid("limit", "The limit must be a whole number from 1 to %d.", MaxListLimit)
	}
	return q.Limit, nil
}

// cursor returns the text that stands for a place in a list. It is good for that list only, which bound names.
func (u *unit) cursor(bound []string, place any) *string {
	text, err := json.Marshal(place)
	if err != nil {
		panic(err) // a place has only texts and numbers
	}
	cursor := base64.RawURLEncoding.EncodeToString(u.ring.Seal("cursor", bound, text))
	return &cursor
}

// openCursor reads the place that a cursor of the list stands for. An empty cursor leaves place as it is.
func (u *unit) openCursor(cursor string, bound []string, place any) error {
	if cursor == "" {
		return nil
	}
	forged := invalid("cursor", "This cursor does not belong to this list.")
	if len(cursor) > mostCursor {
		return forged
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return forged
	}
	text, err := u.ring.Open("cursor", bound, sealed)
	if errors.Is(err, seal.ErrUnknownKey) && !u.reloaded {
		return err // it may have been made under a newer ring
	}
	if err != nil || json.Unmarshal(text, place) != nil {
		return forged
	}
	return nil
}
