package mfa

import (
	"context"
	"crypto/rand"
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

// The activity of an org is a chain of pages for each day of events. A page is what one batch brought for that org and
// day. Its number is the next of its day and it is put only where there is none, so that two who file at once never
// write one number. It carries the hash of the page before it: of its own day, or for the first of a day the last page
// of the latest day that was filed before. The hash covers a salted digest of each entry as it is stored. What an
// entry says of its user is stored sealed, so the chain verifies after the user was erased as it did before.
//
// All pages of a day are kept until the same moment, whenever they were filed. So a day is there whole or not at all, and
// a link to a page that is missing is an error exactly where the retention of its day isn't over.
//
// A batch that comes twice is filed twice. An event keeps its id, and readers show it once.

// activityFor is how long activity is kept, from the end of its day.
const activityFor = 400 * 24 * time.Hour

// filingTime is more than two filings can differ in what they take the time for: how long one of them may last, and how
// far apart the clocks of two processes are.
const filingTime = 10 * time.Minute

const (
	pageEntries = 100      // of a page, at most
	pageBytes   = 40 << 10 // of what its entries say
)

// page is one page of an org's activity.
type page struct {
	record.Head
	Filed   time.Time  `json:"filed"`
	Before  string     `json:"before,omitempty"`  // hash of the page before; empty: there was none
	Earlier *pagePlace `json:"earlier,omitempty"` // of the first page of a day: where the page before is
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

func orgHash(r route) string { return b64(string(r[:16])) }

func pagePartition(r route, day string) string { return "act#" + orgHash(r) + "#" + day }

func pageSort(number int) string { return fmt.Sprintf("%08d", number) }

func daysPartition(r route) string { return "act#" + orgHash(r) }

// keptUntil is when the activity of a day is gone.
func keptUntil(day string) (time.Time, error) {
	began, err := time.Parse(time.DateOnly, day)
	return began.AddDate(0, 0, 1).Add(activityFor), err
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

// whole reports whether the entry is as it was filed, or nothing but its digest.
func (e *entry) whole() bool {
	return e.Salt == nil && e.Body == nil && e.Of == "" && e.Sealed == nil || string(e.digest()) == string(e.Digest)
}

// size is how many bytes the entry's event takes.
func (e *entry) size() int { return len(e.Body) + base64.StdEncoding.EncodedLen(len(e.Sealed)) }

func newEntry(p *published) (made entry, err error) {
	shown := p.Event
	if p.User != "" {
		shown = shown.nameless()
	}
	if made.Body, err = json.Marshal(shown); err != nil {
		return entry{}, fmt.Errorf("encode event %s: %w", p.ID, err)
	}
	if p.guard != nil {
		if err := p.guard.hide(p.route, &p.Event, &made); err != nil {
			return entry{}, fmt.Errorf("seal event %s: %w", p.ID, err)
		}
	}
	made.Salt = make([]byte, 16)
	rand.Read(made.Salt)
	made.Digest = made.digest()
	return made, nil
}

// file puts events into the activity of their orgs.
func (s *Service) file(ctx context.Context, events []published) error {
	type chain struct{ org, day string }
	var order []chain
	batches := map[chain][]entry{}
	for i := range events {
		e := &events[i]
		made, err := newEntry(e)
		if err != nil {
			return err
		}
		at := chain{e.Org, dayOf(e.Time)}
		if batches[at] == nil {
			order = append(order, at)
		}
		batches[at] = append(batches[at], made)
	}
	for _, at := range order {
		for rest := batches[at]; len(rest) > 0; {
			n, bytes := 0, 0
			for n < len(rest) && n < pageEntries && (n == 0 || bytes+rest[n].size() <= pageBytes) {
				bytes += rest[n].size()
				n++
			}
			if err := s.filePage(ctx, routeOf(at.org, ""), at.day, rest[:n]); err != nil {
				return fmt.Errorf("file activity of %s: %w", at.day, err)
			}
			rest = rest[n:]
		}
	}
	return nil
}

// filePage adds one page to a day of an org.
func (s *Service) filePage(ctx context.Context, r route, day string, entries []entry) error {
	expires, err := keptUntil(day)
	if err != nil {
		return err
	}
	return s.alone(ctx, func(u *unit) error {
		last, err := s.lastPage(ctx, r, day)
		if err != nil {
			return err
		}
		next := &page{Filed: u.now, Entries: entries}
		number := 1
		if last != nil {
			number = last.number + 1
		} else {
			if last, err = s.lastPageBefore(ctx, r, day); err != nil {
				return err
			}
			if last != nil {
				next.Earlier = &pagePlace{last.day, last.number}
			}
			u.put(store.Item{Key: store.Key{Partition: daysPartition(r), Sort: day}}, &filedDay{}, expires)
		}
		if last != nil {
			next.Before = last.hash(last.key)
		}
		u.put(store.Item{Key: store.Key{Partition: pagePartition(r, day), Sort: pageSort(number)}}, next, expires)
		return nil
	})
}

// heldPage is a page with where it is.
type heldPage struct {
	key    store.Key
	day    string
	number int
	page
}

func readPage(day string, item store.Item) (*heldPage, error) {
	h := &heldPage{key: item.Key, day: day}
	if err := record.Decode(item, &h.page); err != nil {
		return nil, err
	}
	var err error
	if h.number, err = strconv.Atoi(item.Key.Sort); err != nil || pageSort(h.number) != item.Key.Sort {
		return nil, fmt.Errorf("page %q of %s has no number", item.Key.Sort, day)
	}
	return h, nil
}

// lastPage is the newest page of a day; nil: the day has none.
func (s *Service) lastPage(ctx context.Context, r route, day string) (*heldPage, error) {
	found, err := s.Store.Query(ctx, store.Query{Partition: pagePartition(r, day), Limit: 1, Reverse: true})
	if err != nil || len(found.Items) == 0 {
		return nil, err
	}
	return readPage(day, found.Items[0])
}

// lastPageBefore is the newest page of the latest day before day; nil: there is none.
func (s *Service) lastPageBefore(ctx context.Context, r route, day string) (*heldPage, error) {
	days, err := s.Store.Query(ctx, store.Query{Partition: daysPartition(r), After: day, Limit: 1, Reverse: true})
	if err != nil || len(days.Items) == 0 {
		return nil, err
	}
	return s.lastPage(ctx, r, days.Items[0].Key.Sort)
}
