package storetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/pkg/store"
)

// A Model is the contract of package store in its simplest form, in memory. A backend differs from it only in durability and speed.
// It implements store.Store and store.Feed. It keeps expired items until they are overwritten.
type Model struct {
	now func() time.Time

	delivering sync.Mutex // locked while Deliver runs

	mu     sync.Mutex
	items  map[store.Key]held
	counts map[store.Key]count
	outbox []store.Record
}

// held is an item as it was written. Its body never changes.
type held struct {
	version store.Version
	expiry  int64 // the Unix second; 0: it never expires
	body    string
}

type count struct{ number, expiry int64 }

// NewModel returns an empty store, which takes the time from now.
func NewModel(now func() time.Time) *Model {
	return &Model{now: now, items: map[store.Key]held{}, counts: map[store.Key]count{}}
}

// Clone returns another store that has what m has now. It takes the time from now.
func (m *Model) Clone(now func() time.Time) *Model {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Model{now: now, items: maps.Clone(m.items), counts: maps.Clone(m.counts), outbox: slices.Clone(m.outbox)}
}

// Items returns all items that have not expired, in the order of partition and sort. Counts are not items.
func (m *Model) Items() []store.Item {
	m.mu.Lock()
	defer m.mu.Unlock()
	var items []store.Item
	for key := range m.items {
		if item := m.item(key); !item.Absent() {
			items = append(items, item)
		}
	}
	slices.SortFunc(items, func(a, b store.Item) int {
		if c := strings.Compare(a.Key.Partition, b.Key.Partition); c != 0 {
			return c
		}
		return strings.Compare(a.Key.Sort, b.Key.Sort)
	})
	return items
}

// item returns what a read sees under key. The caller has locked m.mu.
func (m *Model) item(key store.Key) store.Item {
	h, ok := m.items[key]
	if !ok || store.Expired(h.expiry, m.now()) {
		return store.Item{Key: key}
	}
	item := store.Item{Key: key, Version: h.version, Body: []byte(h.body)}
	if h.expiry != 0 {
		item.Expires = time.Unix(h.expiry, 0).UTC()
	}
	return item
}

// Get implements store.Store.
func (m *Model) Get(ctx context.Context, keys ...store.Key) ([]store.Item, error) {
	if err := store.CheckGet(keys); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	items := make([]store.Item, len(keys))
	for i, key := range keys {
		items[i] = m.item(key)
	}
	return items, nil
}

// Query implements store.Store.
func (m *Model) Query(ctx context.Context, q store.Query) (store.Page, error) {
	limit, err := store.CheckQuery(q)
	if err != nil {
		return store.Page{}, err
	}
	if err := ctx.Err(); err != nil {
		return store.Page{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()

	var sorts []string
	for key := range m.items {
		beyond := q.After == "" || (!q.Reverse && key.Sort > q.After) || (q.Reverse && key.Sort < q.After)
		if key.Partition == q.Partition && strings.HasPrefix(key.Sort, q.Prefix) && beyond {
			sorts = append(sorts, key.Sort)
		}
	}
	slices.Sort(sorts)
	if q.Reverse {
		slices.Reverse(sorts)
	}
	var page store.Page
	if len(sorts) > limit {
		sorts = sorts[:limit]
		page.More, page.Last = true, sorts[limit-1]
	}
	for _, sort := range sorts {
		if item := m.item(store.Key{Partition: q.Partition, Sort: sort}); !item.Absent() {
			page.Items = append(page.Items, item)
		}
	}
	return page, nil
}

// Commit implements store.Store.
func (m *Model) Commit(ctx context.Context, token store.Version, writes ...store.Write) error {
	if err := store.CheckCommit(token, writes); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()

	conflict := false
	for _, w := range writes {
		version := m.item(w.Key).Version
		if version == token {
			return nil
		}
		conflict = conflict || version != w.Expect
	}
	if conflict {
		return store.ErrConflict
	}
	for _, w := range writes {
		if w.Delete {
			delete(m.items, w.Key)
			continue
		}
		m.items[w.Key] = held{version: token, expiry: store.ExpirySecond(w.Expires), body: string(w.Body)}
		if len(w.Events) > 0 {
			m.outbox = append(m.outbox, store.Record{Key: w.Key, Version: token, Events: slices.Clone(w.Events)})
		}
	}
	return nil
}

// Count implements store.Store.
func (m *Model) Count(ctx context.Context, key store.Key, n, cap int64, expires time.Time) (int64, error) {
	if err := store.CheckCount(key, n, cap, expires); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()

	c, ok := m.counts[key]
	if !ok || store.Expired(c.expiry, m.now()) {
		c = count{expiry: store.ExpirySecond(expires)}
	}
	if n == 0 {
		return c.number, nil
	}
	if n > cap-c.number {
		return c.number, store.ErrFull
	}
	c.number += n
	m.counts[key] = c
	return c.number, nil
}

// Deliver implements store.Feed.
func (m *Model) Deliver(ctx context.Context, limit int, fn func(context.Context, []store.Record) error) error {
	if limit < 1 {
		return fmt.Errorf("%w: delivery of %d at a time", store.ErrInvalid, limit)
	}
	m.delivering.Lock()
	defer m.delivering.Unlock()

	m.mu.Lock()
	left := len(m.outbox)
	m.mu.Unlock()
	for left > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		m.mu.Lock()
		records := slices.Clone(m.outbox[:min(limit, left)])
		m.mu.Unlock()
		if err := fn(ctx, records); err != nil {
			return err
		}
		m.mu.Lock()
		m.outbox = slices.Clone(m.outbox[len(records):])
		m.mu.Unlock()
		left -= len(records)
	}
	return nil
}
