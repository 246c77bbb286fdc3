// Package fault is a store that can be told to fail, so that what depends on a store can be shown to keep its promises
// when the store doesn't answer, answers late, or does its work and loses the answer. It also counts what it is asked.
//
// A Store that is told nothing behaves as the store inside it. A fault is for the next n calls of one method; faults of
// one method wait in line, and those for any method behind them. What a fault does is done around the store inside, never to what that store holds.
//
// It refuses to fail at random: whoever wants chance tells it so, call by call.
package fault

import (
	"context"
	"errors"
	"sync"
	"time"

	"countersign/pkg/store"
)

// Err is what a call answers that was told to fail and not told how.
var Err = errors.New("fault: told to fail")

// A Method is one of the four methods of a store, or Any.
type Method string

// The methods of a store.
const (
	Get    Method = "get"
	Query  Method = "query"
	Commit Method = "commit"
	Count  Method = "count"
	Any    Method = "any" // whichever is called next
)

// A Fault is what befalls a call. The zero Fault lets it pass.
type Fault struct {
	// Before runs before the store is asked. If it answers an error, the call does too and the store is not asked.
	Before func(context.Context) error
	// After runs when the store has answered. If it answers an error, that takes the place of what the store answered,
	// which has done its work all the same.
	After func(context.Context) error
}

// Fail answers err (nil: Err) and does not ask the store.
func Fail(err error) Fault {
	return Fault{Before: answer(err)}
}

// Lose asks the store and answers err (nil: Err) whatever it said: the work is done, the answer is lost.
func Lose(err error) Fault {
	return Fault{After: answer(err)}
}

// Conflict answers store.ErrConflict and does not ask the store. It is for Commit.
func Conflict() Fault { return Fail(store.ErrConflict) }

// Hold asks the store when release is closed or gives something, or not at all if the call's context ends before.
// What is sent on arrived (nil: nothing) tells that a call is being held.
func Hold(arrived chan<- struct{}, release <-chan struct{}) Fault {
	return Fault{Before: func(ctx context.Context) error {
		if arrived != nil {
			select {
			case arrived <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
}

// Delay asks the store after d, or not at all if the call's context ends before.
func Delay(d time.Duration) Fault {
	return Fault{Before: func(ctx context.Context) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
}

func answer(err error) func(context.Context) error {
	if err == nil {
		err = Err
	}
	return func(context.Context) error { return err }
}

// Counts is what a Store was asked since it was made or Reset. A call that failed counts as one that succeeded.
type Counts struct {
	Get, Query, Commit, Count int // calls of each method

	Keys  int // of all calls of Get
	Items int // writes in commits that the caller was told succeeded; a Count is not among them

	// Rounds is how many calls began while no other was under way. Calls made side by side are one round if they
	// overlap, which a Delay on each makes sure of; calls made one after the other are always several.
	Rounds int
}

// Calls is the number of calls of all methods.
func (c Counts) Calls() int { return c.Get + c.Query + c.Commit + c.Count }

// A Store is a store.Store around another. Its methods may be called from many goroutines.
type Store struct {
	inner store.Store

	mu     sync.Mutex
	queues map[Method][]queued
	counts Counts
	active int // calls under way
	page   int // items of a page of Query, at most; 0: as many as were asked for
}

// queued is a fault and for how many more calls it is.
type queued struct {
	fault Fault
	left  int // negative: until cleared
}

// New is a store around inner that lets everything pass.
func New(inner store.Store) *Store {
	return &Store{inner: inner, queues: map[Method][]queued{}}
}

// Inject puts fault in line for the next n calls of method; n below zero: for all until Clear. It panics if there is no
// such method, so that a misspelled one is not a test that passes.
func (s *Store) Inject(method Method, n int, fault Fault) {
	switch method {
	case Get, Query, Commit, Count, Any:
	default:
		panic("fault: no method " + string(method))
	}
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queues[method] = append(s.queues[method], queued{fault, n})
}

// Pages makes each page of a Query hold at most so many items, as the contract lets a backend do at any time; 0: as many
// as were asked for. It is no fault, and Clear leaves it.
func (s *Store) Pages(most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.page = most
}

func (s *Store) paged(q store.Query) store.Query {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.page > 0 && (q.Limit == 0 || q.Limit > s.page) {
		q.Limit = s.page
	}
	return q
}

// Clear takes all faults back that wait for a call. A call that is under way keeps its fault.
func (s *Store) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.queues)
}

// Waiting is how many calls of method have a fault waiting for them; -1: all that will come. A test that ends with some
// waiting did not test what it meant to.
func (s *Store) Waiting(method Method) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, q := range s.queues[method] {
		if q.left < 0 {
			return -1
		}
		n += q.left
	}
	return n
}

// Counts is what was asked so far.
func (s *Store) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// Reset sets the counts to nothing. Faults stay.
func (s *Store) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts = Counts{}
}

// begin notes a call and takes the fault that waits for it.
func (s *Store) begin(method Method) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch method {
	case Get:
		s.counts.Get++
	case Query:
		s.counts.Query++
	case Commit:
		s.counts.Commit++
	case Count:
		s.counts.Count++
	}
	if s.active == 0 {
		s.counts.Rounds++
	}
	s.active++

	if len(s.queues[method]) == 0 {
		method = Any
	}
	queue := s.queues[method]
	if len(queue) == 0 {
		return Fault{}
	}
	fault := queue[0].fault
	if queue[0].left > 0 {
		queue[0].left--
	}
	if queue[0].left == 0 {
		s.queues[method] = queue[1:]
	}
	return fault
}

// end notes that a call is over, and how many items it wrote.
func (s *Store) end(items int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	s.counts.Items += items
}

// around makes one call of the store inside, with what befalls it.
func around[T any](ctx context.Context, s *Store, method Method, items int, call func() (T, error)) (got T, err error) {
	fault := s.begin(method)
	defer func() {
		if err != nil {
			items = 0
		}
		s.end(items)
	}()
	var none T
	if fault.Before != nil {
		if err := fault.Before(ctx); err != nil {
			return none, err
		}
	}
	got, err = call()
	if fault.After != nil {
		if lost := fault.After(ctx); lost != nil {
			return none, lost
		}
	}
	return got, err
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, keys ...store.Key) ([]store.Item, error) {
	s.mu.Lock()
	s.counts.Keys += len(keys)
	s.mu.Unlock()
	return around(ctx, s, Get, 0, func() ([]store.Item, error) { return s.inner.Get(ctx, keys...) })
}

// Query implements store.Store.
func (s *Store) Query(ctx context.Context, q store.Query) (store.Page, error) {
	return around(ctx, s, Query, 0, func() (store.Page, error) { return s.inner.Query(ctx, s.paged(q)) })
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, token store.Version, writes ...store.Write) error {
	_, err := around(ctx, s, Commit, len(writes), func() (struct{}, error) {
		return struct{}{}, s.inner.Commit(ctx, token, writes...)
	})
	return err
}

// Count implements store.Store.
func (s *Store) Count(ctx context.Context, key store.Key, n, cap int64, expires time.Time) (int64, error) {
	return around(ctx, s, Count, 0, func() (int64, error) { return s.inner.Count(ctx, key, n, cap, expires) })
}
