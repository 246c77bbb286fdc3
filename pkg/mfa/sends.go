package mfa

import (
	"slices"
	"time"
)

// How many codes one user can be sent by one channel, over all challenges, enrolments and processes. No policy can raise
// these numbers.
const (
	sendsInHour = 10
	sendsInDay  = 30
)

// A sendLimit is how many codes a user can be sent in some time.
type sendLimit struct {
	most int
	in   time.Duration
}

// sent returns the marks of the codes that the user was sent by a channel.
func (g *guard) sent(channel string) *[]int64 {
	if channel == channelSMS {
		return &g.TextsSent
	}
	return &g.EmailsSent
}

// maySend returns how long the user's next code by a channel has to wait. Zero means that it can be sent now.
func (g *guard) maySend(channel string, limits []sendLimit, now time.Time) (wait time.Duration) {
	for _, limit := range limits {
		at := recentSends(*g.sent(channel), now, limit.in)
		switch {
		case len(at) < limit.most:
		case limit.most < 1:
			wait = max(wait, limit.in)
		default:
			wait = max(wait, time.UnixMilli(at[len(at)-limit.most]/1000).Add(limit.in).Sub(now))
		}
	}
	return wait
}

// countSend counts a code that is sent by a channel, and returns the mark that it is counted by, which is the time in Unix
// microseconds. No two marks of one user and one channel are ever the same, so that uncountSend can take out exactly one
// code.
func (g *guard) countSend(channel string, now time.Time) (mark int64) {
	sent := g.sent(channel)
	mark = max(now.UnixMicro(), g.LastUncounted+1)
	if n := len(*sent); n > 0 {
		mark = max(mark, (*sent)[n-1]+1)
	}
	*sent = append(recentSends(*sent, now, 24*time.Hour), mark)
	return mark
}

// uncountSend takes a code out of the count again, which the provider surely didn't take. It returns false if that code is
// not counted, or no longer.
func (g *guard) uncountSend(channel string, mark int64) bool {
	sent := g.sent(channel)
	i := slices.Index(*sent, mark)
	if i < 0 {
		return false
	}
	*sent = slices.Delete(*sent, i, i+1)
	g.LastUncounted = max(g.LastUncounted, mark)
	return true
}

// recentSends drops the marks that lie d or more before now. It compares whole milliseconds, because the microseconds of a
// mark only make it unique.
func recentSends(marks []int64, now time.Time, d time.Duration) []int64 {
	i := 0
	for i < len(marks) && marks[i]/1000 <= now.Add(-d).UnixMilli() {
		i++
	}
	return slices.Clip(marks[i:])
}
