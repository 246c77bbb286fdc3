package mfa

import (
	"slices"
	"time"
)

// Codes by email to one user, over all challenges, enrolments and processes. No policy can loosen that.
const (
	sendsInHour = 10
	sendsInDay  = 30
)

// mayEmail says how long the user's next code by email has to wait; zero: not at all.
func (g *guard) mayEmail(now time.Time) (wait time.Duration) {
	for _, limit := range []struct {
		n int
		d time.Duration
	}{{sendsInHour, time.Hour}, {sendsInDay, 24 * time.Hour}} {
		if at := recentSends(g.Sends, now, limit.d); len(at) >= limit.n {
			wait = max(wait, time.UnixMilli(at[len(at)-limit.n]/1000).Add(limit.d).Sub(now))
		}
	}
	return wait
}

// countEmail counts a code that goes out, and gives the mark that it is counted by. No two marks of a user are ever the
// same, so that a code which the provider surely didn't take is told from all others.
func (g *guard) countEmail(now time.Time) (mark int64) {
	mark = max(now.UnixMicro(), g.Given+1)
	if n := len(g.Sends); n > 0 {
		mark = max(mark, g.Sends[n-1]+1)
	}
	g.Sends = append(recentSends(g.Sends, now, 24*time.Hour), mark)
	return mark
}

// giveBack takes a code out of the count again. It reports false where that code isn't counted, or isn't any more.
func (g *guard) giveBack(mark int64) bool {
	i := slices.Index(g.Sends, mark)
	if i < 0 {
		return false
	}
	g.Sends = slices.Delete(g.Sends, i, i+1)
	g.Given = max(g.Given, mark)
	return true
}

// recentSends drops the marks that lie d or more before now. It judges whole milliseconds: the microseconds of a mark only
// tell it from others.
func recentSends(marks []int64, now time.Time, d time.Duration) []int64 {
	i := 0
	for i < len(marks) && marks[i]/1000 <= now.Add(-d).UnixMilli() {
		i++
	}
	return slices.Clip(marks[i:])
}
