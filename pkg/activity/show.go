package activity

import (
	"fmt"
	"strings"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A shownPage is a page as people see it.
type shownPage struct {
	Format  int          `json:"format"`
	Shards  int          `json:"shards"`
	Filed   time.Time    `json:"filed"`
	Before  string       `json:"before"` // in base64url, as all hashes here
	Count   int          `json:"count"`
	Hash    string       `json:"hash"` // the hash of this page, which the next page has; it isn't stored
	Entries []shownEntry `json:"entries"`
}

type shownEntry struct {
	Digest        string       `json:"digest"`
	Erased        bool         `json:"erased,omitempty"` // only the digest of the entry is left
	Count         int          `json:"count"`
	Time          *time.Time   `json:"time,omitempty"`
	User          string       `json:"user,omitempty"` // the user's half of the route
	Actor         *Actor       `json:"actor,omitempty"`
	PolicyVersion int          `json:"policy_version,omitempty"`
	Events        []shownEvent `json:"events,omitempty"`
	Encrypted     int          `json:"encrypted_bytes,omitempty"`
}

type shownEvent struct {
	ID   string         `json:"id"`
	Type string         `json:"type"`
	Data map[string]any `json:"data,omitempty"`
}

// A shownDay is a day as people see it.
type shownDay struct {
	Format  int         `json:"format"`
	Shards  int         `json:"shards"`
	Opened  time.Time   `json:"opened"`
	Earlier string      `json:"earlier,omitempty"`
	Heads   []shownHead `json:"heads,omitempty"`
	Begun   []int       `json:"begun"` // the shards that have pages
	Hash    string      `json:"hash"`  // the hash of the day, which the first page of each shard has; it isn't stored
}

type shownHead struct {
	Number int    `json:"number"`
	Hash   string `json:"hash,omitempty"`
}

// A shownCheckpoint is a checkpoint as people see it.
type shownCheckpoint struct {
	checkpointClaims
	Signed string `json:"signed"`
}

// A shownActive is an active day as people see it.
type shownActive struct {
	Org   string `json:"org"`
	Day   string `json:"day"`
	Heads string `json:"heads,omitempty"` // a hash of what the last checkpoint of the day tells of
}

// Kept reports whether a partition has items of the activity.
func Kept(partition string) bool {
	first, _, _ := strings.Cut(partition, "#")
	return first == prefix || first == checkPrefix || first == activePrefix
}

// Show returns the content of an item of the activity, as a value that can be marshalled as JSON. The item is a day, a page, a
// checkpoint, which Show doesn't verify, or an active day. For an encrypted part, Show gives only its length. It fails for all other
// items, and if the item can't be read.
func Show(item store.Item) (any, error) {
	switch parts := strings.Split(item.Key.Partition, "#"); {
	case parts[0] == checkPrefix:
		c, err := readCheckpoint(item)
		if err != nil {
			return nil, err
		}
		return shownCheckpoint{c.claims, c.Signed}, nil
	case parts[0] == activePrefix:
		var a activeDay
		err := record.Decode(item, &a)
		return shownActive{a.Org, a.Day, b64(a.Heads)}, err
	case parts[0] != prefix:
	case len(parts) == 2:
		return showDay(item)
	case len(parts) == 4:
		return showPage(parts[2], item)
	}
	return nil, fmt.Errorf("%s is no part of the activity", item.Key.Partition)
}

func showDay(item store.Item) (any, error) {
	d, err := readDay(item)
	if err != nil {
		return nil, err
	}
	shown := shownDay{Format: d.Format, Shards: d.Shards, Opened: d.Opened, Earlier: d.Earlier, Begun: []int{}, Hash: b64(d.hash())}
	for _, h := range d.Heads {
		shown.Heads = append(shown.Heads, shownHead{h.Number, b64(h.Hash)})
	}
	for shard := range d.Shards {
		if d.begun(shard) {
			shown.Begun = append(shown.Begun, shard)
		}
	}
	return shown, nil
}

func showPage(day string, item store.Item) (any, error) {
	p, err := readPage(day, item)
	if err != nil {
		return nil, err
	}
	shown := shownPage{
		Format: p.Format, Shards: p.Shards, Filed: p.filed, Before: b64(p.Before), Count: p.Count, Hash: b64(p.hash()), Entries: []shownEntry{},
	}
	for _, e := range p.entries {
		entry, err := showEntry(e)
		if err != nil {
			return nil, err
		}
		shown.Entries = append(shown.Entries, entry)
	}
	return shown, nil
}

func showEntry(e *storedEntry) (shownEntry, error) {
	shown := shownEntry{Digest: b64(e.digest()), Count: e.count()}
	if e.Erased != nil {
		shown.Erased = true
		return shown, nil
	}
	at := e.time()
	shown.Time, shown.User, shown.PolicyVersion, shown.Encrypted = &at, b64(e.User), e.Policy, len(e.sealed)
	for i := range e.count() {
		event, err := e.event(i, "")
		if err != nil {
			return shown, err
		}
		shown.Actor = &event.Actor
		shown.Events = append(shown.Events, shownEvent{event.ID, event.Type, event.Data})
	}
	return shown, nil
}
