package apikey

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// Uses notes on which days API keys are used, for operators who want to know whether they can revoke one. It decides nothing.
//
// A day is an item of its own, which is put if it is absent. A process puts it with the first call that it gets with the key on
// that day, and remembers that in its memory. So a key that makes very many calls costs one write a day for each process, and
// nothing in between. It is safe for concurrent use.
type Uses struct {
	Store store.Store
	Now   func() time.Time

	noted sync.Map // the last day that this process has noted, by the hash of the key
}

const (
	usedPartition = "used#"              // the id of the key follows
	usedFor       = 400 * 24 * time.Hour // for how long a day is kept
	noteFor       = time.Second          // how long a call waits at most until a day is noted
)

// used says that an API key was used on a day. It is empty, because its place says all.
type used struct{ record.Head }

func usedAt(id, day string) store.Key { return store.Key{Partition: usedPartition + id, Sort: day} }

// Note notes that the API key whose text has this hash is used today, in UTC, unless this process has noted that already. Whoever
// calls it has checked that the key is good. If it fails, a later call tries again.
func (u *Uses) Note(ctx context.Context, hash string) error {
	now := u.Now().UTC()
	day := now.Format(time.DateOnly)
	before, _ := u.noted.Swap(hash, day)
	if before == day {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, noteFor)
	defer cancel()
	body, err := record.Encode(&used{})
	if err == nil {
		err = u.Store.Commit(ctx, store.NewVersion(), store.Write{Key: usedAt(idOf(hash), day), Body: body, Expires: now.Add(usedFor)})
	}
	if err != nil && !errors.Is(err, store.ErrConflict) { // a conflict means that another process has noted it
		u.noted.CompareAndDelete(hash, day)
		return fmt.Errorf("note that an API key is used: %w", err)
	}
	return nil
}

// LastUsed returns the last day in UTC on which the API key with this id was used, such as 2026-11-30. It is empty if that was more
// than 400 days ago, or never.
func (r *Registry) LastUsed(ctx context.Context, id string) (day string, err error) {
	page, err := r.Store.Query(ctx, store.Query{Partition: usedPartition + id, Limit: 1, Reverse: true})
	if err != nil {
		return "", fmt.Errorf("read when an API key was used: %w", err)
	}
	for _, item := range page.Items {
		day = item.Key.Sort
	}
	return day, nil
}
