package storetest

import (
	"context"
	"sync/atomic"

	"countersign/pkg/store"
)

// A Meter is a store.Store with another one inside. It counts what is read from that one.
type Meter struct {
	store.Store
	Bytes   atomic.Int64 // the bytes of keys, versions and bodies
	Items   atomic.Int64
	Queries atomic.Int64
}

// Reset sets all counts to 0.
func (m *Meter) Reset() {
	m.Bytes.Store(0)
	m.Items.Store(0)
	m.Queries.Store(0)
}

// Get implements store.Store.
func (m *Meter) Get(ctx context.Context, keys ...store.Key) ([]store.Item, error) {
	items, err := m.Store.Get(ctx, keys...)
	m.count(items...)
	return items, err
}

// Query implements store.Store.
func (m *Meter) Query(ctx context.Context, q store.Query) (store.Page, error) {
	page, err := m.Store.Query(ctx, q)
	m.Queries.Add(1)
	m.count(page.Items...)
	return page, err
}

func (m *Meter) count(items ...store.Item) {
	for _, item := range items {
		m.Bytes.Add(int64(len(item.Key.Partition) + len(item.Key.Sort) + len(item.Version) + len(item.Body)))
		m.Items.Add(1)
	}
}
