package mfa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// PublishedKeysAt is where the table has the public half of the key ring. That half is public: a function that serves it
// needs neither the ring nor KMS.
var PublishedKeysAt = store.Key{Partition: "jwks", Sort: "jwks"}

// publishedKeys is the record of the public half of the key ring.
type publishedKeys struct {
	record.Head
	JWKS json.RawMessage `json:"jwks" record:"1"`
}

// PublishKeys returns the write that publishes the public half of ring. It expects the item in the version expect. Commit it
// together with the change of the ring, so that no key signs before it has been published for long enough.
func PublishKeys(ring *seal.Ring, expect store.Version) (store.Write, error) {
	body, err := record.Encode(&publishedKeys{JWKS: ring.JWKS()})
	if err != nil {
		return store.Write{}, fmt.Errorf("publish the keys: %w", err)
	}
	return store.Write{Key: PublishedKeysAt, Expect: expect, Body: body}, nil
}

// PublishedKeys reads the public half of the key ring, a JWKS (RFC 7517 section 5). It fails if there is none yet.
func PublishedKeys(ctx context.Context, from store.Store) ([]byte, error) {
	item, err := store.GetOne(ctx, from, PublishedKeysAt)
	if err != nil {
		return nil, fmt.Errorf("read the published keys: %w", err)
	}
	if item.Absent() {
		return nil, errors.New("read the published keys: there are none yet; the first function that needs the key ring makes them")
	}
	var p publishedKeys
	if err := record.Decode(item, &p); err != nil {
		return nil, err
	}
	return p.JWKS, nil
}
