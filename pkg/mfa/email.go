package mfa

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"countersign/pkg/seal"
)

// mailbox is the authenticator of the kind email. A code is sent to the account's address, and the user types it in.
type mailbox struct{ sixDigits }

func (mailbox) room(a *account, p *Policy) error {
	address := a.guard.Profile.Email
	switch {
	case p.Methods.Email == Implicit:
		return refuse(MethodForbidden, "The account's email address is already a factor, without an enrolment.")
	case address == "":
		return refuse(NothingToSend, "The user has no email address to send a code to.")
	}
	for _, f := range a.factorRecords {
		if f.Kind == Email && f.Contact == address && a.guard.enrolled(f.ID) != nil {
			return refuse(AlreadyExists, "This address is already enrolled.")
		}
	}
	return nil
}

func (m mailbox) begin(q *question, answer *EnrolAnswer) (err error) {
	if q.f.Contact = q.v.a.guard.Profile.Email; answer.Proven {
		return nil
	}
	answer.SendAnswer, err = m.ask(q)
	return err
}

func (mailbox) ask(q *question) (*SendAnswer, error) {
	if err := q.v.checkLock(q.u.now); err != nil {
		return nil, err
	}
	code, err := q.u.newCode(q.v.a, q.in.binding(), q.f, q.v.p)
	if err != nil {
		return nil, err
	}
	q.in.sent(q.u, q.f, code)
	return &SendAnswer{Sent: code.shown(q.f, q.v.p)}, nil
}

// check compares the code with the one that was sent last. It notes nothing, because a code is dead once the challenge or
// enrolment that it is bound to has been answered.
func (mailbox) check(q *question, given Answer) (bool, error) {
	return q.in.binding().matches(q.u, q.v.a.guard, q.f, given.Code)
}

// hint shows the first letter and the domain, which is enough for users to recognise their own address.
func (mailbox) hint(address string) string {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || local == "" {
		return ""
	}
	return local[:1] + "***@" + domain
}

// addressFactor is the account's address as a factor that isn't enrolled. It is used where the policy makes email implicit,
// and where the user has to prove the address before enrolling a factor.
func (a *account) addressFactor() factor {
	return factor{factorRecord: &factorRecord{ID: a.addressID(), Kind: Email, Contact: a.guard.Profile.Email}}
}

// addressID is the id of the account's address as a factor. It depends only on the org and the id of the user.
func (a *account) addressID() string {
	sum := sha256.Sum256(seal.Join(string(a.route), "implicit email"))
	return "fa_" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// How many codes one user can be sent by email, over all challenges, enrolments and processes. No policy can raise these
// numbers.
const (
	sendsInHour = 10
	sendsInDay  = 30
)

// mayEmail returns how long the user's next code by email has to wait. Zero means that it can be sent now.
func (g *guard) mayEmail(now time.Time) (wait time.Duration) {
	for _, limit := range []struct {
		n int
		d time.Duration
	}{{sendsInHour, time.Hour}, {sendsInDay, 24 * time.Hour}} {
		if at := recentSends(g.EmailsSent, now, limit.d); len(at) >= limit.n {
			wait = max(wait, time.UnixMilli(at[len(at)-limit.n]/1000).Add(limit.d).Sub(now))
		}
	}
	return wait
}

// countEmail counts a code that is sent, and returns the mark that it is counted by, which is the time in Unix microseconds.
// No two marks of a user are ever the same, so that uncountEmail can take out exactly one code.
func (g *guard) countEmail(now time.Time) (mark int64) {
	mark = max(now.UnixMicro(), g.LastUncounted+1)
	if n := len(g.EmailsSent); n > 0 {
		mark = max(mark, g.EmailsSent[n-1]+1)
	}
	g.EmailsSent = append(recentSends(g.EmailsSent, now, 24*time.Hour), mark)
	return mark
}

// uncountEmail takes a code out of the count again, which the provider surely didn't take. It returns false if that code is
// not counted, or no longer.
func (g *guard) uncountEmail(mark int64) bool {
	i := slices.Index(g.EmailsSent, mark)
	if i < 0 {
		return false
	}
	g.EmailsSent = slices.Delete(g.EmailsSent, i, i+1)
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
