package mfa

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"countersign/pkg/store"
)

// A read fetches something from the store before a decision: a single item, or what takes requests of its own. The zero read
// fetches nothing.
type read struct {
	// The key of a single item, and what takes the item, which may be absent.
	key  store.Key
	take func(store.Item) error

	// What makes requests itself, instead of a single item.
	fetch func(context.Context) error

	// What brings it to the epoch of the deployment, once all was read; nil if it doesn't depend on that.
	follow func(deployment int64) error

	// What the read takes, if that is an account or a policy.
	account **account
	policy  **orgPolicy
}

// readAll makes all reads at the same time. Their single items come with one request, or with one for each store.MaxKeys of
// them.
func readAll(ctx context.Context, from store.Store, reads ...read) error {
	var singles []read
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range reads {
		switch {
		case r.fetch != nil:
			g.Go(func() error { return r.fetch(ctx) })
		case r.take != nil:
			singles = append(singles, r)
		}
	}
	for some := range slices.Chunk(singles, store.MaxKeys) {
		g.Go(func() error { return readItems(ctx, from, some) })
	}
	return g.Wait()
}

// readItems fetches single items with one request.
func readItems(ctx context.Context, from store.Store, reads []read) error {
	var keys []store.Key
	at := map[store.Key]int{} // two reads may want one item, and a Get names a key once
	for _, r := range reads {
		if _, known := at[r.key]; !known {
			at[r.key] = len(keys)
			keys = append(keys, r.key)
		}
	}
	items, err := from.Get(ctx, keys...)
	if err != nil {
		return err
	}
	for _, r := range reads {
		if err := r.take(items[at[r.key]]); err != nil {
			return err
		}
	}
	return nil
}

// readItem reads an item without decoding it.
func readItem(key store.Key, into *store.Item) read {
	return read{key: key, take: func(item store.Item) error {
		*into = item
		return nil
	}}
}
