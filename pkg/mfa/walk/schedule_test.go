package walk

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
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
	over     bool
	faults   []string // what is wrong with the stage itself
	chance   bool     // a code came up that somebody types as a wrong one: the schedule says nothing
}

// An actor makes calls one after another.
type actor struct {
	*schedule
	service *mfa.Service
	index   int
	calls   []*call
}

// A call is one call of the service, with what is needed to judge its answer.
type call struct {
	bit  uint64
	what string
	deed

	began       uint64 // what had been answered when its first move was made
	moved       bool
	landed      int       // commits of it that took effect
	landedAfter uint64    // what had been answered when the last of them did
	decided     time.Time // when the last of them was
	lost        int       // commits of it whose answer was lost
	overtaken   int       // by answers to the same challenge: theirs took effect after its own did
	landedOver  uint64    // calls that close something, one commit of which had taken effect when the last of its own did
	effects

	now    time.Time // the moment of its present try
	saw    []store.Item
	tokens []store.Version
	tries  int // of the present commit
	cancel context.CancelFunc

	sent   seal.Secret // the code that it mailed
	dead   bool        // its process is gone
	over   bool
	answer any
	err    *mfa.Error
	text   string // all of the answer, or of the error
}

// silent reports whether the caller learnt nothing: no answer, or that the service can't be asked.
func (c *call) silent() bool { return c.dead || c.err != nil && c.err.Code == mfa.Unavailable }

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

var (
	errLost = errors.New("the answer was lost")
	errOver = errors.New("the schedule is over")
)

// open sets the actors off. Each runs until it waits.
func (p *props) open(ctx context.Context, g *stage, losses int, naive bool) *schedule {
	clock := storetest.NewClock(p.Clock.Now())
	s := &schedule{stage: g, props: p, ctx: ctx, clock: clock, model: p.model.Clone(clock.Now), losses: losses, naive: naive}
	if len(g.jumps) > 0 {
		s.jumps = 1
	}
	for i, script := range p.scripts {
		a := &actor{schedule: s, index: i}
		a.service = &mfa.Service{
			Store: a, Keys: p.Keys, Filter: p.Filter, Mail: a, Bus: p.Events, Now: a.now, Issuer: p.Issuer,
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
	if err != nil {
		s.faults = append(s.faults, err.Error())
	}
	return item
}

// land carries a commit out.
func (s *schedule) land(f *flight) error {
	effect := s.fits(f) == fitsNow
	for _, w := range f.writes {
		if s.still(w.Key.Partition) && w.Expect != "" {
			s.faults = append(s.faults, "the stage says that nobody writes "+w.Key.Partition[:3])
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
	}
	if err != nil && !errors.Is(err, store.ErrConflict) {
		s.faults = append(s.faults, err.Error())
	}
	return err
}

// still reports whether nobody on this stage writes to a partition that exists.
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

// do makes one call.
func (a *actor) do(what string, d deed, work func(context.Context, *mfa.Service) (any, error)) *call {
	c := &call{bit: 1 << (8*a.index + len(a.calls)), what: what, deed: d}
	ctx, cancel := context.WithCancel(a.ctx)
	c.cancel = cancel
	defer cancel()
	a.mu.Lock()
	a.calls = append(a.calls, c)
	a.mu.Unlock()
	if len(a.stage.jumps) > 0 {
		a.await(c, "begins", nil, func() error { return nil })
	}
	answer, err := work(ctx, a.service)
	a.mu.Lock()
	defer a.mu.Unlock()
	c.over = true
	if c.dead || a.over {
		c.dead = true
		return c
	}
	c.answer = answer
	var again *mfa.Remembered
	switch {
	case errors.As(err, &again):
		c.text = string(again.Answer)
	case err != nil:
		c.err = mfa.AsError(err)
		c.text = told(nil, c.err)
	default:
		c.text = told(answer, nil)
	}
	if c.closing() {
		a.answered |= c.bit
	}
	if !c.success() {
		c.began, c.landedAfter = 0, 0 // only of a success one asks what came before it
	}
	return c
}

func (a *actor) call() *call { return a.calls[len(a.calls)-1] }

// now is the service's clock. Asking for the time is how a call begins to decide anew.
func (a *actor) now() time.Time {
	c := a.call()
	c.now, c.saw = a.clock.Now(), nil
	return c.now
}

func (a *actor) read(what, partition string, ask func() ([]store.Item, error)) error {
	c := a.call()
	look := func() error {
		items, err := ask()
		a.mu.Lock()
		defer a.mu.Unlock()
		c.saw = append(c.saw, items...)
		return err
	}
	if a.still(partition) {
		_, err := ask()
		return err
	}
	return a.await(c, what, nil, look)
}

// Get implements store.Store.
func (a *actor) Get(_ context.Context, keys ...store.Key) ([]store.Item, error) {
	items := make([]store.Item, len(keys))
	var reads errgroup.Group
	for i, key := range keys { // each for itself, since a commit may come between any two
		reads.Go(func() error {
			return a.read("reads the "+key.Sort, key.Partition, func() (found []store.Item, err error) {
				items[i], err = store.GetOne(context.Background(), a.model, key)
				return items[i : i+1], err
			})
		})
	}
	return items, reads.Wait()
}

// Query implements store.Store.
func (a *actor) Query(_ context.Context, q store.Query) (page store.Page, err error) {
	if !a.stage.torn || !strings.HasPrefix(q.Partition, "u#") {
		err = a.read("reads the account", q.Partition, func() ([]store.Item, error) {
			page, err = a.model.Query(context.Background(), q)
			return page.Items, err
		})
		return page, err
	}
	var parts [2]store.Page
	var reads errgroup.Group
	for i, what := range []string{"reads the guard", "reads the facts"} {
		reads.Go(func() error {
			return a.read(what, q.Partition, func() ([]store.Item, error) {
				part, err := a.model.Query(context.Background(), q)
				part.Items = slices.DeleteFunc(part.Items, func(item store.Item) bool { return (item.Key.Sort == "guard") != (i == 0) })
				parts[i] = part
				return part.Items, err
			})
		})
	}
	err = reads.Wait()
	return store.Page{Items: append(parts[0].Items, parts[1].Items...)}, err
}

// Commit implements store.Store.
func (a *actor) Commit(_ context.Context, token store.Version, writes ...store.Write) error {
	c := a.call()
	if !slices.Contains(c.tokens, token) {
		c.tokens, c.tries = append(c.tokens, token), 0
	}
	c.tries++
	f := &flight{call: c, token: token, writes: slices.Clone(writes), now: c.now}
	return a.await(c, "commits", f, func() error { return a.land(f) })
}

// Count implements store.Store.
func (a *actor) Count(context.Context, store.Key, int64, int64, time.Time) (int64, error) {
	return 0, errors.New("no stage counts")
}

// SendMail takes a message.
func (a *actor) SendMail(ctx context.Context, m message.Message) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over || a.call().dead {
		return errOver
	}
	a.mails = append(a.mails, m)
	a.call().sent = m.Code
	a.chance = a.chance || a.props.typed[m.Code.Reveal()]
	return nil
}
