package walk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/store"
	"countersign/pkg/store/storetest"
)

// A schedule is one order in which the calls of a stage can take place. The calls are made to the service itself, and each
// actor has a goroutine of its own. Each request to the store waits until the walker lets it go on. Only reads of records
// that no call writes don't wait, because their order makes no difference.
type schedule struct {
	stage  *stage
	props  *props
	model  *storetest.Model
	clock  *storetest.Clock
	actors []*actor
	ctx    context.Context
	naive  bool // leave nothing out, not even what makes no difference

	mu       sync.Mutex
	waiting  []*move
	air      []*flight
	losses   int    // commits that may still be lost
	jumps    int    // how often the clock may still jump
	answered uint64 // the bits of the calls whose answer said that something is closed
	closed   uint64 // the bits of the calls that close something and have taken effect
	lifted   bool   // an unlock has taken effect
	mails    []message.Message
	texts    []message.Text
	numbers  map[store.Key]bool // the keys of the counts that calls wait for: see Count
	over     bool
	records  map[string]*shownRecord // the records that it has met, by the bodies of their items
	faults   []error                 // errors of the stage itself
	broken   error                   // an invariant that a commit has broken
	chance   bool                    // a sent code is by chance one that somebody gives as a wrong code, so the schedule proves nothing
}

// A move is a step for which a call waits.
type move struct {
	call *call
	name string
	ask  func() error
	made *flight // the commit, if the move is one
	err  error
	gate chan struct{}
}

// A flight is a commit that is under way. It may land after its caller has stopped waiting for the answer, or never.
type flight struct {
	call   *call
	token  store.Version
	writes []store.Write
	now    time.Time // when it was decided
	text   string    // see commitText
}

// A fate is what happens to a move.
type fate int

const (
	passes      fate = iota
	losesAnswer      // the answer is lost, and the commit may still land
	dies             // the process dies, and the commit may still land
	lands            // a lost commit takes effect
	jumps            // the clock jumps
)

// An option is something that can happen next.
type option struct {
	fate   fate
	move   *move
	flight *flight
	by     time.Duration
}

func (o option) String() string {
	switch o.fate {
	case losesAnswer:
		return o.move.call.what + ": " + o.move.name + ", and the answer is lost"
	case dies:
		return o.move.call.what + ": " + o.move.name + ", and the process dies"
	case lands:
		return o.flight.call.what + ": a lost commit lands"
	case jumps:
		return "the clock jumps by " + o.by.String()
	}
	return o.move.call.what + ": " + o.move.name
}

// open starts the actors. Each of them runs until it waits.
func (p *props) open(ctx context.Context, g *stage, losses int, naive bool) *schedule {
	clock := storetest.NewClock(p.Clock.Now())
	s := &schedule{stage: g, props: p, ctx: ctx, numbers: map[store.Key]bool{}, clock: clock, model: p.model.Clone(clock.Now), losses: losses, naive: naive, records: map[string]*shownRecord{}}
	if len(g.jumps) > 0 {
		s.jumps = 1
	}
	for i, script := range p.scripts {
		a := &actor{schedule: s, index: i}
		a.service = &mfa.Service{
			Store: a, Keys: p.Keys, Filter: p.Filter, Mail: a, Text: a, Numbers: p.Numbers, Bus: p.Events, Now: a.now, Issuer: p.Issuer,
			RelyingParty: p.RelyingParty, Passkeys: p.Passkeys,
			Pause: func(int) time.Duration { return 0 },
		}
		s.actors = append(s.actors, a)
		go script(a)
	}
	synctest.Wait()
	return s
}

// close makes everything that waits fail, so that all goroutines end.
func (s *schedule) close() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	for {
		synctest.Wait()
		s.mu.Lock()
		waiting := s.waiting
		s.waiting = nil
		s.mu.Unlock()
		if len(waiting) == 0 {
			return
		}
		for _, m := range waiting {
			m.call.cancel()
			m.err = errOver
			close(m.gate)
		}
	}
}

// options returns all that can happen next. The order is always the same after the same history. It must be called when
// every actor waits or has ended.
func (s *schedule) options() []option {
	slices.SortFunc(s.waiting, func(a, b *move) int {
		return cmp.Or(cmp.Compare(a.call.bit, b.call.bit), cmp.Compare(a.name, b.name))
	})
	var all []option
	for _, m := range s.waiting {
		if s.doomed(m.made) && s.jumps == 0 {
			// This commit will be refused at any time and changes nothing, so another order of it would show nothing new.
			return []option{{fate: passes, move: m}}
		}
		all = append(all, option{fate: passes, move: m})
		if m.made != nil && s.losses > 0 && !s.doomed(m.made) {
			all = append(all, option{fate: losesAnswer, move: m}, option{fate: dies, move: m})
		}
	}
	s.air = slices.DeleteFunc(s.air, func(f *flight) bool { return s.fits(f) == fitsNever })
	for _, f := range s.air {
		if s.fits(f) == fitsNow {
			all = append(all, option{fate: lands, flight: f})
		}
	}
	if s.jumps > 0 && len(s.waiting) > 0 {
		for _, by := range s.stage.jumps {
			all = append(all, option{fate: jumps, by: by})
		}
	}
	return all
}

// take makes o happen, and returns when every actor waits again or has ended.
func (s *schedule) take(o option) {
	switch o.fate {
	case lands:
		s.air = slices.DeleteFunc(s.air, func(f *flight) bool { return f == o.flight })
		s.land(o.flight)
		return
	case jumps:
		s.jumps--
		s.clock.Advance(o.by)
		return
	}
	m, c := o.move, o.move.call
	if !c.moved {
		c.moved, c.began = true, s.answered
	}
	if o.fate == passes {
		m.err = m.ask()
	} else {
		m.err = errLost
		s.air = append(s.air, m.made)
		s.losses--
		c.lost++
		if o.fate == dies {
			c.dead = true
			c.cancel()
		}
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(w *move) bool { return w == m })
	close(m.gate)
	synctest.Wait()
}

const (
	fitsNow   = iota
	fitsLater // an item exists where the commit expects none, but it may still be deleted
	fitsNever
)

// doomed reports whether a commit will be refused with a conflict, now and at any later time.
func (s *schedule) doomed(f *flight) bool {
	return f != nil && !s.naive && s.fits(f) == fitsNever && !slices.ContainsFunc(f.writes, func(w store.Write) bool {
		return s.item(w.Key).Version == f.token
	})
}

// fits says whether a commit would take effect now, may still do so later, or never will.
func (s *schedule) fits(f *flight) int {
	found := fitsNow
	for _, w := range f.writes {
		switch item := s.item(w.Key); {
		case item.Version == w.Expect:
		case w.Expect != "":
			return fitsNever // a version that is gone never comes back
		default:
			found = fitsLater
		}
	}
	return found
}

func (s *schedule) item(key store.Key) store.Item {
	item, err := store.GetOne(context.Background(), s.model, key)
	s.blame(err)
	return item
}

// land carries out a commit.
func (s *schedule) land(f *flight) error {
	effect := s.fits(f) == fitsNow
	for _, w := range f.writes {
		if s.still(w.Key.Partition) && w.Expect != "" && s.stage.counts == "" {
			s.blame(fmt.Errorf("the stage says that nobody writes %.3s", w.Key.Partition))
		}
	}
	before := s.guardOf(f)
	err := s.model.Commit(context.Background(), f.token, f.writes...)
	if err == nil && effect {
		for _, a := range s.actors {
			for _, c := range a.calls {
				if c != f.call && c.landed > 0 && !c.over && c.overtakes(f.call) {
					c.overtaken++
				}
			}
		}
		s.note(f, before)
		f.call.landed++
		f.call.landedAfter, f.call.decided = s.answered, f.now
		s.broken = cmp.Or(s.broken, s.credentials())
	}
	if !errors.Is(err, store.ErrConflict) {
		s.blame(err)
	}
	return err
}

// still reports whether no call of this stage writes to an existing item of a partition. If the stage counts messages, only
// the call that has begun a challenge writes to it.
func (s *schedule) still(partition string) bool {
	return strings.HasPrefix(partition, "key#") || strings.HasPrefix(partition, "org#") ||
		strings.HasPrefix(partition, "ch_") && !s.stage.resend
}

// await stops a call until the walker lets it go on.
func (s *schedule) await(c *call, name string, made *flight, ask func() error) error {
	m := &move{call: c, name: name, ask: ask, made: made, gate: make(chan struct{})}
	s.mu.Lock()
	if s.over || c.dead {
		s.mu.Unlock()
		return errOver
	}
	s.waiting = append(s.waiting, m)
	s.mu.Unlock()
	<-m.gate
	return m.err
}

// blame records an error that isn't the service's fault.
func (s *schedule) blame(err error) {
	if err != nil {
		s.faults = append(s.faults, err)
	}
}
