package walk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

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

	numbers []string // what it has heard of those that it waited for
	cancel  context.CancelFunc

	sent   seal.Secret // the code that it mailed
	dead   bool        // its process is gone
	over   bool
	answer any
	err    *mfa.Error
	text   string   // all of the answer, or of the error
	bound  []string // see boundTo
}

var (
	errLost = errors.New("the answer was lost")
	errOver = errors.New("the schedule is over")
)

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
		c.bound = a.boundTo(c)
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

// actor is the index of the actor that made the call.
func (c *call) actor() int { return bits.TrailingZeros64(c.bit) / 8 }

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

// Count implements store.Store. Only what the calls of the stage count together waits: the order of all else changes nothing.
func (a *actor) Count(_ context.Context, key store.Key, n, cap int64, expires time.Time) (number int64, err error) {
	c := a.call()
	ask := func() error {
		number, err = a.model.Count(context.Background(), key, n, cap, expires)
		return err
	}
	if !strings.Contains(key.Partition, cmp.Or(a.stage.counts, "nothing")) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.over || c.dead {
			return 0, errOver
		}
		return number, ask()
	}
	what := fmt.Sprint("counts ", n, " ", key.Sort)
	err = a.await(c, what, nil, func() error {
		err := ask()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.numbers[key] = true
		c.numbers = append(c.numbers, fmt.Sprint(what, ": ", number, " ", err))
		return err
	})
	return number, err
}

// SendText takes a text message.
func (a *actor) SendText(_ context.Context, m message.Text) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over || a.call().dead {
		return errOver
	}
	if a.stage.refused {
		return mfa.ErrNotTaken
	}
	a.texts = append(a.texts, m)
	a.call().sent = m.Code
	a.chance = a.chance || a.props.typed[m.Code.Reveal()]
	return nil
}

// SendMail takes a message.
func (a *actor) SendMail(ctx context.Context, m message.Message) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over || a.call().dead {
		return errOver
	}
	if a.stage.refused {
		return mfa.ErrNotTaken
	}
	a.mails = append(a.mails, m)
	a.call().sent = m.Code
	a.chance = a.chance || a.props.typed[m.Code.Reveal()]
	return nil
}
