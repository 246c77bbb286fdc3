package activity

import (
	"context"
	"encoding/json"
	"sync/atomic"

	"countersign/pkg/store"
)

// dayPages goes through the pages of a day, the last one first. Beside the page in hand it holds the few before it,
// which tell whether an event was filed before.
type dayPages struct {
	g     *listing
	query store.Query
	begun bool
	more  bool
	ahead []*listedPage // the page in hand, and those before it
	at    Place         // what is still to be shown
}

// listedPage is a page with the ids of its events.
type listedPage struct {
	*storedPage
	ids map[string]int // the first entry that has it
}

func (g *listing) pages(day string) *dayPages {
	p := &dayPages{
		g: g, more: true, at: Place{Day: day},
		query: store.Query{Partition: pagePartition(g.q.Route, day), Reverse: true},
	}
	if g.q.After.Day == day && g.q.After.Page > 0 {
		p.at = g.q.After
		p.query.After = pageSort(p.at.Page + 1)
		if p.at.Entries == 0 {
			p.query.After = pageSort(p.at.Page)
		}
	}
	return p
}

// next gives the next page; nil: there is none. enough is false when the listing has read as much as it may.
func (p *dayPages) next(ctx context.Context) (h *storedPage, enough bool, err error) {
	if len(p.ahead) > 0 {
		p.ahead = p.ahead[1:]
	}
	for p.more && len(p.ahead) <= refiledWithin {
		if enough, err := p.read(ctx); !enough || err != nil {
			return nil, enough, err
		}
	}
	if len(p.ahead) == 0 {
		return nil, true, nil
	}
	h = p.ahead[0].storedPage
	if p.at.Page != h.number || p.at.Entries == 0 {
		p.at.Page, p.at.Entries = h.number, len(h.Entries)
	}
	return h, true, nil
}

// read asks the store for more pages: few at first, since these are often enough, and then for as many as may be read.
func (p *dayPages) read(ctx context.Context) (enough bool, err error) {
	room := (listingBytes - listingKeys - p.g.store.bytes()) / store.MaxItem
	if room < 1 || p.g.queries >= listingQueries {
		return false, nil
	}
	p.query.Limit = room
	if !p.begun {
		p.query.Limit = min(room, firstPages)
	}
	p.begun = true
	p.g.queries++
	found, err := p.g.store.Query(ctx, p.query)
	if err != nil {
		return false, err
	}
	for _, item := range found.Items {
		h, err := readPage(p.at.Day, item)
		if err != nil {
			return false, err
		}
		read, err := listPage(h)
		if err != nil {
			return false, err
		}
		p.ahead = append(p.ahead, read)
	}
	p.query.After, p.more = found.Last, found.More
	return true, nil
}

func listPage(h *storedPage) (*listedPage, error) {
	p := &listedPage{h, make(map[string]int, len(h.Entries))}
	for i := range h.Entries {
		var e struct {
			ID string `json:"id"`
		}
		if h.Entries[i].Body == nil {
			continue
		}
		if err := json.Unmarshal(h.Entries[i].Body, &e); err != nil {
			return nil, err
		}
		if _, twice := p.ids[e.ID]; !twice {
			p.ids[e.ID] = i
		}
	}
	return p, nil
}

// filedBefore reports whether the event of the entry in hand stands in an earlier place too.
func (p *dayPages) filedBefore(id string) bool {
	if p.ahead[0].ids[id] < p.at.Entries-1 {
		return true
	}
	for _, earlier := range p.ahead[1:min(len(p.ahead), refiledWithin+1)] {
		if _, there := earlier.ids[id]; there {
			return true
		}
	}
	return false
}

// A meteredStore adds up how much is read from it.
type meteredStore struct {
	store.Store
	read atomic.Int64
}

// bytes is how many bytes of items were read.
func (m *meteredStore) bytes() int { return int(m.read.Load()) }

func (m *meteredStore) add(items ...store.Item) {
	for _, item := range items {
		m.read.Add(int64(len(item.Key.Partition) + len(item.Key.Sort) + len(item.Body)))
	}
}

// Get implements store.Store.
func (m *meteredStore) Get(ctx context.Context, keys ...store.Key) ([]store.Item, error) {
	items, err := m.Store.Get(ctx, keys...)
	m.add(items...)
	return items, err
}

// Query implements store.Store.
func (m *meteredStore) Query(ctx context.Context, q store.Query) (store.Page, error) {
	found, err := m.Store.Query(ctx, q)
	m.add(found.Items...)
	return found, err
}
