package walk

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/storetest"
)

// Effects are what the commits of a call did to the guard.
type effects struct {
	guessed int      // wrong codes that they counted, in the budget of the call
	looked  int      // wrong recovery codes that they counted, in the budget of the call
	strayed int      // wrong answers that they counted in the other one
	misrow  bool     // they made the row of wrong codes longer, or shorter, than their answer does
	won     int      // of them that noted a right answer
	sets    []string // of recovery codes that they made
	unkept  bool     // a right recovery code lifted a lock whose window was full, or left one whose wasn't

	forgot forgotten // wrong answers that an unlock took out of the guard
	partly bool      // that unlock left some, or nothing was locked
	lifted bool      // an unlock had taken effect when the last of them did
}

// Forgotten are the wrong answers that an unlock has taken out of the guard, by whether they were given in known browsers.
type forgotten struct{ guessed, looked map[bool]int }

// codes is how many wrong codes are forgotten, of both budgets.
func (f forgotten) codes() int { return f.guessed[false] + f.guessed[true] }

// forget notes what an unlock has done to the guard that was before.
func (c *call) forget(before, after *guardSeen, now time.Time) {
	c.forgot = forgotten{map[bool]int{}, map[bool]int{}}
	for _, known := range []bool{false, true} {
		c.forgot.guessed[known], c.forgot.looked[known] = len(before.Guesses.in(known).At), len(before.Looked.in(known).At)
		for _, left := range []triesSeen{after.Guesses.in(known), after.Looked.in(known)} {
			c.partly = c.partly || len(left.At) > 0 || !left.Until.IsZero()
		}
	}
	c.partly = c.partly || !before.locked(now) || after.Guesses.Row != 0 || after.Looked.Row != 0
}

// locked reports whether anything of the user's was locked at a moment. No stage has so many wrong answers in a row that
// their number alone locks.
func (g *guardSeen) locked(at time.Time) bool {
	return slices.ContainsFunc([]triesSeen{g.Guesses.triesSeen, g.Guesses.Known, g.Looked.triesSeen, g.Looked.Known},
		func(t triesSeen) bool { return at.Before(t.Until) })
}

// sawLock reports whether the call has read, in its last try, that something was locked.
func (c *call) sawLock() bool {
	return slices.ContainsFunc(c.saw, func(item store.Item) bool {
		var g guardSeen
		return item.Key.Sort == "guard" && json.Unmarshal(item.Body, &g) == nil && g.locked(c.now)
	})
}

// forgotten is what the unlocks of a user have forgotten.
func (e *ending) forgotten(user string) forgotten {
	all := forgotten{map[bool]int{}, map[bool]int{}}
	for _, c := range e.calls {
		if c.user != user {
			continue
		}
		for _, known := range []bool{false, true} {
			all.guessed[known] += c.forgot.guessed[known]
			all.looked[known] += c.forgot.looked[known]
		}
	}
	return all
}

// in is how many of them were taken out of the budget of a call.
func (f forgotten) in(c *call) int {
	if c.kind == recovers {
		return f.looked[c.known]
	}
	return f.guessed[c.known]
}

// guardOf is the guard that a commit writes over; nil: it writes none.
func (s *schedule) guardOf(f *flight) *guardSeen {
	for _, w := range f.writes {
		if w.Key.Sort == "guard" && !w.Delete {
			g := &guardSeen{}
			if body := s.item(w.Key).Body; len(body) > 0 {
				s.fault(json.Unmarshal(body, g))
			}
			return g
		}
	}
	return nil
}

func (s *schedule) fault(err error) {
	if err != nil {
		s.faults = append(s.faults, err.Error())
	}
}

// note adds what a commit has just done, to the guard that was before.
func (s *schedule) note(f *flight, before *guardSeen) {
	c := f.call
	c.landedOver = 0
	if c.trusts || c.learns {
		c.landedOver = s.closed
	}
	if c.closes {
		s.closed |= c.bit
	}
	c.lifted = s.lifted
	if before == nil {
		return
	}
	after := s.guardOf(f)
	if c.kind == unlocks {
		s.lifted = true
		c.forget(before, after, f.now)
		return
	}
	added := func(after, before triesSeen) int { return max(0, len(after.At)-len(before.At)) }
	guessed := added(after.Guesses.in(c.known), before.Guesses.in(c.known))
	c.guessed += guessed
	c.looked += added(after.Looked.in(c.known), before.Looked.in(c.known))
	c.strayed += added(after.Guesses.in(!c.known), before.Guesses.in(!c.known)) + added(after.Looked.in(!c.known), before.Looked.in(!c.known))
	row := before.Guesses.Row + guessed
	slots := after.Slots
	if after.Pending != nil {
		slots = append(slots, *after.Pending)
	}
	if slices.ContainsFunc(slots, func(slot slotSeen) bool {
		return slot.By == f.token && (slot.State == "verified" || slot.State == "" && (slot.Effect != "" || slot.Proven))
	}) {
		c.won++
		own := after.Guesses.in(c.known)
		c.unkept = c.kind == recovers && own.Until.IsZero() == (len(own.At) >= wrongTries)
		if c.kind == verifies || c.kind == recovers {
			row = 0
		}
	}
	c.misrow = c.misrow || after.Guesses.Row != row
	if after.Recovery.ID != "" && after.Recovery.ID != before.Recovery.ID {
		c.sets = append(c.sets, after.Recovery.ID)
	}
}

// overtakes reports whether an answer that by has recorded may hide an earlier one of c.
func (c *call) overtakes(by *call) bool {
	return c.challenge == by.challenge && (c.kind == by.kind || c.budget() != "" && by.budget() != "")
}

// The budgets of wrong answers.
const (
	codes         = "codes"
	recoveryCodes = "recovery codes"
)

// budget is that of which a wrong answer of the call is taken; empty: it gives none.
func (c *call) budget() string {
	where := ""
	if c.known {
		where = " in known browsers"
	}
	switch c.kind {
	case verifies, finishes, proves:
		return codes + where
	case recovers:
		return recoveryCodes + where
	}
	return ""
}

const recoveryTries = 5 // wrong recovery codes per user, within the time that any schedule takes

// most is how many wrong answers the budget has that a call is refused by. A start that is locked, is so by both.
func (c *call) most() int {
	if c.kind == recovers {
		return recoveryTries
	}
	return wrongTries
}

func (g guardSeen) tries(c *call) triesSeen {
	if c.kind == recovers {
		return g.Looked.in(c.known)
	}
	return g.Guesses.in(c.known)
}

// counted is how many wrong answers of its own budget the call has recorded.
func (c *call) counted() int {
	if c.kind == recovers {
		return c.looked
	}
	return c.guessed
}

// resets reports whether the call, if it took effect, has killed all that the user had open.
func (c *call) resets() bool {
	switch c.kind {
	case erases, moves, revokes:
		return c.landed > 0
	case recovers, finishes:
		return c.closes && c.won > 0
	}
	return false
}

// changes reports whether the call, if it took effect, has changed what the user can answer with.
func (c *call) changes() bool {
	switch c.kind {
	case regenerates, removes, disables, enables:
		return c.landed > 0
	case finishes:
		return c.won > 0
	}
	return c.resets()
}

// renewed reports whether another call has killed all that the user of c had open.
func (e *ending) renewed(c *call) bool {
	return slices.ContainsFunc(e.calls, func(x *call) bool { return x != c && x.user == c.user && x.resets() })
}

func (e *ending) changed(c *call) bool {
	return slices.ContainsFunc(e.calls, func(x *call) bool { return x != c && x.user == c.user && x.changes() })
}

// turned reports whether a recovery code has made the challenge of c one that only an enrolment answers.
func (e *ending) turned(c *call) bool {
	return slices.ContainsFunc(e.calls, func(x *call) bool {
		return x != c && x.kind == recovers && x.challenge == c.challenge && x.won > 0
	})
}

// unlocked reports whether c began after it had been answered that its user isn't locked.
func (e *ending) unlocked(c *call) bool {
	return slices.ContainsFunc(e.calls, func(x *call) bool {
		return x.kind == unlocks && x.user == c.user && x.refusal() == "" && !x.silent() && c.began&x.bit != 0
	})
}

// spends names what a success of the call can only be had for once.
func (c *call) spends() []string {
	if c.kind == proves {
		return []string{c.secret}
	}
	all := []string{c.challenge}
	if c.secret != "" {
		all = append(all, "secret "+c.secret)
	}
	if c.lets != "" {
		all = append(all, "finish of "+c.lets)
	}
	return all
}

// winner finds another call that has recorded a success with the same secret; nil: none has.
func (e *ending) winner(c *call) *call {
	for _, x := range e.calls {
		if x != c && x.won > 0 && x.secret == c.secret {
			return x
		}
	}
	return nil
}

// truthful checks what honest leaves open: that each answer recorded is counted or a success, and that what a call hears of it
// is true, whatever it was for.
func (e *ending) truthful(c *call) error {
	if c.budget() != "" && c.landed != c.guessed+c.looked+c.won {
		return fmt.Errorf("I2: %d answers were recorded, %d counted as wrong and %d as right", c.landed, c.guessed+c.looked, c.won)
	}
	if c.strayed > 0 || c.misrow {
		return fmt.Errorf("I2: %d wrong answers were counted in the other budget, or in no row", c.strayed)
	}
	if c.partly {
		return fmt.Errorf("I2: an unlock forgot wrong answers although nothing was locked, or not all of them")
	}
	if c.unkept {
		return fmt.Errorf("I2: after a right recovery code the codes are locked, or not, against their count")
	}
	if c.silent() || c.replay != "" {
		return nil
	}
	code := c.refusal()
	if c.kind == unlocks && code == "" && c.landed == 0 && c.sawLock() {
		return fmt.Errorf("law 2: an unlock without a commit")
	}
	if c.budget() == "" {
		if c.landed > 0 && code != "" && c.kind != starts && c.kind != sends && !e.renewed(c) {
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
	case code == mfa.WrongCode && c.counted() == 0:
		return fmt.Errorf("I2: a wrong code was not counted")
	case code == mfa.Locked && len(e.guards[c.user].tries(c).At)+e.forgotten(c.user).in(c) < c.most():
		return fmt.Errorf("I10: locked after %d wrong codes", len(e.guards[c.user].tries(c).At))
	case code == mfa.Locked && e.unlocked(c):
		return fmt.Errorf("I10: locked, and began after it was answered that nothing is")
	case c.right && code == mfa.WrongCode && !late && e.good(c):
		return fmt.Errorf("I10: the right code is called wrong")
	case c.kind == recovers && c.right && code == mfa.ChallengeInvalid && !late && !e.ended(c) && !e.renewed(c) && !e.turned(c),
		c.kind != verifies && c.right && code == mfa.EnrolmentInvalid && !late && !e.ended(c) && !e.renewed(c) && e.winner(c) == nil && !e.happened(begins, c):
		return fmt.Errorf("I10: nothing ended it")
	case (code == mfa.NotFound || code == mfa.MethodForbidden) && !e.changed(c):
		return fmt.Errorf("I10: nobody changed what can be answered with")
	}
	return nil
}

// within reports whether a policy with a skew of one step takes the code of a step at that moment.
func within(at time.Time, step int64) bool {
	now := at.Unix() / int64(appStep/time.Second)
	return step >= now-1 && step <= now+1
}

// good reports whether nothing has made the right code of c worthless.
func (e *ending) good(c *call) bool {
	switch c.kind {
	case recovers:
		return e.winner(c) == nil && !e.changed(c)
	case finishes, proves:
		return true
	case verifies:
		return c.factor != "" && within(c.now, c.step) && !e.changed(c) && !slices.ContainsFunc(e.calls, func(x *call) bool {
			return x != c && x.factor == c.factor && x.won > 0 && x.step >= c.step
		})
	}
	return false
}

// ended reports whether the guard says that what c answered has ended.
func (e *ending) ended(c *call) bool {
	g := e.guards[c.user]
	slots := g.Slots
	if g.Pending != nil {
		slots = append(slots, *g.Pending)
	}
	return slices.ContainsFunc(slots, func(slot slotSeen) bool { return strings.HasSuffix(c.challenge, slot.ID) && slot.State != "" })
}

// shut reports whether by, which was answered that it is done, has closed what c succeeded with. A browser that was
// trusted by a call, not before all, is closed only by what took effect after that call did.
func (e *ending) shut(by, c *call) bool {
	before := c.before || c.from != nil && c.from.landed > 0 && c.from.landedOver&by.bit == 0
	switch {
	case by.resets():
		return before
	case c.kind == starts && (by.kind == removes || by.kind == disables):
		return before
	case by.kind == removes:
		return c.kind == verifies && c.factor == by.factor
	case by.kind == regenerates:
		return c.kind == recovers && c.from == nil
	case by.kind == begins:
		return c.kind == finishes && c.before
	case c.kind == verifies && by.factor == c.factor && c.factor != "" && by.success():
		return c.step <= by.step
	}
	return false
}

// aside is the service over a copy of the store, with a clock that is later by that much: it leaves no trace.
func (e *ending) aside(later time.Duration) (*mfa.Service, *storetest.Model) {
	clock := storetest.NewClock(e.clock.Now().Add(later))
	model := e.model.Clone(clock.Now)
	s := *e.props.Service
	s.Store, s.Now = model, clock.Now
	return &s, model
}

// A probe asks, when all is over, whether something would still let its user in.
func (e *ending) probe(user string, later time.Duration, ask func(*mfa.Service, opened) (bool, error)) (in bool, err error) {
	s, _ := e.aside(later)
	started, err := s.StartChallenge(context.Background(), e.props.Client, signingIn(user))
	if err != nil || started.Challenge == nil {
		return false, err
	}
	return ask(s, opened{user: user, id: started.Challenge.ID})
}

// recovered asks for a recovery code, when every lock is over.
func (e *ending) recovered(user string, code seal.Secret) (in bool, err error) {
	g := e.guards[user]
	known := fmt.Sprint(user, code.Reveal(), g.Recovery, len(g.Factors))
	if in, ok := e.props.tried[known]; ok {
		return in, nil
	}
	in, err = e.probe(user, 20*time.Minute, func(s *mfa.Service, o opened) (bool, error) {
		_, err := s.Recover(context.Background(), e.props.Client, mfa.RecoverRequest{Challenge: o.id, Code: code})
		return err == nil, nil
	})
	e.props.tried[known] = in
	return in, err
}
