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

// A schedule is one way in which the calls of a stage can meet. The calls are the service's own, each actor in a goroutine
// of its own; whatever they ask of the store waits until the walker lets it go. Reads of what nobody writes don't wait:
// their order changes nothing.
type schedule struct {
	stage  *stage
	props  *props
	model  *storetest.Model
	clock  *storetest.Clock
	actors []*actor
	ctx    context.Context
	naive  bool // leave out nothing that changes nothing

	mu       sync.Mutex
	waiting  []*move
	air      []*flight
	losses   int    // commits that may still be lost
	jumps    int    // that the clock may still make
	answered uint64 // calls, by their bit, whose answer said that something is closed
	closed   uint64 // calls that close something, by their bit, one commit of which has taken effect
	lifted   bool   // an unlock has taken effect
	mails    []message.Message
	texts    []message.Text
	numbers  map[store.Key]bool // that the calls wait for, see Count
	over     bool
	records  map[string]*shownRecord // that it has come across, by what items hold
	faults   []error                 // what is wrong with the stage itself
	broken   error                   // an invariant that a commit has broken
	chance   bool                    // a code came up that somebody types as a wrong one: the schedule says nothing
}

// A move is something that a call waits for.
type move struct {
	call *call
	name string
	ask  func() error
	made *flight // a commit's
	err  error
	gate chan struct{}
}

// A flight is a commit on its way. It can land after its caller stopped waiting for the answer, or never.
type flight struct {
	call   *call
	token  store.Version
	writes []store.Write
	now    time.Time // when it was decided
	text   string    // see commitText
}

// A fate is what becomes of a move.
type fate int

const (
	passes      fate = iota
	losesAnswer      // the answer is; the commit is in the air
	dies             // the process does; the commit is in the air
	lands            // a commit that was in the air
	jumps            // of the clock
)

// An option is what can happen next.
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

// open sets the actors off. Each runs until it waits.
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

// close lets everything that waits fail, so that all goroutines end.
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

// options are all that can happen next, in an order that is the same whenever the same has happened before. It is called
// when everybody waits.
func (s *schedule) options() []option {
	slices.SortFunc(s.waiting, func(a, b *move) int {
		return cmp.Or(cmp.Compare(a.call.bit, b.call.bit), cmp.Compare(a.name, b.name))
	})
	var all []option
	for _, m := range s.waiting {
		if s.doomed(m.made) && s.jumps == 0 {
			// It changes nothing and hears so whenever it comes: no other order can tell anything new.
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

// take makes o happen, and waits until everybody waits again.
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
	fitsLater // something is in its place that may yet go
	fitsNever
)

// doomed reports whether a commit is sure to hear of a conflict, now and later.
func (s *schedule) doomed(f *flight) bool {
	return f != nil && !s.naive && s.fits(f) == fitsNever && !slices.ContainsFunc(f.writes, func(w store.Write) bool {
		return s.item(w.Key).Version == f.token
	})
}

// fits says whether a commit would take effect now.
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

// land carries a commit out.
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

// still reports whether nobody on this stage writes to a partition that exists. Where messages are counted, only the call that
// has begun a challenge writes to it.
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

// blame notes an error that is none of the service's.
func (s *schedule) blame(err error) {
	if err != nil {
		s.faults = append(s.faults, err)
	}
}
