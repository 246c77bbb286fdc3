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
// actor has a goroutine of its own. Each request to the store waits until the walker lets it go on.
type schedule struct {
	stage  *stage
	props  *props
	model  *storetest.Model
	clock  *storetest.Clock
	actors []*actor
	ctx    context.Context
	shortcuts
	written *written

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

// Shortcuts say what a walk leaves out because it makes no difference.
type shortcuts struct {
	naive bool // leave out nothing of what commits and clocks can do
	apart bool // carry out every read by itself, and try all orders of reads
}

// A move is a step for which a call waits.
type move struct {
	call    *call
	name    string
	ask     func() error
	touches func(store.Key) bool // says which items it reads, if the move is a read
	within  func(string) bool    // says in which places these items are: see place
	made    *flight              // the commit, if the move is one
	err     error
	gate    chan struct{}
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
	moves  []*move // one move, or reads of one call that are carried out together
	flight *flight
	by     time.Duration
}

func (o option) String() string {
	switch o.fate {
	case lands:
		return o.flight.call.what + ": a lost commit lands"
	case jumps:
		return "the clock jumps by " + o.by.String()
	}
	var names []string
	for _, m := range o.moves {
		names = append(names, m.name)
	}
	text := o.moves[0].call.what + ": " + strings.Join(names, ", ")
	switch o.fate {
	case losesAnswer:
		text += ", and the answer is lost"
	case dies:
		text += ", and the process dies"
	}
	return text
}

// open starts the actors. Each of them runs until it waits.
func (p *props) open(ctx context.Context, g *stage, losses int, leave shortcuts, w *written) *schedule {
	clock := storetest.NewClock(p.Clock.Now())
	s := &schedule{stage: g, props: p, ctx: ctx, numbers: map[store.Key]bool{}, clock: clock, model: p.model.Clone(clock.Now), losses: losses, shortcuts: leave, written: w, records: map[string]*shownRecord{}}
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
		go func() {
			script(a)
			a.mu.Lock()
			defer a.mu.Unlock()
			a.ended = true
		}()
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
	byName := func(a, b *move) int { return cmp.Or(cmp.Compare(a.call.bit, b.call.bit), cmp.Compare(a.name, b.name)) }
	slices.SortFunc(s.waiting, byName)
	var all []option
	for i, m := range s.waiting {
		if i > 0 && byName(s.waiting[i-1], m) == 0 {
			s.blame(fmt.Errorf("%s waits for two moves at once with the name %q, so their order is made by chance", m.call.what, m.name))
		}
		if s.doomed(m.made) && s.jumps == 0 {
			// This commit will be refused at any time and changes nothing, so another order of it would show nothing new.
			return []option{{fate: passes, moves: []*move{m}}}
		}
		if m.touches == nil {
			all = append(all, option{fate: passes, moves: []*move{m}})
		}
		if m.made != nil && s.losses > 0 && !s.doomed(m.made) {
			all = append(all, option{fate: losesAnswer, moves: []*move{m}}, option{fate: dies, moves: []*move{m}})
		}
	}
	for _, a := range s.actors {
		all = append(all, s.reads(a)...)
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
	c := o.moves[0].call
	if !c.moved {
		c.moved, c.began = true, s.answered
	}
	for _, m := range o.moves {
		if o.fate == passes {
			m.err = m.ask()
			continue
		}
		m.err = errLost
		s.air = append(s.air, m.made)
		s.losses--
		c.lost++
		if o.fate == dies {
			c.dead = true
			c.cancel()
		}
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(w *move) bool { return slices.Contains(o.moves, w) })
	for _, m := range o.moves {
		close(m.gate)
	}
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
		if unwritten(w.Key) {
			s.blame(fmt.Errorf("a call writes %s, which the walk doesn't look at", inWords(w.Key)))
		}
	}
	before := s.guardOf(f)
	err := s.model.Commit(context.Background(), f.token, f.writes...)
	if err == nil && effect {
		s.written.note(s.props, f.call.actor(), f.writes)
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

// await stops a call until the walker lets it go on with m.
func (s *schedule) await(m *move) error {
	m.gate = make(chan struct{})
	s.mu.Lock()
	if s.over || m.call.dead {
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
