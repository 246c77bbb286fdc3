package walk

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/store"
	"countersign/pkg/store/storetest"
)

// A deed is what a call was for.
type deed struct {
	kind      string // one of those below
	user      string
	challenge string
	code      string    // that was typed
	right     bool      // it is the one that was sent for this challenge before the calls began
	until     time.Time // when that code, and a success with it, ends
	replay    string    // Idempotency-Key
	before    bool      // what it could succeed with was there before the calls
	closes    bool      // an answer that isn't a refusal closes something

	secret string   // what a success spends, of which there is to be one; empty: the challenge alone
	factor string   // that the code is of, or that is removed
	step   int64    // of that code
	effect string   // of a recovery code
	lets   string   // the challenge that an enrolment's finish answers
	trusts bool     // a success trusts the browser
	known  bool     // it answers a challenge that was begun in a known browser
	learns bool     // the known token of a success is looked at when all is over
	app    *heldApp // that is being enrolled
	from   *call    // that gave what it could succeed with; nil: as before says
}

// The kinds of deed.
const (
	verifies = "verifies"
	sends    = "sends" // supersedes code
	starts   = "starts"
	erases   = "erases"
	moves    = "moves" // to another address
	looks    = "looks"

	recovers    = "recovers"
	begins      = "begins" // to enrol
	finishes    = "finishes"
	proves      = "proves"  // the known address
	revokes     = "revokes" // all browsers
	revokesOne  = "revokesOne"
	regenerates = "regenerates"
	removes     = "removes" // a factor
	disables    = "disables"
	enables     = "enables"
	unlocks     = "unlocks"
)

// guardSeen is what a test reads of a guard.
type guardSeen struct {
	User    string     `json:"user"`
	Slots   []slotSeen `json:"slots"`
	Pending *slotSeen  `json:"enrolment_slot"`
	Guesses wrongSeen  `json:"wrong_codes"`
	Looked  wrongSeen  `json:"wrong_recovery_codes"`
	Sends   []int64    `json:"emails_sent"`

	Recovery struct {
		ID    string   `json:"id"`
		Codes []string `json:"codes"`
	} `json:"recovery"`
	Factors []struct {
		ID   string `json:"id"`
		Step int64  `json:"step"`
	} `json:"factors"`
}

type slotSeen struct {
	ID      string        `json:"id"`
	Wrong   int           `json:"wrong"`
	State   string        `json:"state"`
	By      store.Version `json:"written_by"`
	Browser string        `json:"browser"`
	Effect  string        `json:"effect"`
	Factor  string        `json:"factor"`
	Proven  bool          `json:"proven"`
}

// wrongSeen are the wrong answers of one sort: those of browsers that aren't known, and Known.
type wrongSeen struct {
	triesSeen
	Known triesSeen `json:"known_browsers"`
	Row   int       `json:"in_a_row"`
}

type triesSeen struct {
	At    []int64   `json:"at"`
	Until time.Time `json:"until"`
}

func (w wrongSeen) in(known bool) triesSeen {
	if known {
		return w.Known
	}
	return w.triesSeen
}

// all is how many are counted in both budgets.
func (w wrongSeen) all() int { return len(w.At) + len(w.Known.At) }

// An ending is how a schedule came out.
type ending struct {
	*schedule
	calls    []*call
	guards   map[string]guardSeen // by user
	browsers int
}

func (s *schedule) ending() (*ending, error) {
	e := &ending{schedule: s}
	for _, a := range s.actors {
		e.calls = append(e.calls, a.calls...)
	}
	var err error
	e.guards, e.browsers, err = guardsIn(s.model)
	return e, err
}

// guardsIn reads all guards, and counts the browsers.
func guardsIn(m *storetest.Model) (guards map[string]guardSeen, browsers int, _ error) {
	guards = map[string]guardSeen{}
	for _, item := range m.Items() {
		if strings.HasPrefix(item.Key.Sort, "browser#") {
			browsers++
		}
		if item.Key.Sort != "guard" {
			continue
		}
		var g guardSeen
		if err := json.Unmarshal(item.Body, &g); err != nil {
			return nil, 0, err
		}
		guards[g.User] = g
	}
	return guards, browsers, nil
}

func (c *call) refusal() mfa.ErrorCode {
	if c.err == nil {
		return ""
	}
	return c.err.Code
}

// success reports whether something secret was accepted: a code, a trusted browser, or the proof that a change needs.
func (c *call) success() bool {
	if c.dead || c.err != nil {
		return false
	}
	for _, said := range []string{"verified", "recovered", "enrolled", "proven", "made", "removed", "turned off", "{allow " + mfa.BrowserTrust} {
		if strings.HasPrefix(c.text, said) {
			return true
		}
	}
	return false
}

// closing reports whether the answer said that something is closed.
func (c *call) closing() bool {
	switch c.refusal() {
	case "":
		return c.closes
	case mfa.Locked, mfa.ChallengeInvalid, mfa.EnrolmentInvalid:
		return true
	case mfa.WrongCode:
		return *c.err.AttemptsLeft == 0
	}
	return false
}

// judge says which invariant does not hold at the end of a schedule.
func (s *schedule) judge() error {
	if len(s.faults) > 0 {
		return fmt.Errorf("the stage is at fault: %s", s.faults[0])
	}
	e, err := s.ending()
	if err != nil {
		return err
	}
	for _, c := range e.calls {
		if err := e.honest(c); err != nil {
			return fmt.Errorf("%s: %w; the answer was %.40q", c.what, err, c.text)
		}
		if err := e.truthful(c); err != nil {
			return fmt.Errorf("%s: %w; the answer was %.40q", c.what, err, c.text)
		}
		if err := e.closed(c); err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
	}
	if err := e.lasting(); err != nil {
		return err
	}
	if err := e.bounded(); err != nil {
		return err
	}
	return s.props.check(e)
}

const (
	wrongAnswers = 3  // per challenge, on every stage
	commitTries  = 3  // of one commit, in one call
	wrongTries   = 10 // per user, within the time that any schedule takes
	wrongWindow  = 15 * time.Minute
)

// honest checks one call: that its answer is true, that it was recorded, and that retries of its own have neither hidden
// a success nor been charged for.
func (e *ending) honest(c *call) error {
	switch {
	case !c.over:
		return fmt.Errorf("it never ended")
	case c.refusal() == mfa.Busy:
		return fmt.Errorf("I10: %d calls at once make it busy", len(e.calls))
	case c.refusal() == mfa.Unavailable && c.lost < commitTries:
		return fmt.Errorf("unavailable after %d lost answers: %w", c.lost, c.err)
	case c.kind != verifies || c.silent():
		return nil
	}
	g, known := e.guards[c.user]
	wrong, verified, by := 0, false, false
	for _, slot := range g.Slots {
		if strings.HasSuffix(c.challenge, slot.ID) {
			wrong, verified, by = slot.Wrong, slot.State == "verified", slices.Contains(c.tokens, slot.By)
		}
	}
	late := !c.now.Before(c.until)
	switch {
	case c.success() && !c.right:
		return fmt.Errorf("I1: a wrong code succeeded")
	case c.success() && c.landed == 0 && c.replay == "":
		return fmt.Errorf("law 2: success without a commit")
	case c.success() && c.landed > 0 && !c.decided.Before(c.until):
		return fmt.Errorf("I3: success, decided at %s, of what ended at %s", c.decided, c.until)
	case c.refusal() == mfa.WrongCode && c.landed == 0 && c.replay == "":
		return fmt.Errorf("I2: a wrong code was not counted")
	case verified && by && !c.success():
		return fmt.Errorf("I10: it succeeded and doesn't hear so")
	case c.right && c.factor == "" && c.refusal() == mfa.WrongCode && !late && !e.happened(sends, c):
		return fmt.Errorf("I10: the right code is called wrong")
	case c.right && c.refusal() == mfa.ChallengeInvalid && !late && !verified && wrong < wrongAnswers && known && !e.renewed(c) && !e.turned(c):
		return fmt.Errorf("I10: nothing ended the challenge")
	}
	return nil
}

// happened reports whether a deed of this kind took effect on what c is about.
func (e *ending) happened(kind string, c *call) bool {
	return slices.ContainsFunc(e.calls, func(x *call) bool {
		return x.kind == kind && x.user == c.user && x.landed > 0
	})
}

// closed checks I3 for the answer of one call: what it has closed stays closed to whatever begins, or is recorded, after
// it. A call that had decided in time may be recorded after the end of a code or of trust: what counts is when it decided.
func (e *ending) closed(by *call) error {
	if by.silent() {
		return nil
	}
	g := e.guards[by.user]
	for _, c := range e.calls {
		if !c.success() || c.user != by.user || c == by {
			continue
		}
		shut := false
		switch code := by.refusal(); {
		case code == mfa.Locked: // no stage brings another lock after one was lifted
			shut = !c.lifted && c.budget() == by.budget() && c.decided.Before(by.now.Add(by.err.RetryAfter))
		case code == mfa.WrongCode && *by.err.AttemptsLeft == 0 && len(g.tries(by).At)+e.forgotten(by.user).in(by) >= by.most():
			shut = !c.lifted && c.budget() == by.budget() && c.decided.Before(by.decided.Add(wrongWindow))
		case code == mfa.WrongCode && *by.err.AttemptsLeft == 0,
			(code == mfa.ChallengeInvalid || code == mfa.EnrolmentInvalid) && by.now.Before(by.until):
			shut = c.kind != starts && c.challenge == by.challenge && c.replay == ""
		case code != "":
		case by.kind == erases, by.kind == moves:
			shut = c.before
		case e.shut(by, c):
			shut = true
		case by.kind == sends:
			shut = c.kind == verifies && c.code == by.code && c.challenge == by.challenge
		}
		after := c.began
		if c.kind != starts {
			after |= c.landedAfter
		}
		if shut && after&by.bit != 0 {
			return fmt.Errorf("I3: answered %.40q, and then %s succeeded", by.text, c.what)
		}
	}
	return nil
}

// bounded checks I1 and I2: one success for each challenge, and no more answers looked at than may be.
func (e *ending) bounded() error {
	for user, g := range e.guards {
		for _, known := range []bool{false, true} {
			if n := len(g.Guesses.in(known).At); n > wrongTries {
				return fmt.Errorf("I2: %d wrong codes were looked at for %s in browsers that are known: %t, at most %d", n, user, known, wrongTries)
			}
		}
		for _, slot := range g.Slots {
			if (slot.State == "failed") != (slot.Wrong == wrongAnswers) || slot.Wrong > wrongAnswers {
				return fmt.Errorf("I2: %d wrong codes for one challenge, which is %q", slot.Wrong, slot.State)
			}
		}
	}
	successes, left := map[string]string{}, map[string]bool{}
	for i, c := range e.calls {
		if c.budget() == "" {
			continue
		}
		if c.success() {
			work := c.replay
			if work == "" {
				work = fmt.Sprint(i)
			}
			for _, spent := range c.spends() {
				if by, twice := successes[spent]; twice && by != work {
					return fmt.Errorf("I1: a second success: %s", c.what)
				}
				successes[spent] = work
			}
		}
		if c.landed > 1+min(c.lost, c.overtaken) {
			return fmt.Errorf("I10: %s was counted %d times; it lost %d answers and was overtaken %d times", c.what, c.landed, c.lost, c.overtaken)
		}
		if c.refusal() == mfa.WrongCode && c.landed == 1 && (c.kind == verifies || c.lost == 0) {
			key := fmt.Sprint(c.challenge, *c.err.AttemptsLeft)
			if c.kind == recovers {
				key = fmt.Sprint(c.user, c.known, *c.err.AttemptsLeft)
			}
			if left[key] {
				return fmt.Errorf("I2: %d attempts left, twice", *c.err.AttemptsLeft)
			}
			left[key] = true
		}
	}
	return e.counted()
}

// lost is how many commits were.
func (e *ending) lost() (n int) {
	for _, c := range e.calls {
		n += c.lost
	}
	return n
}

// actor is the index of the actor that made the call.
func (c *call) actor() int { return bits.TrailingZeros64(c.bit) / 8 }

// counted checks that what was recorded is what was counted, for each challenge and for each user.
func (e *ending) counted() error {
	answers := maps.Clone(e.props.spent) // recorded, by challenge and by user
	for _, c := range e.calls {
		if c.kind == verifies {
			answers[c.challenge] += c.landed
			answers[c.user] += c.landed
		}
	}
	for user, g := range e.guards {
		counted := g.Guesses.all() + e.forgotten(user).codes()
		for _, slot := range g.Slots {
			n := slot.Wrong
			if slot.State == "verified" && slot.Effect == "" && slot.Factor == "" {
				n++
				counted++
			}
			for id := range answers {
				if strings.HasSuffix(id, slot.ID) && answers[id] != n {
					return fmt.Errorf("I2: %d answers to a challenge were recorded, and %d counted", answers[id], n)
				}
			}
		}
		about := &call{deed: deed{user: user}}
		if answers[user] != counted && !e.renewed(about) && !e.happened(finishes, about) && !e.happened(proves, about) {
			return fmt.Errorf("I2: %d answers of %s were recorded, and %d counted", answers[user], user, counted)
		}
	}
	return nil
}
