package activity

import (
	"errors"
	"fmt"
)

// said has what is stored of the events of one commit until they are filed. Its fields are those of a header.
type said struct {
	Events []any       `cbor:"1,keyasint,omitempty"`
	Said   map[any]any `cbor:"2,keyasint,omitempty"`
	Each   []any       `cbor:"3,keyasint,omitempty"`
}

var errEvents = errors.New("not events as they are encoded")

// Encode returns the types and the ids of events, and what they say, in the short form in which entries have them. All of the
// events are about the user, or the org, of the route. It fails if an event says something that File doesn't take.
//
// What an event says may also have types of its own for text, numbers and lists, and times, which are text in RFC 3339.
// Decode returns all of that in the types that File takes.
func Encode(about Route, events []Event) ([]byte, error) {
	var s said
	var err error
	for i := range events {
		s.Events = append(s.Events, word(types, events[i].Type), shortID(events[i].ID))
	}
	if s.Said, s.Each, err = (coder{route: about}).saidBy(events); err != nil {
		return nil, err
	}
	return encoding.Marshal(&s)
}

// Decode returns the events that Encode was given. They have a type, an id and what they say, and nothing else.
func Decode(about Route, encoded []byte) ([]Event, error) {
	var s said
	if err := decoding.Unmarshal(encoded, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", errEvents, err)
	}
	if len(s.Events)%2 != 0 {
		return nil, errEvents
	}
	events := make([]Event, len(s.Events)/2)
	for i := range events {
		e, known := &events[i], false
		if e.Type, known = wordOf(types, s.Events[2*i]); !known {
			return nil, errEvents
		}
		var err error
		if e.ID, err = idOf(s.Events[2*i+1]); err != nil {
			return nil, err
		}
		if e.Data, err = (coder{route: about}).dataOf(s.Said, s.Each, i); err != nil {
			return nil, err
		}
	}
	return events, nil
}
