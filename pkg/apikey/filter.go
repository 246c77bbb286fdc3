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

const makeTries = 3 // of a commit that puts a new filter key

// filterKey is where the table has the filter key of its bearers.
var filterKey = store.Key{Partition: "filter", Sort: "filter"}

// filterRecord is the filter key, in the clear: see seal.Filter.
type filterRecord struct {
	record.Head
	Key string `json:"key"`
}

// A FilterKeeper has the filter of a deployment's bearers. It reads it from the store once, since the key of it never
// changes, and makes it where there is none yet. It is safe for concurrent use.
type FilterKeeper struct {
	Store store.Store

	reading sync.Mutex
	filter  atomic.Pointer[seal.Filter]
}

// Filter gives the filter. It fails when the store can't be asked and the filter was never read.
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

// readFilter reads the filter, or puts a new one if there is none. Of several who do so at once one makes it, and all get
// that one.
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
		// Whatever comes of it, the next read says which one there is.
		if failed = from.Commit(ctx, store.NewVersion(), store.Write{Key: filterKey, Body: body}); failed == nil {
			return made, nil
		}
	}
	return nil, fmt.Errorf("make the filter key: %w", failed)
}
