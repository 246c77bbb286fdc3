package apikey

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

const makeTries = 3 // how often a commit that puts a new filter key is tried

// filterKey is where the store has the key of the filter for its bearer tokens.
var filterKey = store.Key{Partition: "filter", Sort: "filter"}

// filterRecord has the key of the filter in the clear. See seal.Filter for why it isn't secret.
type filterRecord struct {
	record.Head
	Key string `json:"key" record:"1,secret"`
}

// A FilterKeeper has the filter that recognises the bearer tokens of a deployment. It reads the filter from the store once,
// because the key of the filter never changes. If there is none yet, it makes one. It is safe for concurrent use.
type FilterKeeper struct {
	Store store.Store

	reading sync.Mutex
	filter  atomic.Pointer[seal.Filter]
}

// Filter returns the filter. It fails if it hasn't read the filter yet and the store can't be read.
func (k *FilterKeeper) Filter(ctx context.Context) (*seal.Filter, error) {
	if f := k.filter.Load(); f != nil {
		return f, nil
	}
	k.reading.Lock()
	defer k.reading.Unlock()
	if f := k.filter.Load(); f != nil {
		return f, nil
	}
	f, err := readFilter(ctx, k.Store)
	if err != nil {
		return nil, err
	}
	k.filter.Store(f)
	return f, nil
}

// readFilter reads the filter, or stores a new one if there is none. If several processes do that at the same time, all of them
// get the same filter.
func readFilter(ctx context.Context, from store.Store) (*seal.Filter, error) {
	var failed error
	for range makeTries {
		item, err := store.GetOne(ctx, from, filterKey)
		if err != nil {
			return nil, fmt.Errorf("read the filter key: %w", err)
		}
		if !item.Absent() {
			var r filterRecord
			if err := record.Decode(item, &r); err != nil {
				return nil, err
			}
			return seal.UnmarshalFilter(seal.NewSecret(r.Key))
		}
		made := seal.NewFilter()
		body, err := record.Encode(&filterRecord{Key: made.Marshal().Reveal()})
		if err != nil {
			return nil, err
		}
		// If the commit fails, the next read finds out which filter is stored.
		if failed = from.Commit(ctx, store.NewVersion(), store.Write{Key: filterKey, Body: body}); failed == nil {
			return made, nil
		}
	}
	return nil, fmt.Errorf("make the filter key: %w", failed)
}
