package mfa

import (
	"slices"
	"time"

	"countersign/pkg/message"
)

// This file decides when a user's answers are locked, and for how long. No policy can loosen it. Wrong answers are counted
// per user, over all challenges, factors and processes. Recovery codes are counted apart from all other codes, and each of
// the two counts has two budgets (see wrongAnswers).
const (
	wrongWindow = 15 * time.Minute
	wrongDay    = 24 * time.Hour
	wrongInARow = 100 // NIST SP 800-63B-4 section 3.2.2
)

// A budget is how many wrong answers of one sort a user may give in a window and in a day.
type budget struct{ inWindow, inDay int }

func codeBudget() budget     { return budget{10, 20} }
func recoveryBudget() budget { return budget{5, 10} }

// forever is the end of a lock that does not end by itself, but only by right or by unlock.
var forever = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// wrongAnswers counts a user's wrong answers of one sort, in two budgets of the same size: one for known browsers, where this
// user has answered rightly before, and one for all others. So somebody who has only the password can't lock the owner out
// of a browser that the owner uses. The zero value means that no wrong answer was given.
type wrongAnswers struct {
	attempts               // in browsers that aren't known
	KnownBrowsers attempts `json:"known_browsers" record:"4"` // in known browsers
	InARow        int      `json:"in_a_row" record:"5"`       // how many wrong answers there were in a row, in both budgets together
}

// attempts are the wrong answers of one budget.
type attempts struct {
	At    []int64   `json:"at" record:"1"`    // when they were given in the last day: Unix milliseconds, oldest first
	Locks int       `json:"locks" record:"2"` // how many locks there were since the last right answer
	Until time.Time `json:"until" record:"3"` // before that time no answer is compared
}

// in returns the budget for known browsers, or the one for all others.
func (a *wrongAnswers) in(known bool) *attempts {
	if known {
		return &a.KnownBrowsers
	}
	return &a.attempts
}

// locked returns until when answers are refused without a look at them, and whether that time is still to come. After too
// many wrong answers in a row, both budgets are locked forever.
func (a *wrongAnswers) locked(known bool, now time.Time) (time.Time, bool) {
	if a.InARow >= wrongInARow {
		return forever, true
	}
	until := a.in(known).Until
	return until, now.Before(until)
}

// left returns how many wrong answers can still be given before a lock.
func (a *wrongAnswers) left(b budget, known bool, now time.Time) int {
	at := a.in(known).At
	return max(0, min(
		b.inWindow-within(at, now, wrongWindow),
		b.inDay-within(at, now, wrongDay),
		wrongInARow-a.InARow))
}

// wrong counts a wrong answer, and locks if it reaches a limit. The lock lasts 15 minutes, and twice as long with each
// further lock since the last right answer, but at most a day. It lasts at least until the windows have room for another
// wrong answer.
func (a *wrongAnswers) wrong(b budget, known bool, now time.Time) (lockedNow bool) {
	t := a.in(known)
	t.At = append(recent(t.At, now, wrongDay), now.UnixMilli())
	a.InARow++
	if a.left(b, known, now) > 0 {
		return false
	}
	t.Locks++
	t.Until = now.Add(min(wrongDay, wrongWindow<<min(t.Locks-1, 10)))
	if frees := t.frees(b); frees.After(t.Until) {
		t.Until = frees
	}
	return true
}

// lock returns what the user is told about the lock that a wrong answer has just brought.
func (a *wrongAnswers) lock(known bool, now time.Time) map[string]any {
	until, _ := a.locked(known, now)
	browsers := message.OtherBrowsers
	switch {
	case a.InARow >= wrongInARow:
		browsers = message.AllBrowsers
	case known:
		browsers = message.KnownBrowsers
	}
	return map[string]any{"until": until, "browsers": browsers}
}

// right ends the row of wrong answers, and the lock of the budget that the answer counts in. If a window of that budget is
// full, its lock stays until there is room. So an attacker who guesses while an honest user signs in never has more than the
// windows allow.
func (a *wrongAnswers) right(b budget, known bool, now time.Time) {
	t := a.in(known)
	a.InARow, t.Locks, t.Until = 0, 0, time.Time{}
	if frees := t.frees(b); frees.After(now) {
		t.Until = frees
	}
}

// frees returns the time from which no window is full. It is zero or in the past if none is full now.
func (t *attempts) frees(b budget) (at time.Time) {
	for _, limit := range []struct {
		n int
		d time.Duration
	}{{b.inWindow, wrongWindow}, {b.inDay, wrongDay}} {
		if n := len(t.At); n >= limit.n {
			if frees := time.UnixMilli(t.At[n-limit.n]).Add(limit.d).UTC(); frees.After(at) {
				at = frees
			}
		}
	}
	return at
}

// within counts the times of at that lie less than d before now.
func within(at []int64, now time.Time, d time.Duration) int {
	return len(recent(at, now, d))
}

// recent drops the times that lie d or more before now.
func recent(at []int64, now time.Time, d time.Duration) []int64 {
	i := 0
	for i < len(at) && at[i] <= now.Add(-d).UnixMilli() {
		i++
	}
	return slices.Clip(at[i:])
}
