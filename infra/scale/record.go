package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/pkg/store"
)

// A use is how many request units of DynamoDB the items of one class take. The units are those that DynamoDB charges and those
// that count against the limit of a partition.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
type use struct{ reads, writes float64 }

func (u use) plus(v use) use { return use{u.reads + v.reads, u.writes + v.writes} }

// A recorder is a store that records what its calls would take of DynamoDB. It never changes what its calls do.
type recorder struct {
	store.Store

	mu    sync.Mutex
	sizes map[store.Key]int // of the items that were put, in bytes
	found map[string]use    // by the class of the items
	marks int               // how many writes had events
}

func record(s store.Store) *recorder {
	return &recorder{Store: s, sizes: map[store.Key]int{}, found: map[string]use{}}
}

// take returns what was recorded since it was last called, by class, and how many records with events the stream got.
func (r *recorder) take() (found map[string]use, marks int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, marks = r.found, r.marks
	r.found, r.marks = map[string]use{}, 0
	return found, marks
}

func (r *recorder) add(key store.Key, u use) {
	r.found[classOf(key)] = r.found[classOf(key)].plus(u)
}

// Get is a GetItem or a BatchGetItem. Either takes of each item what a strongly consistent read of it takes.
func (r *recorder) Get(ctx context.Context, keys ...store.Key) ([]store.Item, error) {
	items, err := r.Store.Get(ctx, keys...)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys {
		r.add(key, use{reads: readUnits(r.sizes[key])})
	}
	return items, err
}

// Query takes what all of its items take that are read together, but at least one unit.
func (r *recorder) Query(ctx context.Context, q store.Query) (store.Page, error) {
	page, err := r.Store.Query(ctx, q)
	r.mu.Lock()
	defer r.mu.Unlock()
	bytes := 0
	for _, item := range page.Items {
		bytes += r.sizes[item.Key]
	}
	r.add(store.Key{Partition: q.Partition, Sort: q.Prefix}, use{reads: readUnits(bytes)})
	return page, err
}

// Commit is a PutItem, or a TransactWriteItems, which takes twice as much. An item takes what the larger of its sizes before
// and after takes.
func (r *recorder) Commit(ctx context.Context, token store.Version, writes ...store.Write) error {
	err := r.Store.Commit(ctx, token, writes...)
	if err != nil {
		return err
	}
	times := 1.0
	if len(writes) > 1 {
		times = 2
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range writes {
		size := 0
		if !w.Delete {
			size = sizeOf(w)
		}
		r.add(w.Key, use{writes: times * writeUnits(max(size, r.sizes[w.Key]))})
		r.sizes[w.Key] = size
		if len(w.Events) > 0 {
			r.marks++
		}
	}
	return nil
}

// Count is an UpdateItem of a small item, or a GetItem if there is nothing to add. Where a number begins, there are two requests
// more, which are left out here: that happens once an hour or once a day.
func (r *recorder) Count(ctx context.Context, key store.Key, n, most int64, expires time.Time) (int64, error) {
	r.mu.Lock()
	if n > 0 {
		r.add(key, use{writes: 1})
	} else {
		r.add(key, use{reads: 1})
	}
	r.mu.Unlock()
	return r.Store.Count(ctx, key, n, most, expires)
}

// readUnits returns what a strongly consistent read of so many bytes takes, which is one for each begun 4 KB.
func readUnits(bytes int) float64 { return float64(max(1, (bytes+4095)/4096)) }

// writeUnits returns what a plain write of so many bytes takes, which is one for each begun KB.
func writeUnits(bytes int) float64 { return float64(max(1, (bytes+1023)/1024)) }

// sizeOf returns the size of the item that a write puts: its attributes with their names. See the package comment of mfa.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
func sizeOf(w store.Write) int {
	const version = 22 // the length of a store.Version
	size := len("pk") + len(w.Key.Partition) + len("sk") + len(w.Key.Sort) + len("v") + version + len("b") + len(w.Body)
	if !w.Expires.IsZero() {
		size += len("x") + 6 // a number of ten digits
	}
	if len(w.Events) > 0 {
		size += len("e") + len(w.Events)
	}
	return size
}

// The classes of items. Items of one class are alike in how many of them share the load of the deployment.
const (
	ofUser      = "the user"
	ofChallenge = "the challenge"
	ofKey       = "copies of the API key"
	ofPolicy    = "copies of the org's policy"
	ofRoster    = "the org's list of users"
	ofDue       = "what ends in an hour"
	ofOrgDay    = "the org's day of activity"
	ofPages     = "the org's pages of activity"
	ofNumber    = "counts of the number"
	ofPrefix    = "counts of the number's prefix"
	ofSMS       = "counts of the org's SMS"
	ofActive    = "the day's list of active orgs"
	ofOthers    = "other items"
)

// classOf returns the class of the item at a key. The package comment of mfa has the map of the table.
func classOf(key store.Key) string {
	kind, rest, _ := strings.Cut(key.Partition, "#")
	switch {
	case kind == "u":
		return ofUser
	case strings.HasPrefix(kind, "ch_"):
		return ofChallenge
	case kind == "key":
		return ofKey
	case kind == "org":
		return ofPolicy
	case kind == "roster":
		return ofRoster
	case kind == "due":
		return ofDue
	case kind == "act" && strings.Contains(rest, "#"):
		return ofPages
	case kind == "act":
		return ofOrgDay
	case kind == "active":
		return ofActive
	case kind == "count" && strings.Contains(rest, "-of-number#"):
		return ofNumber
	case kind == "count" && strings.Contains(rest, "-of-prefix#"):
		return ofPrefix
	case kind == "count":
		return ofSMS
	}
	return ofOthers
}

// classes returns all classes, in the order of the tables.
func classes() []string {
	return []string{ofUser, ofChallenge, ofKey, ofPolicy, ofRoster, ofDue, ofOrgDay, ofPages, ofActive, ofNumber, ofPrefix, ofSMS, ofOthers}
}

// sum returns what all classes take together.
func sum(found map[string]use) (all use) {
	for _, class := range slices.Sorted(keysOf(found)) {
		all = all.plus(found[class])
	}
	return all
}
