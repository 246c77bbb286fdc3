package walk

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"countersign/pkg/mfa"
)

// An ending is the result of a schedule.
type ending struct {
	*schedule
	calls    []*call
	guards   map[string]guardView // by user
	browsers int
}

func (s *schedule) ending() *ending {
	e := &ending{schedule: s}
	for _, a := range s.actors {
		e.calls = append(e.calls, a.calls...)
	}
	e.guards, e.browsers = s.guards()
	return e
}

const (
	challengeAttempts = 3  // per challenge, on every stage
	commitTries       = 3  // per commit, in one call
	userAttempts      = 10 // per user, within the time that any schedule takes
	wrongWindow       = 15 * time.Minute
	slotsInGuard      = 32 // with more slots than this, the challenge that was begun first is removed
)

// judge returns the first invariant that doesn't hold at the end of a schedule.
func (s *schedule) judge() error {
	e := s.ending()
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

// honest checks that the answer of a call is true and was recorded. The call's own retries must neither hide a success nor
// be counted as further answers.
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
		if slot.isOf(c.challenge) {
			wrong, verified, by = slot.Wrong, slot.State == "verified", slices.Contains(c.tokens, slot.WrittenBy)
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
	case c.wrong() && c.landed == 0 && c.replay == "":
		return fmt.Errorf("I2: a wrong code was not counted")
	case verified && by && !c.success():
		return fmt.Errorf("I10: it succeeded and doesn't hear so")
	case c.right && c.factor == "" && c.refusal() == mfa.WrongCode && !late && !e.happened(sends, c):
		return fmt.Errorf("I10: the right code is called wrong")
	case c.right && c.refusal() == mfa.ChallengeInvalid && !late && !verified && wrong < challengeAttempts && known && !e.renewed(c) && !e.turned(c):
		return fmt.Errorf("I10: nothing ended the challenge")
	}
	return nil
}

// truthful checks what honest leaves out. Each recorded answer must be counted as wrong or be a success, and what a call is
// told must be true, whatever its kind.
func (e *ending) truthful(c *call) error {
	if wrong := c.wrongCodes + c.wrongRecoveryCodes + c.wrongCredentials; c.budget() != "" && c.landed != wrong+c.won {
		return fmt.Errorf("I2: %d answers were recorded, %d counted as wrong and %d as right", c.landed, wrong, c.won)
	}
	if c.signs && (c.wrongCodes > 0 || c.refusal() == mfa.Locked) {
		return fmt.Errorf("I2: %d wrong credentials were counted as guesses, or a lock of codes refuses a key", c.wrongCodes)
	}
	if c.inOtherBudget > 0 || c.rowIsOff {
		return fmt.Errorf("I2: %d wrong answers were counted in the other budget, or in no row", c.inOtherBudget)
	}
	if c.partly {
		return fmt.Errorf("I2: an unlock forgot wrong answers although nothing was locked, or not all of them")
	}
	if c.lockIsOff {
		return fmt.Errorf("I2: after a right recovery code the codes are locked, or not, against their count")
	}
	if c.silent() || c.replay != "" {
		return nil
	}
	code := c.refusal()
	if c.kind == unlocks && code == "" && c.landed == 0 && e.sawLock(c) {
		return fmt.Errorf("law 2: an unlock without a commit")
	}
	if c.budget() == "" {
		full := c.kind == begins && code == mfa.TooManySends // the enrolment was begun, but then a budget of the org had no room for its message
		instead := c.kind == cancels && c.carried            // the reset was due
		late := code == mfa.EnrolmentInvalid && e.usedUp(c)  // the enrolment was begun, and then another one was finished
		if c.landed > 0 && code != "" && c.kind != starts && c.kind != sends && !full && !instead && !late && !e.renewed(c) {
			return fmt.Errorf("I10: it was done and doesn't hear so")
		}
		return nil
	}
	late := !c.now.Before(c.until)
	switch {
	case c.success() && !c.right:
		return fmt.Errorf("I1: a wrong code succeeded")
	case c.success() && c.won == 0:
		return fmt.Errorf("law 2: success without a commit")
	case c.success() && !c.decided.Before(c.until):
		return fmt.Errorf("I3: success, decided at %s, of what ended at %s", c.decided, c.until)
	case c.success() && c.step != 0 && !within(c.decided, c.step):
		return fmt.Errorf("I1: success, decided at %s, with the code of step %d", c.decided, c.step)
	case c.won > 0 && !c.success() && !e.renewed(c):
		return fmt.Errorf("I10: it succeeded and doesn't hear so")
	case c.wrong() && c.counted() == 0:
		return fmt.Errorf("I2: a wrong code was not counted")
	case code == mfa.Locked && len(e.guards[c.user].attempts(c).At)+e.forgotten(c.user).in(c) < c.most():
		return fmt.Errorf("I10: locked after %d wrong codes", len(e.guards[c.user].attempts(c).At))
	case code == mfa.Locked && e.unlocked(c):
		return fmt.Errorf("I10: locked, and began after it was answered that nothing is")
	case c.right && c.wrong() && !late && e.good(c):
		return fmt.Errorf("I10: the right code is called wrong")
	case c.kind == recovers && c.right && code == mfa.ChallengeInvalid && !late && !e.ended(c) && !e.renewed(c) && !e.turned(c),
		c.kind != verifies && c.right && code == mfa.EnrolmentInvalid && !late && !e.ended(c) && !e.renewed(c) && e.winner(c) == nil && !e.happened(begins, c):
		return fmt.Errorf("I10: nothing ended it")
	case (code == mfa.NotFound || code == mfa.MethodForbidden) && !e.changed(c):
		return fmt.Errorf("I10: nobody changed what can be answered with")
	case code == mfa.AlreadyExists && !e.claimed(c):
		return fmt.Errorf("I10: nobody has enrolled that credential")
	}
	return nil
}

// closed checks I3 for the answer of one call: what it closed stays closed to everything that begins or is recorded after
// it. A call may be recorded after the end of a code or of trust if it was decided in time.
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
		case code == mfa.WrongCode && *by.err.AttemptsLeft == 0 && len(g.attempts(by).At)+e.forgotten(by.user).in(by) >= by.most():
			shut = !c.lifted && c.budget() == by.budget() && c.decided.Before(by.decided.Add(wrongWindow))
		case by.wrong() && *by.err.AttemptsLeft == 0,
			(code == mfa.ChallengeInvalid || code == mfa.EnrolmentInvalid) && by.now.Before(by.until):
			shut = c.kind != starts && c.challenge == by.challenge && c.replay == ""
		case code != "":
		case by.kind == erases, by.kind == moves:
			shut = c.before
		case e.shut(by, c):
			shut = true
		case by.kind == sends:
			shut = (c.kind == verifies || c.kind == finishes) && c.code == by.code && c.challenge == by.challenge
		}
		after := c.began
		if c.kind != starts && !(by.kind == sends && by.signs) {
			after |= c.landedAfter
		}
		if shut && after&by.bit != 0 {
			return fmt.Errorf("I3: answered %.40q, and then %s succeeded", by.text, c.what)
		}
	}
	return nil
}

// shut reports whether by, whose answer said that it is done, has closed what c succeeded with. If a call trusted a browser,
// by has closed this only if it took effect after that call.
func (e *ending) shut(by, c *call) bool {
	before := c.before || c.from != nil && c.from.landed > 0 && c.from.landedOver&by.bit == 0
	switch {
	case by.resets():
		return before
	case c.kind == starts && (by.kind == removes || by.kind == disables):
		return before
	case by.kind == removes:
		return c.kind == verifies && c.factor == by.factor
	case by.kind == regenerates, by.kind == withdraws:
		return c.kind == recovers && c.from == nil
	case by.kind == begins:
		return c.kind == finishes && c.before
	case c.kind == verifies && by.factor == c.factor && c.factor != "" && by.success():
		return c.step <= by.step && !c.signs || c.count <= by.count && c.count > 0
	}
	return false
}

// bounded checks I1 and I2: each challenge has at most one success, and no more answers are checked than may be.
func (e *ending) bounded() error {
	for user, g := range e.guards {
		for _, known := range []bool{false, true} {
			if n := len(g.WrongCodes.in(known).At); n > userAttempts {
				return fmt.Errorf("I2: %d wrong codes were looked at for %s in browsers that are known: %t, at most %d", n, user, known, userAttempts)
			}
		}
		for _, slot := range g.Slots {
			if (slot.State == "failed") != (slot.Wrong == challengeAttempts) || slot.Wrong > challengeAttempts {
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
		if c.wrong() && c.landed == 1 && (c.kind == verifies || c.lost == 0) {
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

// counted checks for each challenge and each user that as many answers are counted as were recorded.
func (e *ending) counted() error {
	answers := maps.Clone(e.props.spent) // the answers that were recorded, by challenge and by user
	for _, c := range e.calls {
		if c.kind == verifies {
			answers[c.challenge] += c.landed
			answers[c.user] += c.landed - c.wrongCredentials
		}
	}
	for user, g := range e.guards {
		counted := g.WrongCodes.all() + e.forgotten(user).codes() + g.evicted(e.props.began[user])
		for _, slot := range g.Slots {
			n := slot.Wrong + slot.answered()
			counted += slot.answered()
			for id := range answers {
				if slot.isOf(id) && answers[id] != n {
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
