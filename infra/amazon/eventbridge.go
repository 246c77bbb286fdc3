package amazon

import (
	"crypto/rand"
	"encoding/json"
	"slices"
)

// An Event is an event that the bus has accepted.
type Event struct {
	Source, DetailType string
	Detail             json.RawMessage
}

// The limits of one request. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
const (
	mostEntries = 10
	mostPut     = 256 << 10 // bytes of all entries together
)

// putEvents accepts events. It can refuse some of them and accept the others.
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
func (a *Account) putEvents(c *Call) (object, error) {
	var said struct {
		Entries []struct {
			Source, DetailType, Detail, EventBusName string
			Time                                     *float64 // in Unix seconds
		}
	}
	if err := c.read(&said); err != nil {
		return nil, err
	}
	size := 0
	for _, e := range said.Entries {
		size += len(e.Source) + len(e.DetailType) + len(e.Detail)
		if e.Time != nil {
			size += 14
		}
	}
	if n := len(said.Entries); n == 0 || n > mostEntries || size > mostPut {
		return nil, refused("ValidationException", "The request has %d entries with %d bytes, which is none or too many.", n, size)
	}
	var results []object
	failed := 0
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range said.Entries {
		var detail map[string]any
		switch {
		case e.EventBusName != Bus || e.Source == "" || e.DetailType == "":
			failed++
			results = append(results, object{"ErrorCode": "InvalidArgument", "ErrorMessage": "This is not an event for this bus."})
		case json.Unmarshal([]byte(e.Detail), &detail) != nil:
			failed++
			results = append(results, object{"ErrorCode": "MalformedDetail", "ErrorMessage": "The detail is not a JSON object."})
		default:
			accepted := Event{e.Source, e.DetailType, json.RawMessage(e.Detail)}
			a.events = append(a.events, accepted)
			if a.Put != nil {
				a.Put(accepted)
			}
			results = append(results, object{"EventId": rand.Text()})
		}
	}
	return object{"Entries": results, "FailedEntryCount": failed}, nil
}

// Events returns the events that the bus has accepted, in their order.
func (a *Account) Events() []Event {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clip(a.events)
}
