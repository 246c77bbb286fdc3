package mfa

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// The activity of an org is a chain of pages for each day of events. A page is what one batch brought for that org and
// day. Its number is the next of its day and it is put only where there is none, so that two who file at once never
// write one number. It carries the hash of the page before it: of its own day, or for the first of a day the last page
// of the latest day that was filed before. The hash covers a salted digest of each entry as it is stored. What an
// entry says of its user is stored sealed, so the chain verifies after the user was erased as it did before.
//
// A batch that comes twice is filed twice. An event keeps its id, and readers show it once.

// activityFor is how long activity is kept.
const activityFor = 400 * 24 * time.Hour

const (
	pageEntries = 100      // of a page, at most
	pageBytes   = 40 << 10 // of what its entries say
)

// page is one page of an org's activity.
type page struct {
	head
	Before  string  `json:"before,omitempty"` // hash of the page before; empty: there was none
	Entries []entry `json:"entries"`
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
type filedDay struct{ head }

func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func orgHash(r route) string { return b64(string(r[:16])) }

func pagePartition(r route, day string) string { return "act#" + orgHash(r) + "#" + day }

func pageSort(number int) string { return fmt.Sprintf("%08d", number) }

func daysPartition(r route) string { return "act#" + orgHash(r) }

// hash is what the next page carries of this one.
func (p *page) hash(key store.Key) string {
	fields := []string{key.Partition, key.Sort, p.Before}
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
	return s.alone(ctx, func(u *unit) error {
		last, err := s.lastPage(ctx, r, day)
		if err != nil {
			return err
		}
		number := 1
		expires := u.now.Add(activityFor)
		if last == nil {
			if last, err = s.lastPageBefore(ctx, r, day); err != nil {
				return err
			}
			u.put(store.Item{Key: store.Key{Partition: daysPartition(r), Sort: day}}, &filedDay{}, expires)
		} else if number, err = strconv.Atoi(last.key.Sort); err != nil {
			return err
		} else {
			number++
		}
		next := &page{Entries: entries}
		if last != nil {
			next.Before = last.hash(last.key)
		}
		u.put(store.Item{Key: store.Key{Partition: pagePartition(r, day), Sort: pageSort(number)}}, next, expires)
		return nil
	})
}

// heldPage is a page with where it is.
type heldPage struct {
	key store.Key
	page
}

// lastPage is the newest page of a day; nil: the day has none.
func (s *Service) lastPage(ctx context.Context, r route, day string) (*heldPage, error) {
	found, err := s.Store.Query(ctx, store.Query{Partition: pagePartition(r, day), Limit: 1, Reverse: true})
	if err != nil || len(found.Items) == 0 {
		return nil, err
	}
	h := &heldPage{key: found.Items[0].Key}
	return h, decode(found.Items[0], &h.page)
}

// lastPageBefore is the newest page of the latest day before day; nil: there is none.
func (s *Service) lastPageBefore(ctx context.Context, r route, day string) (*heldPage, error) {
	days, err := s.Store.Query(ctx, store.Query{Partition: daysPartition(r), After: day, Limit: 1, Reverse: true})
	if err != nil || len(days.Items) == 0 {
		return nil, err
	}
	return s.lastPage(ctx, r, days.Items[0].Key.Sort)
}

// ErrActivityBroken says that an org's activity isn't as it was filed.
var ErrActivityBroken = errors.New("mfa: the activity was changed after it was filed")

// CheckActivity goes through all of an org's activity and answers how many pages it has, or ErrActivityBroken with the
// first page that doesn't fit: one that is missing, altered, or linked to another page than was there.
func (s *Service) CheckActivity(ctx context.Context, org string) (pages int, err error) {
	r := routeOf(org, "")
	seen := map[string]bool{"": true} // hashes of all pages so far; the first page of a day may link to an older one
	days := store.Query{Partition: daysPartition(r)}
	for more := true; more; {
		found, err := s.Store.Query(ctx, days)
		if err != nil {
			return pages, err
		}
		for _, day := range found.Items {
			n, err := s.checkDay(ctx, r, day.Key.Sort, seen)
			pages += n
			if err != nil {
				return pages, err
			}
		}
		days.After, more = found.Last, found.More
	}
	return pages, nil
}

func (s *Service) checkDay(ctx context.Context, r route, day string, seen map[string]bool) (pages int, err error) {
	before := ""
	err = s.eachPage(ctx, r, day, func(h *heldPage) error {
		pages++
		linked := h.Before == before
		if pages == 1 {
			linked = seen[h.Before]
		}
		if !linked || h.key.Sort != pageSort(pages) {
			return fmt.Errorf("%w: page %s of %s", ErrActivityBroken, h.key.Sort, day)
		}
		for _, e := range h.Entries {
			if !e.whole() {
				return fmt.Errorf("%w: an entry on page %s of %s", ErrActivityBroken, h.key.Sort, day)
			}
		}
		before = h.hash(h.key)
		seen[before] = true
		return nil
	})
	return pages, err
}

// eachPage calls do with each page of a day, oldest first.
func (s *Service) eachPage(ctx context.Context, r route, day string, do func(*heldPage) error) error {
	q := store.Query{Partition: pagePartition(r, day)}
	for more := true; more; {
		found, err := s.Store.Query(ctx, q)
		if err != nil {
			return err
		}
		for _, item := range found.Items {
			h := &heldPage{key: item.Key}
			if err := decode(item, &h.page); err != nil {
				return err
			}
			if err := do(h); err != nil {
				return err
			}
		}
		q.After, more = found.Last, found.More
	}
	return nil
}
