package activity

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// page is one page of a shard of a day.
type page struct {
	record.Head
	Shards  int       `json:"shards"` // that the day has, so that who reads the last page needs no other item
	Filed   time.Time `json:"filed"`
	Before  []byte    `json:"before"` // hash of the page before; of the first page, of the day
	Count   int       `json:"count"`  // of entries, on this page and those before it
	Entries []entry   `json:"entries"`
}

// entry is one event. For the chain its digest is enough.
type entry struct {
	Digest []byte          `json:"digest"` // SHA-256 of all the rest, each field length-prefixed
	Salt   []byte          `json:"salt,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`   // the event; one about a user without what it says of the user
	Of     string          `json:"of,omitempty"`     // the user's half of the route; empty: about nobody, or the user was gone
	Sealed []byte          `json:"sealed,omitempty"` // what it says of the user
}

func b64(r Route) string { return base64.RawURLEncoding.EncodeToString([]byte(r)) }

func pagePartition(r Route, day string, shard int) string {
	return daysPartition(r) + "#" + day + "#" + strconv.Itoa(shard)
}

func pageSort(number int) string { return fmt.Sprintf("%08d", number) }

// storedPage is a page with where it is.
type storedPage struct {
	key    store.Key
	day    string
	number int
	page
}

func readPage(day string, item store.Item) (*storedPage, error) {
	p := &storedPage{key: item.Key, day: day}
	if err := record.Decode(item, &p.page); err != nil {
		return nil, err
	}
	var err error
	if p.number, err = strconv.Atoi(item.Key.Sort); err != nil || pageSort(p.number) != item.Key.Sort {
		return nil, fmt.Errorf("page %q of %s has no number", item.Key.Sort, day)
	}
	if !validShards(p.Shards) {
		return nil, fmt.Errorf("page %s of %s is of %d shards", item.Key.Sort, day, p.Shards)
	}
	return p, nil
}

// lastPage is the newest page of a shard; nil: it has none.
func (l *Log) lastPage(ctx context.Context, org Route, day string, shard int) (*storedPage, error) {
	found, err := l.Store.Query(ctx, store.Query{Partition: pagePartition(org, day, shard), Limit: 1, Reverse: true})
	if err != nil || len(found.Items) == 0 {
		return nil, err
	}
	return readPage(day, found.Items[0])
}

// hash is what the next page carries of this one.
func (p *storedPage) hash() []byte {
	fields := []string{p.key.Partition, p.key.Sort, strconv.Itoa(p.Shards), p.Filed.UTC().Format(time.RFC3339Nano), string(p.Before), strconv.Itoa(p.Count)}
	for _, e := range p.Entries {
		fields = append(fields, string(e.Digest))
	}
	sum := sha256.Sum256(seal.Join(fields...))
	return sum[:]
}

func (e *entry) digest() []byte {
	sum := sha256.Sum256(seal.Join(string(e.Salt), string(e.Body), e.Of, string(e.Sealed)))
	return sum[:]
}

// whole reports whether the entry is as it was filed, or has nothing but its digest.
func (e *entry) whole() bool {
	return e.Salt == nil && e.Body == nil && e.Of == "" && e.Sealed == nil || string(e.digest()) == string(e.Digest)
}

// size is how many bytes the entry's event takes.
func (e *entry) size() int { return len(e.Body) + base64.StdEncoding.EncodedLen(len(e.Sealed)) }

// route is that of the user whom the entry is about, in the org of r; empty: it is about nobody.
func (e *entry) route(r Route) Route {
	user, err := base64.RawURLEncoding.DecodeString(e.Of)
	if err != nil {
		return ""
	}
	return r.org() + Route(user)
}
