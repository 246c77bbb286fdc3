package walk

import (
	"cmp"
	"slices"
	"time"

	"countersign/pkg/store"
)

// Effects are what the commits of a call did to the guard.
type effects struct {
	wrongCodes         int      // wrong codes that they counted in the budget of the call
	wrongRecoveryCodes int      // wrong recovery codes that they counted in the budget of the call
	inOtherBudget      int      // wrong answers that they counted in the other budget
	rowIsOff           bool     // they changed the row of wrong codes in another way than their answer should
	wrongCredentials   int      // wrong responses of keys that they counted against the challenge alone
	won                int      // how many of them recorded a right answer
	sets               []string // the sets of recovery codes that they made
	lockIsOff          bool     // a right recovery code lifted a lock whose window was full, or kept one whose window wasn't

	forgot forgotten // wrong answers that an unlock removed from the guard
	partly bool      // the unlock left some of them, or nothing was locked
	lifted bool      // an unlock had taken effect before the last of them did

	carried bool // one of them carried out a request for a reset
}

// guardOf returns the guard that a commit replaces, or nil if the commit writes no guard.
func (s *schedule) guardOf(f *flight) *guardView {
	for _, w := range f.writes {
		if w.Key.Sort == "guard" && !w.Delete {
			g := s.show(s.item(w.Key)).guard
			return &g
		}
	}
	return nil
}

// note records the effects of a commit that has just changed the guard before.
func (s *schedule) note(f *flight, before *guardView) {
	c := f.call
	c.landedOver = 0
	if c.trusts || c.learns {
		c.landedOver = s.closed
	}
	after := s.guardOf(f)
	c.carried = c.carried || after != nil && after.Reset.State == "done" && before.Reset != after.Reset
	if c.closes || c.carried {
		s.closed |= c.bit
	}
	c.lifted = s.lifted
	if before == nil {
		return
	}
	if c.kind == unlocks {
		s.lifted = true
		c.forget(before, after, f.now)
		return
	}
	added := func(after, before attemptsView) int { return max(0, len(after.At)-len(before.At)) }
	wrongCodes := added(after.WrongCodes.in(c.known), before.WrongCodes.in(c.known))
	c.wrongCodes += wrongCodes
	c.wrongRecoveryCodes += added(after.WrongRecoveryCodes.in(c.known), before.WrongRecoveryCodes.in(c.known))
	c.inOtherBudget += added(after.WrongCodes.in(!c.known), before.WrongCodes.in(!c.known)) + added(after.WrongRecoveryCodes.in(!c.known), before.WrongRecoveryCodes.in(!c.known))
	row := before.WrongCodes.InARow + wrongCodes
	slots := after.allSlots()
	if c.signs && slices.ContainsFunc(slots, func(slot slotView) bool { return slot.WrittenBy == f.token && slot.Wrong == before.wrong(slot.ID)+1 }) {
		c.wrongCredentials++
	}
	if slices.ContainsFunc(slots, func(slot slotView) bool {
		return slot.WrittenBy == f.token && (slot.State == "verified" || slot.State == "" && (slot.Effect != "" || slot.Proven))
	}) {
		c.won++
		own := after.WrongCodes.in(c.known)
		c.lockIsOff = c.kind == recovers && own.Until.IsZero() == (len(own.At) >= userAttempts)
		if c.kind == verifies || c.kind == recovers {
			row = 0
		}
	}
	s.broken = cmp.Or(s.broken, c.counters(before, after, slices.ContainsFunc(slots, func(slot slotView) bool {
		return slot.WrittenBy == f.token && slot.State == "verified"
	})))
	c.rowIsOff = c.rowIsOff || after.WrongCodes.InARow != row
	if after.Recovery.ID != "" && after.Recovery.ID != before.Recovery.ID {
		c.sets = append(c.sets, after.Recovery.ID)
	}
}

// forget records what an unlock has changed in the guard before.
func (c *call) forget(before, after *guardView, now time.Time) {
	c.forgot = forgotten{map[bool]int{}, map[bool]int{}}
	for _, known := range []bool{false, true} {
		c.forgot.wrongCodes[known], c.forgot.wrongRecoveryCodes[known] = len(before.WrongCodes.in(known).At), len(before.WrongRecoveryCodes.in(known).At)
		for _, left := range []attemptsView{after.WrongCodes.in(known), after.WrongRecoveryCodes.in(known)} {
			c.partly = c.partly || len(left.At) > 0 || !left.Until.IsZero()
		}
	}
	c.partly = c.partly || !before.locked(now) || after.WrongCodes.InARow != 0 || after.WrongRecoveryCodes.InARow != 0
}

// Forgotten are the wrong answers that unlocks have removed from the guard. The keys say whether they were given in known
// browsers.
type forgotten struct{ wrongCodes, wrongRecoveryCodes map[bool]int }

// codes returns how many wrong codes were forgotten in both budgets.
func (f forgotten) codes() int { return f.wrongCodes[false] + f.wrongCodes[true] }

// in returns how many wrong answers were removed from the budget of a call.
func (f forgotten) in(c *call) int {
	if c.kind == recovers {
		return f.wrongRecoveryCodes[c.known]
	}
	return f.wrongCodes[c.known]
}

// forgotten returns what the unlocks of a user have forgotten.
func (e *ending) forgotten(user string) forgotten {
	all := forgotten{map[bool]int{}, map[bool]int{}}
	for _, c := range e.calls {
		if c.user != user {
			continue
		}
		for _, known := range []bool{false, true} {
			all.wrongCodes[known] += c.forgot.wrongCodes[known]
			all.wrongRecoveryCodes[known] += c.forgot.wrongRecoveryCodes[known]
		}
	}
	return all
}

// sawLock reports whether the last try of a call has read a guard in which something was locked.
func (s *schedule) sawLock(c *call) bool {
	return slices.ContainsFunc(c.saw, func(item store.Item) bool {
		return item.Key.Sort == "guard" && s.show(item).guard.locked(c.now)
	})
}

// These are the budgets of wrong answers.
const (
	codes         = "codes"
	recoveryCodes = "recovery codes"
	credentials   = "credentials" // counted only by their challenge or enrolment
)

const recoveryAttempts = 5 // wrong recovery codes per user, within the time that any schedule takes

// budget returns the budget in which a wrong answer of the call is counted. It is empty if the call gives no answer.
func (c *call) budget() string {
	where := ""
	if c.known {
		where = " in known browsers"
	}
	switch {
	case c.signs && (c.kind == verifies || c.kind == finishes):
		return credentials
	case c.kind == verifies, c.kind == finishes, c.kind == proves:
		return codes + where
	case c.kind == recovers:
		return recoveryCodes + where
	}
	return ""
}

// most returns how many wrong answers fit into the budget that can refuse the call. A start is refused only if both budgets
// are full.
func (c *call) most() int {
	if c.kind == recovers {
		return recoveryAttempts
	}
	return userAttempts
}

// counted returns how many wrong answers the call has recorded in its own budget.
func (c *call) counted() int {
	switch {
	case c.signs:
		return c.wrongCredentials
	case c.kind == recovers:
		return c.wrongRecoveryCodes
	}
	return c.wrongCodes
}

// overtakes reports whether an answer that by has recorded may hide an earlier one of c.
func (c *call) overtakes(by *call) bool {
	return c.challenge == by.challenge && (c.kind == by.kind || c.budget() != "" && by.budget() != "")
}

// resets reports whether the call has taken effect and ended everything that the user had open.
func (c *call) resets() bool {
	switch c.kind {
	case erases, moves, revokes, restarts:
		return c.landed > 0
	case recovers, finishes:
		return c.closes && c.won > 0
	}
	return c.carried
}

// restarted reports whether the call has taken effect and left the user without 2FA.
func (c *call) restarted() bool { return c.carried || c.kind == restarts && c.landed > 0 }

// changes reports whether the call has taken effect and changed what the user can answer with.
func (c *call) changes() bool {
	switch c.kind {
	case regenerates, removes, disables, enables, withdraws:
		return c.landed > 0
	case finishes:
		return c.won > 0
	}
	return c.resets()
}

// spends returns what a success of the call uses up, so that no other call can succeed with it.
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

// happened reports whether a deed of this kind took effect for the user of c.
func (e *ending) happened(kind string, c *call) bool {
	return slices.ContainsFunc(e.calls, func(x *call) bool {
		return x.kind == kind && x.user == c.user && x.landed > 0
	})
}

// usedUp reports whether c begins an enrolment with a token that the finish of another one has used up.
func (e *ending) usedUp(c *call) bool {
	return c.once && slices.ContainsFunc(e.calls, func(x *call) bool { return x.kind == finishes && x.user == c.user && x.won > 0 })
}

// lost returns how many commits had a lost answer.
func (e *ending) lost() (n int) {
	for _, c := range e.calls {
		n += c.lost
	}
	return n
}

// renewed reports whether another call has ended everything that the user of c had open.
func (e *ending) renewed(c *call) bool {
	return slices.ContainsFunc(e.calls, func(x *call) bool { return x != c && x.user == c.user && x.resets() })
}

func (e *ending) changed(c *call) bool {
	return slices.ContainsFunc(e.calls, func(x *call) bool {
		return x != c && x.user == c.user && x.changes() || x.kind == saves && x.landed > 0
	})
}

// turned reports whether a recovery has made the challenge of c one that only an enrolment answers.
func (e *ending) turned(c *call) bool {
	return slices.ContainsFunc(e.calls, func(x *call) bool {
		return x != c && x.kind == recovers && x.challenge == c.challenge && x.won > 0
	})
}

// unlocked reports whether c began after an answer had said that its user is no longer locked.
func (e *ending) unlocked(c *call) bool {
	return slices.ContainsFunc(e.calls, func(x *call) bool {
		return x.kind == unlocks && x.user == c.user && x.refusal() == "" && !x.silent() && c.began&x.bit != 0
	})
}

// winner returns another call that has recorded a success with the same secret, or nil if there is none.
func (e *ending) winner(c *call) *call {
	for _, x := range e.calls {
		if x != c && x.won > 0 && x.secret == c.secret {
			return x
		}
	}
	return nil
}

// good reports whether the right code of c is still valid after what the other calls did.
func (e *ending) good(c *call) bool {
	switch c.kind {
	case recovers:
		return e.winner(c) == nil && !e.changed(c)
	case finishes:
		return !slices.ContainsFunc(e.calls, func(x *call) bool {
			return x.kind == sends && x.challenge == c.challenge && x.code == c.code && x.landed > 0
		})
	case proves:
		return true
	case verifies:
		if c.signs {
			return e.goodResponse(c)
		}
		return c.factor != "" && within(c.now, c.step) && !e.changed(c) && !slices.ContainsFunc(e.calls, func(x *call) bool {
			return x != c && x.factor == c.factor && x.won > 0 && x.step >= c.step
		})
	}
	return false
}

// ended reports whether the guard says that the challenge or enrolment of c has ended.
func (e *ending) ended(c *call) bool {
	g := e.guards[c.user]
	return slices.ContainsFunc(g.allSlots(), func(slot slotView) bool { return slot.isOf(c.challenge) && slot.State != "" })
}
