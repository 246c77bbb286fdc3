// Package fault has a store that a test can make fail. With it a test shows that code still works correctly when the store
// doesn't answer, answers late, or does its work and loses the answer. The store also counts its calls.
//
// A Store has another store inside, and behaves as that one until a fault is injected. A fault is for the next n calls of one
// method. Further faults for that method wait until those calls were made. Faults for any method come after those for the method
// that is called. A fault does something before or after the store inside is called. It never changes what that store has.
//
// No fault comes at random. A test that wants chance decides for each call itself.
package fault

import (
	"context"
	"errors"
	"sync"
	"time"

	"countersign/pkg/store"
)

// Err is the error of a call that was made to fail, if the test named no other error.
var Err = errors.New("fault: told to fail")

// A Method is one of the four methods of a store, or Any of them.
type Method string

// These are the methods of a store.
const (
	Get    Method = "get"
	Query  Method = "query"
	Commit Method = "commit"
	Count  Method = "count"
	Any    Method = "any" // the method that is called next
)

// A Fault says what happens to a call. With the zero Fault, nothing happens to it.
type Fault struct {
	// Before is called before the store. If it returns an error, the call returns that error, and the store isn't called.
	Before func(context.Context) error
	// After is called after the store. If it returns an error, the call returns that error, although the store has done its work.
	After func(context.Context) error
}

// Fail makes a call return err, or Err if err is nil. The store isn't called.
func Fail(err error) Fault {
	return Fault{Before: answer(err)}
}

// Lose makes a call return err, or Err if err is nil, after the store has done its work. So the answer is lost.
func Lose(err error) Fault {
	return Fault{After: answer(err)}
}

// Conflict makes a Commit return store.ErrConflict. The store isn't called.
func Conflict() Fault { return Fail(store.ErrConflict) }

// Hold holds a call until something comes from release, or release is closed. Then the store is called. If the context of the call
// ends before that, the store isn't called. If arrived is not nil, Hold sends on it when it begins to hold a call.
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

// Delay calls the store after d. If the context of the call ends before that, the store isn't called.
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

// Counts says how often a Store was called since it was made, or since the last Reset. Calls that failed count, too.
type Counts struct {
	Get, Query, Commit, Count int // calls of each method

	Keys  int // the keys of all calls of Get
	Items int // the writes of all commits whose callers were told that they succeeded, without calls of Count

	// Rounds is how many calls began while no other call was running. Calls at the same time are one round if they overlap,
	// and a Delay on each of them makes sure that they do. Calls one after the other are always several rounds.
	Rounds int
}

// Calls returns the number of calls of all methods.
func (c Counts) Calls() int { return c.Get + c.Query + c.Commit + c.Count }

// A Store is a store.Store with another one inside. Its methods may be called from many goroutines at the same time.
type Store struct {
	inner store.Store

	mu     sync.Mutex
	queues map[Method][]queued
	counts Counts
	active int // calls that are running
	page   int // the most items in a page of Query; 0 means as many as were asked for
}

// queued is a fault that waits, and for how many more calls it is.
type queued struct {
	fault Fault
	left  int // negative means for all calls until Clear
}

// New returns a store around inner that has no faults yet.
func New(inner store.Store) *Store {
	return &Store{inner: inner, queues: map[Method][]queued{}}
}

// Inject adds a fault for the next n calls of method. If n is negative, the fault is for all calls until Clear. Inject panics if
// there is no such method, because otherwise a test with a misspelled method could pass.
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

// Pages limits the items in each page of a Query, as a backend may do at any time. With 0, a page has as many as were asked for.
// This is not a fault, so Clear doesn't change it.
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

// Clear removes all faults that wait for a call. A call that is running keeps its fault.
func (s *Store) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.queues)
}

// Waiting returns for how many calls of method a fault waits, or -1 if one waits for all further calls. If faults still wait at the
// end of a test, the test didn't test what it was meant to.
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

// Counts returns the counts so far.
func (s *Store) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// Reset sets all counts to 0. It doesn't change the faults.
func (s *Store) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts = Counts{}
}

// begin counts a call, and returns the fault that waits for it.
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

// end counts the items that a call has written. The call is over then.
func (s *Store) end(items int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	s.counts.Items += items
}

// around makes one call of the store inside, with the fault that waits for it.
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
