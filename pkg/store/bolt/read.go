package bolt

import (
	"bytes"
	"context"
	"fmt"

	"go.etcd.io/bbolt"

	"countersign/pkg/store"
)

// maxPageBytes is about how many bytes a page has at most. The pages of DynamoDB have as many, so code that forgets to ask for the
// next page fails here, too.
const maxPageBytes = 1 << 20

// view calls fn with a bucket, in a transaction that only reads. If the file is fresh and has no buckets, it doesn't call fn.
func (d *DB) view(name []byte, fn func(*bbolt.Bucket) error) error {
	return d.file.View(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(name)
		if bucket == nil {
			return nil
		}
		return fn(bucket)
	})
}

// Get implements store.Store.
func (d *DB) Get(ctx context.Context, keys ...store.Key) ([]store.Item, error) {
	if err := store.CheckGet(keys); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.active.Done()

	found := make([]store.Item, len(keys))
	for i, key := range keys {
		found[i].Key = key
	}
	err := d.view(bucketItems, func(items *bbolt.Bucket) (err error) {
		now := d.now()
		for i, key := range keys {
			if found[i], err = readItem(key, items.Get(encodeKey(key)), now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("bolt: get: %w", err)
	}
	return found, nil
}

// Query implements store.Store.
func (d *DB) Query(ctx context.Context, q store.Query) (store.Page, error) {
	limit, err := store.CheckQuery(q)
	if err != nil {
		return store.Page{}, err
	}
	if err := ctx.Err(); err != nil {
		return store.Page{}, err
	}
	if err := d.enter(); err != nil {
		return store.Page{}, err
	}
	defer d.active.Done()

	var page store.Page
	err = d.view(bucketItems, func(items *bbolt.Bucket) error {
		page, err = d.page(items.Cursor(), q, limit)
		return err
	})
	if err != nil {
		return store.Page{}, fmt.Errorf("bolt: query: %w", err)
	}
	return page, nil
}

// page goes through the keys that q asks for. These are the keys from low to high, without high.
func (d *DB) page(cursor *bbolt.Cursor, q store.Query, limit int) (store.Page, error) {
	partition := encodePartition(q.Partition)
	low := append(encodePartition(q.Partition), q.Prefix...)
	high := successor(low)
	after := encodeKey(store.Key{Partition: q.Partition, Sort: q.After})
	if q.After != "" && q.Reverse && bytes.Compare(after, high) < 0 {
		high = after
	}
	if q.After != "" && !q.Reverse && bytes.Compare(after, low) >= 0 {
		low = append(after, 0)
	}

	now, size, seen := d.now(), 0, 0
	var page store.Page
	next := walk(cursor, low, high, q.Reverse)
	for key, value := next(); key != nil; key, value = next() {
		// Expired items count here, too. Otherwise a page could take very long.
		if len(page.Items) == limit || seen == store.MaxLimit || size >= maxPageBytes {
			page.More = true
			return page, nil
		}
		page.Last = string(key[len(partition):])
		item, err := readItem(store.Key{Partition: q.Partition, Sort: page.Last}, value, now)
		if err != nil {
			return store.Page{}, err
		}
		if !item.Absent() {
			page.Items = append(page.Items, item)
		}
		seen++
		size += len(value)
	}
	page.Last = ""
	return page, nil
}

// walk returns a function that returns one key after the other, from low to high without high, or in reverse order. After the last
// key it returns nil.
func walk(cursor *bbolt.Cursor, low, high []byte, reverse bool) func() (key, value []byte) {
	step, started := cursor.Next, false
	if reverse {
		step = cursor.Prev
	}
	return func() (key, value []byte) {
		switch {
		case started:
			key, value = step()
		case reverse:
			// Seek finds the first key that is not before high, or none.
			if k, _ := cursor.Seek(high); k == nil {
				key, value = cursor.Last()
			} else {
				key, value = cursor.Prev()
			}
		default:
			key, value = cursor.Seek(low)
		}
		started = true
		if key == nil || bytes.Compare(key, low) < 0 || bytes.Compare(key, high) >= 0 {
			return nil, nil
		}
		return key, value
	}
}
