package activity

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"countersign/pkg/store"
)

// dayShards goes back through those shards of a day that a listing needs.
type dayShards struct {
	g      *listing
	day    *storedDay
	shards []*shardPages // one for each shard; nil if the shard isn't needed, or has no page
}

// shardPages goes through the pages of a shard, the last one first. Besides the current page it has a few pages before that, which show
// whether an event was filed before.
type shardPages struct {
	query store.Query
	more  bool          // there may be more pages than those in ahead
	ahead []*listedPage // the current page, and pages before it
	at    ShardPlace    // what is still to be shown
	done  bool          // nothing is left to be shown
}

// listedPage is a page with its events.
type listedPage struct {
	*storedPage
	events []listedEvent
	ids    map[string]int // the first place of each event, by its id
}

// listedEvent is the event in some place of an entry. It has no entry if the entry was taken away.
type listedEvent struct {
	entry *storedEntry
	place int
}

func (g *listing) shards(d *storedDay) *dayShards {
	s := &dayShards{g: g, day: d, shards: make([]*shardPages, d.Shards)}
	for shard := range s.shards {
		if !d.begun(shard) || g.q.ofUser() && shard != g.q.Route.shard(d.Shards) {
			continue
		}
		p := &shardPages{more: true, query: store.Query{Partition: pagePartition(g.q.Route, d.name, shard), Reverse: true}}
		s.shards[shard] = p
		if g.q.After.Day != d.name || shard >= len(g.q.After.Shards) {
			continue
		}
		if p.at = g.q.After.Shards[shard]; p.at.Page > 0 {
			p.query.After, p.done = pageSort(p.at.Page+1), p.at.Events == 0
		}
	}
	return s
}

// place returns the place where the listing goes on.
func (s *dayShards) place() *Place {
	at := &Place{Day: s.day.name, Shards: make([]ShardPlace, len(s.shards))}
	for shard, p := range s.shards {
		if at.Shards[shard] = (ShardPlace{Page: 1}); p.left() {
			at.Shards[shard] = p.at
		}
	}
	return at
}

// last returns the shard whose current page was filed last, after it has read the pages that are needed to show that page. It returns
// nil if no shard has anything left. It reports false if the listing has read as much as it may.
func (s *dayShards) last(ctx context.Context) (last *shardPages, enough bool, err error) {
	for {
		if enough, err := s.begin(ctx); !enough || err != nil {
			return nil, enough, err
		}
		last = nil
		for _, p := range s.shards {
			if p.left() && (last == nil || p.at.Filed > last.at.Filed) {
				last = p
			}
		}
		if last == nil {
			return nil, true, nil
		}
		for last.more && len(last.ahead) <= refiledWithin {
			limit := s.g.room()
			if len(last.ahead) == 0 {
				limit = min(limit, firstPages)
			}
			if limit < 1 || !s.g.mayQuery(1) {
				return nil, false, nil
			}
			if err := last.read(ctx, s.g.store, s.day.name, limit); err != nil {
				return nil, false, err
			}
		}
		if last.settle(); last.left() {
			return last, true, nil
		}
	}
}

// begin reads the current page of each shard that has none yet. It reads those of several shards at the same time.
func (s *dayShards) begin(ctx context.Context) (enough bool, err error) {
	for {
		var unknown []*shardPages
		for _, p := range s.shards {
			if p.left() && p.at.Filed == 0 {
				unknown = append(unknown, p)
			}
		}
		if len(unknown) == 0 {
			return true, nil
		}
		limit := min(firstPages, s.g.room()/len(unknown))
		if limit < 1 || !s.g.mayQuery(len(unknown)) {
			return false, nil
		}
		reads, ctx := errgroup.WithContext(ctx)
		for _, p := range unknown {
			reads.Go(func() error { return p.read(ctx, s.g.store, s.day.name, limit) })
		}
		if err := reads.Wait(); err != nil {
			return false, err
		}
		for _, p := range unknown {
			p.settle()
		}
	}
}

// left reports whether the shard has anything left to be shown, as far as that is known.
func (p *shardPages) left() bool { return p != nil && !p.done }

// read reads more pages from the store, at most limit of them.
func (p *shardPages) read(ctx context.Context, from store.Store, day string, limit int) error {
	p.query.Limit = limit
	found, err := from.Query(ctx, p.query)
	if err != nil {
		return err
	}
	for _, item := range found.Items {
		h, err := readPage(day, item)
		if err != nil {
			return err
		}
		read, err := listPage(h)
		if err != nil {
			return err
		}
		if len(read.events) > 0 {
			p.ahead = append(p.ahead, read)
		}
	}
	p.query.After, p.more = found.Last, found.More
	return nil
}

// settle sets what is to be shown next, after a read or a turn.
func (p *shardPages) settle() {
	if len(p.ahead) == 0 {
		p.done = p.done || !p.more
		return
	}
	h := p.ahead[0]
	if p.at.Page != h.number {
		p.at = ShardPlace{Page: h.number, Events: len(h.events)}
	}
	p.at.Filed = h.filed.UnixMilli()
}

// turn goes on to the page before the current one.
func (p *shardPages) turn() {
	p.ahead = p.ahead[1:]
	p.settle()
}

func listPage(h *storedPage) (*listedPage, error) {
	p := &listedPage{storedPage: h, ids: map[string]int{}}
	for _, entry := range h.entries {
		for i := range entry.count() {
			if entry.Erased != nil {
				p.events = append(p.events, listedEvent{})
				continue
			}
			id, err := entry.id(i)
			if err != nil {
				return nil, err
			}
			if _, twice := p.ids[id]; !twice {
				p.ids[id] = len(p.events)
			}
			p.events = append(p.events, listedEvent{entry, i})
		}
	}
	return p, nil
}

// filedBefore reports whether the event with this id, which is the next one to be shown, was also filed before.
func (p *shardPages) filedBefore(id string) bool {
	if p.ahead[0].ids[id] < p.at.Events-1 {
		return true
	}
	for _, earlier := range p.ahead[1:min(len(p.ahead), refiledWithin+1)] {
		if _, there := earlier.ids[id]; there {
			return true
		}
	}
	return false
}

// A meteredStore counts the bytes that are read from it.
type meteredStore struct {
	store.Store
	read atomic.Int64
}

// bytes returns how many bytes of items were read so far.
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
