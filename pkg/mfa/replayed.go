package mfa

import (
	"context"
	"errors"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// replayedFor is how long it is known that records were replayed. The bucket of failures keeps them for less.
const replayedFor = 31 * 24 * time.Hour

// WasReplayed reports whether NoteReplayed was called with this id, within the last 31 days.
func (s *Service) WasReplayed(ctx context.Context, id string) (bool, error) {
	item, err := store.GetOne(ctx, s.Store, replayedKey(id))
	return !item.Absent(), err
}

// NoteReplayed notes that an operator has handed records that had been given up to Publish again, under an id that the caller makes
// from them. It isn't an error if that was noted before.
func (s *Service) NoteReplayed(ctx context.Context, id string) error {
	u := &unit{s: s, ctx: ctx}
	u.begin(nil)
	u.put(store.Item{Key: replayedKey(id)}, &replayed{At: u.now}, u.now.Add(replayedFor))
	if err := u.commit(ctx); !errors.Is(err, store.ErrConflict) {
		return err
	}
	return nil
}

func replayedKey(id string) store.Key { return store.Key{Partition: "replayed#" + id, Sort: "done"} }

// A replayed says that records were handed on by an operator.
type replayed struct {
	record.Head
	At time.Time `json:"at" record:"1"`
}
