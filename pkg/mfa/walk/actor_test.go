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

// An actor is a caller that makes its calls one after another.
type actor struct {
	*schedule
	service *mfa.Service
	index   int
	calls   []*call
	ended   bool // its last call is over
}

// A call is one call of the service, together with what is needed to check its answer.
type call struct {
	bit  uint64
	what string
	deed

	began       uint64 // the calls whose answer had said that something is closed, before its first move
	moved       bool
	landed      int       // how many of its commits took effect
	landedAfter uint64    // the same calls, before its last commit took effect
	decided     time.Time // when its last commit was decided
	lost        int       // how many of its commits had a lost answer
	overtaken   int       // how many answers to the same challenge took effect after its own
	landedOver  uint64    // the calls that close something and had taken effect before its last commit did
	effects

	now    time.Time // the moment of its present try
	saw    []store.Item
	tokens []store.Version
	tries  int // how often the present commit was tried

	numbers []string // the answers of Count that it has waited for
	cancel  context.CancelFunc

	sent   seal.Secret // the code that it sent
	dead   bool        // its process has died
	over   bool
	answer any
	err    *mfa.Error
	text   string   // the whole answer, or the whole error
	bound  []string // see boundTo
}

var (
	errLost = errors.New("the answer was lost")
	errOver = errors.New("the schedule is over")
)

// do makes one call, and returns it when it is over.
func (a *actor) do(what string, d deed, work func(context.Context, *mfa.Service) (any, error)) *call {
	c := &call{bit: 1 << (8*a.index + len(a.calls)), what: what, deed: d}
	ctx, cancel := context.WithCancel(a.ctx)
	c.cancel = cancel
	defer cancel()
	a.mu.Lock()
	a.calls = append(a.calls, c)
	a.mu.Unlock()
	if len(a.stage.jumps) > 0 {
		a.await(&move{call: c, name: "begins", ask: func() error { return nil }})
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
		c.began, c.landedAfter = 0, 0 // only for a success does it matter what came before it
	}
	return c
}

func (a *actor) call() *call { return a.calls[len(a.calls)-1] }

// actor returns the index of the actor that made the call.
func (c *call) actor() int { return bits.TrailingZeros64(c.bit) / 8 }

// now is the service's clock. A call asks for the time whenever it begins to decide anew.
func (a *actor) now() time.Time {
	c := a.call()
	c.now, c.saw = a.clock.Now(), nil
	return c.now
}

// read waits for a read of the items with some keys, which are in some places.
func (a *actor) read(what string, touches func(store.Key) bool, within func(string) bool, ask func() ([]store.Item, error)) error {
	c := a.call()
	return a.await(&move{call: c, name: "reads " + what, touches: touches, within: within, ask: func() error {
		items, err := ask()
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, item := range items {
			if item.Key.Sort == "policy" { // copies are equal, and each try reads one at random
				item.Key.Partition = strings.Join(strings.SplitN(item.Key.Partition, "#", 3)[:2], "#")
			}
			if a.looksAt(item.Key) {
				c.saw = append(c.saw, item)
			}
		}
		return err
	}})
}

// inWords says in words what stands at a key or, if it has no sort, in its partition. It is the same in every schedule, so it has
// neither what is made at random nor the number of a copy, which is chosen at random.
func inWords(key store.Key) string {
	kind, rest, _ := strings.Cut(key.Partition, "#")
	switch {
	case kind == "key", kind == "org":
		rest = ""
	case kind == "u":
		kind = "the account"
	case kind == "reset":
		kind = "the requests for a reset"
	case strings.HasPrefix(kind, "ch_"):
		kind = "the"
	}
	words := strings.Split(rest+"#"+key.Sort, "#")
	words = slices.DeleteFunc(words, func(word string) bool { return word == "" || len(word) >= longWord })
	return strings.Join(append([]string{kind}, words...), " ")
}

// Get implements store.Store.
func (a *actor) Get(_ context.Context, keys ...store.Key) ([]store.Item, error) {
	items := make([]store.Item, len(keys))
	var reads errgroup.Group
	for i, key := range keys { // the keys are read separately, because a commit may come between any two reads
		reads.Go(func() error {
			place := a.props.place(key)
			is, at := func(k store.Key) bool { return k == key }, func(p string) bool { return p == place }
			return a.read(inWords(key), is, at, func() (found []store.Item, err error) {
				items[i], err = store.GetOne(context.Background(), a.model, key)
				return items[i : i+1], err
			})
		})
	}
	return items, reads.Wait()
}

// Query implements store.Store.
func (a *actor) Query(_ context.Context, q store.Query) (page store.Page, err error) {
	partition := a.props.place(store.Key{Partition: q.Partition})
	within := func(p string) bool { return strings.HasPrefix(p, partition) }
	if !a.stage.torn || !strings.HasPrefix(q.Partition, "u#") {
		is := func(k store.Key) bool { return k.Partition == q.Partition }
		err = a.read(inWords(store.Key{Partition: q.Partition}), is, within, func() ([]store.Item, error) {
			page, err = a.model.Query(context.Background(), q)
			return page.Items, err
		})
		return page, err
	}
	var parts [2]store.Page
	var reads errgroup.Group
	for i, what := range []string{"the guard", "the facts"} {
		reads.Go(func() error {
			is := func(k store.Key) bool { return k.Partition == q.Partition && (k.Sort == "guard") == (i == 0) }
			at := func(p string) bool { return within(p) && (p == partition+"guard") == (i == 0) }
			return a.read(what, is, at, func() ([]store.Item, error) {
				part, err := a.model.Query(context.Background(), q)
				part.Items = slices.DeleteFunc(part.Items, func(item store.Item) bool { return !is(item.Key) })
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
	return a.await(&move{call: c, name: "commits", made: f, ask: func() error { return a.land(f) }})
}

// Count implements store.Store. A call waits only if the stage follows this count, because the order of all other counts
// makes no difference.
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
	err = a.await(&move{call: c, name: what, ask: func() error {
		err := ask()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.numbers[key] = true
		c.numbers = append(c.numbers, fmt.Sprint(what, ": ", number, " ", err))
		return err
	}})
	return number, err
}

// SendText records a text message, or refuses it if the stage says so.
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

// SendMail records a message, or refuses it if the stage says so.
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
