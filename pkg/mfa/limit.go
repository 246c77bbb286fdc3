package mfa

import (
	"slices"
	"time"
)

// What no policy can loosen. Wrong answers are counted per user, over all challenges, factors and processes: one budget
// for codes, another for recovery codes.
const (
	wrongWindow = 15 * time.Minute
	wrongDay    = 24 * time.Hour
	wrongInARow = 100 // NIST SP 800-63B-4 section 3.2.2
)

// A budget is how many wrong answers of one sort a user has.
type budget struct{ inWindow, inDay int }

func codeBudget() budget     { return budget{10, 20} }
func recoveryBudget() budget { return budget{5, 10} }

// forever is the end of a lock that only another factor or an administrator lifts.
var forever = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// tries counts wrong answers of one budget. The zero value is nobody having tried.
type tries struct {
	At    []int64   `json:"at,omitempty"`    // wrong answers of the last day, Unix milliseconds, oldest first
	Row   int       `json:"row,omitempty"`   // in a row, however long ago
	Locks int       `json:"locks,omitempty"` // since the last right answer
	Until time.Time `json:"until,omitzero"`  // no answer is looked at before then
}

// locked says until when answers are not looked at, and whether that is still to come.
func (t *tries) locked(now time.Time) (time.Time, bool) { return t.Until, now.Before(t.Until) }

// left is how many wrong answers can still come before a lock.
func (t *tries) left(b budget, now time.Time) int {
	return max(0, min(
		b.inWindow-within(t.At, now, wrongWindow),
		b.inDay-within(t.At, now, wrongDay),
		wrongInARow-t.Row))
}

// wrong counts one, and locks when that reached a limit. The wait is at least until the limit allows another try, and
// doubles with each lock since the last right answer, from 15 minutes to a day.
func (t *tries) wrong(b budget, now time.Time) (lockedNow bool) {
	t.At = append(recent(t.At, now, wrongDay), now.UnixMilli())
	t.Row++
	if t.left(b, now) > 0 {
		return false
	}
	t.Locks++
	t.Until = now.Add(min(wrongDay, wrongWindow<<min(t.Locks-1, 10)))
	if frees := t.frees(b); frees.After(t.Until) {
		t.Until = frees
	}
	if t.Row >= wrongInARow {
		t.Until = forever
	}
	return true
}

// frees is when no window is full any more; in the past, or zero: none is.
func (t *tries) frees(b budget) (at time.Time) {
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

// right ends the row of wrong answers. What was wrong stays counted in its windows: a stranger's guesses beside an
// honest user's sign-ins never get more than the windows allow.
func (t *tries) right() { t.Row, t.Locks, t.Until = 0, 0, time.Time{} }

// lift ends the row on the strength of something of another budget. A lock then lasts only as long as a window is full.
func (t *tries) lift(b budget, now time.Time) {
	t.right()
	if frees := t.frees(b); frees.After(now) {
		t.Until = frees
	}
}

// within counts the times of at that lie less than d before now.
func within(at []int64, now time.Time, d time.Duration) int {
	return len(recent(at, now, d))
}

// recent drops what lies d or more before now.
func recent(at []int64, now time.Time, d time.Duration) []int64 {
	i := 0
	for i < len(at) && at[i] <= now.Add(-d).UnixMilli() {
		i++
	}
	return slices.Clip(at[i:])
}
