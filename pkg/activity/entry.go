package activity

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// An entry is what one commit brought about one user, or about nobody: one event, or several of one moment, one actor and
// one policy version, which are then said once. It is stored as its header, in CBOR, with what is encrypted for the user
// behind it. Where an entry was taken away, its digest and the number of its events remain.

// saltLen is how many random bytes are in an entry that has no encrypted part, so that nobody can guess it by its digest.
// In any other the encrypted part is random enough.
const saltLen = 16

var errEntry = errors.New("not an entry as it is filed")

// header is the part of an entry that anybody can read.
type header struct {
	Ago     int64       `cbor:"1,keyasint,omitempty"` // microseconds from the events to the filing of their page
	User    []byte      `cbor:"2,keyasint,omitempty"` // the user's half of the route; none: about nobody, or the user was gone
	Events  []any       `cbor:"3,keyasint,omitempty"` // the type and the id of each
	Policy  int         `cbor:"4,keyasint,omitempty"` // version
	Actor   any         `cbor:"5,keyasint,omitempty"` // kind; none: a user
	ActorID string      `cbor:"6,keyasint,omitempty"` // of a client, and of anybody in an entry about nobody
	Salt    []byte      `cbor:"7,keyasint,omitempty"`
	Said    map[any]any `cbor:"8,keyasint,omitempty"` // in an entry about nobody, by all its events
	Each    []any       `cbor:"9,keyasint,omitempty"` // and by each besides, where there are several

	Erased []byte `cbor:"10,keyasint,omitempty"` // the digest of the entry that stood here
	Count  int    `cbor:"11,keyasint,omitempty"` // its events
}

// personal is the part of an entry that is encrypted for the user.
type personal struct {
	ActorID string      `cbor:"1,keyasint,omitempty"` // unless it is in the header, or is the user's
	Said    map[any]any `cbor:"2,keyasint,omitempty"` // as in a header
	Each    []any       `cbor:"3,keyasint,omitempty"`
}

// storedEntry is an entry as it was read.
type storedEntry struct {
	header
	bytes  []byte    // all of it
	open   []byte    // of these, the header
	sealed []byte    // and the encrypted part
	filed  time.Time // when its page was
}

// together reports how many of the first of some events make one entry.
func together(events []Filing) int {
	first := &events[0]
	ids := map[string]bool{first.ID: true}
	for n := 1; n < len(events); n++ {
		e := &events[n]
		if e.Route != first.Route || e.User != first.User || !e.Time.Equal(first.Time) || e.Actor != first.Actor || e.PolicyVersion != first.PolicyVersion ||
			string(e.Key) != string(first.Key) || ids[e.ID] {
			return n
		}
		ids[e.ID] = true
	}
	return len(events)
}

// newEntry makes an entry of events that belong together, for a page that is filed at a moment.
func newEntry(events []Filing, filed time.Time, d *deflater) ([]byte, error) {
	first := &events[0]
	h := header{Ago: filed.UnixMicro() - first.Time.UnixMicro(), Policy: first.PolicyVersion}
	for i := range events {
		h.Events = append(h.Events, word(types, events[i].Type), shortID(events[i].ID))
	}
	if first.Actor.Kind != theUser {
		h.Actor = word(actors, first.Actor.Kind)
	}
	if first.User == "" || first.Actor.named() {
		h.ActorID = first.Actor.ID
	}
	if first.User != "" && first.Key != nil {
		return first.Key.seal(events, h, filed, d)
	}
	h.Salt = make([]byte, saltLen)
	rand.Read(h.Salt)
	if first.User == "" {
		var err error
		if h.Said, h.Each, err = (coder{deflate: d}).saidBy(eventsOf(events)); err != nil {
			return nil, err
		}
	}
	return encoding.Marshal(&h)
}

// saidBy is what events say: what all of them do, and what each does besides, where there are several.
func (c coder) saidBy(events []Event) (all map[any]any, each []any, err error) {
	for i := range events {
		said, err := c.said(events[i].Data)
		if err != nil {
			return nil, nil, fmt.Errorf("event %s: %w", events[i].ID, err)
		}
		if each = append(each, said); i == 0 {
			all = said
		}
	}
	if len(each) <= 1 {
		return all, nil, nil
	}
	all = map[any]any{}
	for w, stored := range each[0].(map[any]any) {
		common := true
		for _, said := range each {
			other, there := said.(map[any]any)[w]
			common = common && there && reflect.DeepEqual(stored, other)
		}
		if common {
			all[w] = stored
		}
	}
	for _, said := range each {
		for w := range all {
			delete(said.(map[any]any), w)
		}
	}
	return all, each, nil
}

// dataOf is what the event in place i says.
func (c coder) dataOf(all map[any]any, each []any, i int) (map[string]any, error) {
	data, err := c.data(all)
	if err != nil || each == nil {
		return data, err
	}
	if i >= len(each) {
		return nil, errEntry
	}
	own, ok := each[i].(map[any]any)
	if !ok {
		return nil, errEntry
	}
	besides, err := c.data(own)
	for name, value := range besides {
		data[name] = value
	}
	return data, err
}

func readEntry(b []byte, filed time.Time) (*storedEntry, error) {
	e := &storedEntry{bytes: b, filed: filed}
	var err error
	if e.sealed, err = decoding.UnmarshalFirst(b, &e.header); err != nil {
		return nil, fmt.Errorf("%w: %w", errEntry, err)
	}
	e.open = b[:len(b)-len(e.sealed)]
	whole := e.Erased == nil && e.Count == 0 && len(e.Events) > 0 && len(e.Events)%2 == 0 && (len(e.sealed) > 0) == (e.User != nil)
	erased := len(e.Erased) == sha256.Size && e.Count > 0 && len(e.Events) == 0 && len(e.sealed) == 0
	if !whole && !erased {
		return nil, errEntry
	}
	return e, nil
}

// count is how many events the entry has, or had.
func (e *storedEntry) count() int { return e.Count + len(e.Events)/2 }

// digest is all that the chain knows of the entry.
func (e *storedEntry) digest() []byte {
	if e.Erased != nil {
		return e.Erased
	}
	sum := sha256.Sum256(e.bytes)
	return sum[:]
}

// erase is what remains of the entry when it is taken away.
func (e *storedEntry) erase() ([]byte, error) {
	return encoding.Marshal(&header{Erased: e.digest(), Count: e.count()})
}

// route is that of the user whom the entry is about, in the org of r; empty: it is about nobody, or the user was gone.
func (e *storedEntry) route(r Route) Route {
	if e.User == nil {
		return ""
	}
	return r.org() + Route(e.User)
}

func (e *storedEntry) time() time.Time { return time.UnixMicro(e.filed.UnixMicro() - e.Ago).UTC() }

// id is that of the event in place i.
func (e *storedEntry) id(i int) (string, error) { return idOf(e.Events[2*i+1]) }

// idOf is the id of an event that is stored so.
func idOf(stored any) (string, error) {
	switch id := stored.(type) {
	case string:
		return id, nil
	case []byte:
		return eventID + base64.RawURLEncoding.EncodeToString(id), nil
	}
	return "", errEntry
}

// eventID is what the ids of events begin with.
const eventID = "ev_"

// shortID is how the id of an event is stored.
func shortID(id string) any {
	if random, ok := strings.CutPrefix(id, eventID); ok {
		if raw, err := base64.RawURLEncoding.DecodeString(random); err == nil && base64.RawURLEncoding.EncodeToString(raw) == random {
			return raw
		}
	}
	return id
}

// event is the event in place i, in an org; one about a user without what it says of the user.
func (e *storedEntry) event(i int, org string) (Event, error) {
	id, err := e.id(i)
	if err != nil {
		return Event{}, err
	}
	kind, known := wordOf(types, e.Events[2*i])
	actor, ok := theUser, true
	if e.Actor != nil {
		actor, ok = wordOf(actors, e.Actor)
	}
	if !known || !ok {
		return Event{}, errEntry
	}
	shown := Event{ID: id, Type: kind, Time: e.time(), Org: org, Actor: Actor{Kind: actor, ID: e.ActorID}, PolicyVersion: e.Policy}
	shown.Data, err = coder{}.dataOf(e.Said, e.Each, i)
	return shown, err
}
