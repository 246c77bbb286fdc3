package mfa

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// What the activity says of a user lies encrypted under a key that is in the user's guard and nowhere else (see package
// activity). So erasing the user erases it at once.
//
// The time from a guard's making to its erasure is a life. An event names the life it is of, so that what is handed on
// after an erasure is not filed under the key of a user who was made again under the same id.

// life names the guard's life and tells nothing of its key.
func (g *guard) life() string {
	sum := sha256.Sum256(seal.Join("life of an activity key", string(g.Activity)))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// readGuards reads the guards of routes together. A user who doesn't exist has none.
func readGuards(ctx context.Context, from store.Store, routes map[route]bool) (map[route]*guard, error) {
	var reads []read
	found := map[route]*guard{}
	held := make([]account, 0, len(routes))
	for r := range routes {
		held = append(held, account{route: r})
		a := &held[len(held)-1]
		reads = append(reads, readItem(guardKey(r), &a.item))
	}
	if err := readAll(ctx, from, reads...); err != nil {
		return nil, fmt.Errorf("read the guards of %d users: %w", len(routes), err)
	}
	for i := range held {
		if held[i].item.Absent() {
			continue
		}
		if err := held[i].take(held[i].item); err != nil {
			return nil, err
		}
		found[held[i].route] = held[i].guard
	}
	return found, nil
}
