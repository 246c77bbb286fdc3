package apikey

import (
	"context"
	"fmt"

	"countersign/pkg/store"
)

// OfOrg returns all items of one API key that is limited to the org, and none if there is no such key. One Commit that deletes
// all of them ends the key, as a revocation does.
func (r *Registry) OfOrg(ctx context.Context, org string) ([]store.Item, error) {
	lines, err := r.lines(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		key, err := readLine(line)
		if err != nil {
			return nil, err
		}
		if key.Org != org {
			continue
		}
		copies, err := r.Store.Get(ctx, store.CopyKeys(at(line.Key.Sort))...)
		if err != nil {
			return nil, fmt.Errorf("read an API key: %w", err)
		}
		items := []store.Item{line}
		for _, item := range copies {
			if !item.Absent() {
				items = append(items, item)
			}
		}
		return items, nil
	}
	return nil, nil
}
