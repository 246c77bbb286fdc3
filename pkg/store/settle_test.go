package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"countersign/pkg/store"
)

// answers is a store whose commits return one of these errors after the other, and then nil.
type answers struct {
	store.Store
	next   []error
	tokens []store.Version
}

func (a *answers) Commit(_ context.Context, token store.Version, _ ...store.Write) error {
	a.tokens = append(a.tokens, token)
	if len(a.next) == 0 {
		return nil
	}
	err := a.next[0]
	a.next = a.next[1:]
	return err
}

func TestACommitWhoseAnswerWasLostIsAskedForAgainWithItsToken(t *testing.T) {
	lost := errors.New("no answer")
	for name, c := range map[string]struct {
		answers []error
		commits int
		want    error
	}{
		"done at once":         {nil, 1, nil},
		"lost once":            {[]error{lost}, 2, nil},
		"lost twice":           {[]error{lost, lost}, 3, nil},
		"lost always":          {[]error{lost, lost, lost}, 3, lost},
		"refused":              {[]error{store.ErrConflict}, 1, store.ErrConflict},
		"lost, then refused":   {[]error{lost, store.ErrConflict}, 2, store.ErrConflict},
		"against the contract": {[]error{store.ErrInvalid}, 1, store.ErrInvalid},
	} {
		s := &answers{next: c.answers}
		var pauses []int
		pause := func(try int) time.Duration { pauses = append(pauses, try); return 0 }
		if err := store.Settle(t.Context(), s, pause, "token"); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if len(s.tokens) != c.commits || len(pauses) != c.commits-1 {
			t.Errorf("%s: got %d commits and the pauses %v, want %d commits with a pause between two", name, len(s.tokens), pauses, c.commits)
		}
		for _, token := range s.tokens {
			if token != "token" {
				t.Errorf("%s: got the token %s, want the same each time", name, token)
			}
		}
	}
}

func TestACommitIsNotAskedForAgainOnceItsContextHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &answers{next: []error{errors.New("no answer")}}
	pause := func(int) time.Duration { cancel(); return time.Hour }
	if err := store.Settle(ctx, s, pause, "token"); !errors.Is(err, context.Canceled) || len(s.tokens) != 1 {
		t.Errorf("got %v after %d commits, want the end of the context after one", err, len(s.tokens))
	}
}
