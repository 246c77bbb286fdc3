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

// An entry has the events of one commit about one user, or about nobody. There are one or several. All events of an entry have
// the same moment, actor and policy version, which the entry has only once. An entry is stored as its header in CBOR, followed by
// what is encrypted for the user. If an entry was taken away, its digest and the number of its events are left.

// saltLen is the number of random bytes in an entry that has no encrypted part. Because of them, nobody can guess the content of
// the entry from its digest. In all other entries the encrypted part is random enough.
const saltLen = 16

var errEntry = errors.New("not an entry as it is filed")

// header is the part of an entry that is not encrypted.
type header struct {
	Ago     int64       `cbor:"1,keyasint,omitempty"` // microseconds from the events to the filing of their page
	User    []byte      `cbor:"2,keyasint,omitempty"` // the user's half of the route; empty if it is about nobody, or the user was gone
	Events  []any       `cbor:"3,keyasint,omitempty"` // the type and the id of each event
	Policy  int         `cbor:"4,keyasint,omitempty"` // the version of the policy
	Actor   any         `cbor:"5,keyasint,omitempty"` // the kind of the actor; empty if the actor is a user
	ActorID string      `cbor:"6,keyasint,omitempty"` // the id of the actor, if that is a client or the entry is about nobody
	Salt    []byte      `cbor:"7,keyasint,omitempty"` // see saltLen
	Said    map[any]any `cbor:"8,keyasint,omitempty"` // what all of the events say, if the entry is about nobody
	Each    []any       `cbor:"9,keyasint,omitempty"` // what each event says in addition, if there are several

	Erased []byte `cbor:"10,keyasint,omitempty"` // the digest of the entry that was here and was taken away
	Count  int    `cbor:"11,keyasint,omitempty"` // how many events that entry had
}

// personal is the part of an entry that is encrypted for the user.
type personal struct {
	ActorID string      `cbor:"1,keyasint,omitempty"` // the id of the actor, unless it is in the header, or the actor is the user
	Said    map[any]any `cbor:"2,keyasint,omitempty"` // as in a header
	Each    []any       `cbor:"3,keyasint,omitempty"`
}

// storedEntry is an entry as it was read.
type storedEntry struct {
	header
	bytes  []byte    // the whole entry
	open   []byte    // the header
	sealed []byte    // the encrypted part
	filed  time.Time // when its page was filed
}

// together returns how many of the first events make one entry.
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

// newEntry makes an entry of events that belong together. filed is the moment at which its page is filed.
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

// saidBy returns what events say, in the form in which it is stored. all has what all of the events say. each has what each event
// says in addition, if there are several events.
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

// dataOf returns what the event in place i says.
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

// count returns how many events the entry has, or had before it was taken away.
func (e *storedEntry) count() int { return e.Count + len(e.Events)/2 }

// digest returns the digest of the entry. The chain covers nothing else of it.
func (e *storedEntry) digest() []byte {
	if e.Erased != nil {
		return e.Erased
	}
	sum := sha256.Sum256(e.bytes)
	return sum[:]
}

// erase returns what is left of the entry when it is taken away.
func (e *storedEntry) erase() ([]byte, error) {
	return encoding.Marshal(&header{Erased: e.digest(), Count: e.count()})
}

// route returns the route of the user whom the entry is about. It is empty if the entry is about nobody, or the user was gone. r is
// a route in the same org.
func (e *storedEntry) route(r Route) Route {
	if e.User == nil {
		return ""
	}
	return r.org() + Route(e.User)
}

func (e *storedEntry) time() time.Time { return time.UnixMicro(e.filed.UnixMicro() - e.Ago).UTC() }

// id returns the id of the event in place i.
func (e *storedEntry) id(i int) (string, error) { return idOf(e.Events[2*i+1]) }

// idOf returns the id of an event from the form in which it is stored.
func idOf(stored any) (string, error) {
	switch id := stored.(type) {
	case string:
		return id, nil
	case []byte:
		return eventID + base64.RawURLEncoding.EncodeToString(id), nil
	}
	return "", errEntry
}

// eventID is the text with which the ids of events begin.
const eventID = "ev_"

// shortID returns the form in which the id of an event is stored.
func shortID(id string) any {
	if random, ok := strings.CutPrefix(id, eventID); ok {
		if raw, err := base64.RawURLEncoding.DecodeString(random); err == nil && base64.RawURLEncoding.EncodeToString(raw) == random {
			return raw
		}
	}
	return id
}

// event returns the event in place i. org is the id of its org. If the event is about a user, what it says of the user is left out.
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
