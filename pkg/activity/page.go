package activity

import (
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

// keptFor is how long activity is kept after the end of its day.
const keptFor = 400 * 24 * time.Hour

// page is one page of an org's activity.
type page struct {
	record.Head
	Filed   time.Time  `json:"filed"`
	Before  string     `json:"before,omitempty"`  // hash of the page before; empty: there was none
	Earlier *pagePlace `json:"earlier,omitempty"` // on the first page of a day: where the page before is
	Entries []entry    `json:"entries"`
}

// pagePlace says which page of an org's activity is meant.
type pagePlace struct {
	Day    string `json:"day"`
	Number int    `json:"number"`
}

// entry is one event. For the chain its digest is enough.
type entry struct {
	Digest []byte          `json:"digest"` // SHA-256 of all the rest, each field length-prefixed
	Salt   []byte          `json:"salt,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`   // the event; one about a user without what it says of the user
	Of     string          `json:"of,omitempty"`     // the user's half of the route; empty: about nobody, or the user was gone
	Sealed []byte          `json:"sealed,omitempty"` // what it says of the user
}

// filedDay says that an org has pages of a day.
type filedDay struct{ record.Head }

func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func b64(r Route) string { return base64.RawURLEncoding.EncodeToString([]byte(r)) }

func daysPartition(r Route) string { return "act#" + b64(r.org()) }

func pagePartition(r Route, day string) string { return daysPartition(r) + "#" + day }

func pageSort(number int) string { return fmt.Sprintf("%08d", number) }

// keptUntil is when the activity of a day is gone.
func keptUntil(day string) (time.Time, error) {
	began, err := time.Parse(time.DateOnly, day)
	return began.AddDate(0, 0, 1).Add(keptFor), err
}

// hash is what the next page carries of this one.
func (p *page) hash(key store.Key) string {
	fields := []string{key.Partition, key.Sort, p.Filed.UTC().Format(time.RFC3339Nano), p.Before}
	if p.Earlier != nil {
		fields = append(fields, p.Earlier.Day, pageSort(p.Earlier.Number))
	}
	for _, e := range p.Entries {
		fields = append(fields, string(e.Digest))
	}
	sum := sha256.Sum256(seal.Join(fields...))
	return base64.RawURLEncoding.EncodeToString(sum[:])
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
	return p, nil
}
