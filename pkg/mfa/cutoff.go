package mfa

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// The effects of enforcement: when users who must enrol have to do it.
const (
	NextSignIn = "next_sign_in"
	SignOutNow = "sign_out_now" // they are signed out at once
)

// longestCommit is longer than a commit takes. The moment of a cut-off is read right before its commit and lies that much
// later, so that a session that was begun beside the commit is ended too. A step that has read a cut-off which hits its user
// says that it began after it: see issuedAt.
const longestCommit = 5 * time.Second

// A cutoff is the moment at which a save of the policy ended sessions: those of the users who then had to enrol. The policy
// that was saved says who they are, so the save writes nothing about each of them. Whoever looks at a user settles it: see
// unsettled.
type cutoff struct {
	Version int       `json:"version" record:"1"` // of the policy
	Saved   time.Time `json:"saved" record:"2"`   // the moment at which it was decided who has to enrol
	At      time.Time `json:"at" record:"3"`      // the sessions that began until then are ended
	Demand  demand    `json:"demand" record:"4"`  // of the policy
}

// hits reports whether the cut-off ended the sessions of a user with these facts.
func (c *cutoff) hits(f *facts) bool { return c.Demand.mustEnrol(f, c.Saved) }

// cutoffFor returns the cut-off that a save of to over from brings, without its moment. It is nil if the save signs nobody
// out: because of the effect, or because it demands no more than the policy before it, which has had that effect already.
func (to *Policy) cutoffFor(from *Policy, now time.Time) *cutoff {
	if to.Effect != SignOutNow || from.Effect == SignOutNow && !to.asksMore(from, now) {
		return nil
	}
	return &cutoff{Saved: now, Demand: *to.demand()}
}

// cutOff adds a cut-off to those of the org. It takes the place of the earlier ones that it covers, because whoever they hit
// is hit by it too.
func (p *orgPolicy) cutOff(c *cutoff) {
	p.CutOffs = slices.DeleteFunc(slices.Clone(p.CutOffs), func(old cutoff) bool { return c.Demand.covers(&old.Demand, old.Saved, c.Saved) })
	p.CutOffs = append(p.CutOffs, *c)
}

// lastCutOff returns the version of the last cut-off of the org; 0 if there was none.
func (p *orgPolicy) lastCutOff() int {
	if len(p.CutOffs) == 0 {
		return 0
	}
	return p.CutOffs[len(p.CutOffs)-1].Version
}

// lastEnd returns the moment of the last cut-off of the org; nil if there was none.
func (p *orgPolicy) lastEnd() *sessionEnd {
	if len(p.CutOffs) == 0 {
		return nil
	}
	return &sessionEnd{At: p.CutOffs[len(p.CutOffs)-1].At}
}

// A sessionEnd is the last moment at which all sessions of a user were ended.
type sessionEnd struct {
	At     time.Time `json:"at" record:"1"` // the sessions that began until then are ended
	Reason string    `json:"reason" record:"2"`
}

// signedOutByPolicy is the reason of a session's end if a policy has ended it.
const signedOutByPolicy = "signed_out_by_policy"

// unsettled returns the last cut-off that has hit the user and that the guard has not settled yet; nil if there is none. It
// is judged by the facts as they were read. What changes them settles all cut-offs first, in the same commit, so the facts
// are those of the moment of every cut-off that is left.
func (a *account) unsettled(p *orgPolicy) *cutoff {
	settled := 0
	if a.exists() {
		settled = a.guard.Settled
	}
	var last *cutoff
	for i := range p.CutOffs {
		if c := &p.CutOffs[i]; c.Version > settled && c.hits(&a.asRead) {
			last = c
		}
	}
	return last
}

// sessionsEnded returns when all sessions of the user were last ended, and why. It is nil if they never were.
func (a *account) sessionsEnded(p *orgPolicy) *sessionEnd {
	var last *sessionEnd
	if a.exists() {
		last = a.guard.SessionsEnded
	}
	if c := a.unsettled(p); c != nil && (last == nil || last.At.Before(c.At)) {
		last = &sessionEnd{At: c.At, Reason: signedOutByPolicy}
	}
	if restored := time.Unix(a.deployment, 0).UTC(); a.deployment > 0 && (last == nil || last.At.Before(restored)) {
		last = &sessionEnd{At: restored, Reason: causeRestored}
	}
	return last
}

// issuedAt returns when a session begins that this step lets in. That is when the step began to read, or right after the last
// end of the user's sessions that it has read, if that lies later.
func (u *unit) issuedAt(a *account, p *orgPolicy) time.Time {
	if last := a.sessionsEnded(p); last != nil && !u.now.After(last.At) {
		return last.At.Add(time.Microsecond)
	}
	return u.now
}

// momentOfEnd returns a moment that ends all sessions of the user, those that are just being begun included. It lies later than
// every end of a session that was read, and than what issuedAt makes of that.
func (u *unit) momentOfEnd(last *sessionEnd) time.Time {
	at := u.s.Now().UTC().Truncate(time.Microsecond).Add(longestCommit)
	if last != nil && at.Before(last.At.Add(2*time.Microsecond)) {
		return last.At.Add(2 * time.Microsecond)
	}
	return at
}

// endSessions ends all sessions of the user, with the guard's own write.
func (u *unit) endSessions(a *account, p *orgPolicy, reason string) {
	a.guard.SessionsEnded = &sessionEnd{At: u.momentOfEnd(a.sessionsEnded(p)), Reason: reason}
}

// settle notes in the guard which cut-offs have hit the user, as far as it doesn't have that yet. Every commit that changes
// what cut-offs go by settles first, so that enrolling never revives an older session. The event about it has the same id
// whoever settles. Nobody is told about the earlier sessions of a user who is seen for the first time.
func (u *unit) settle(a *account, p *orgPolicy) {
	c := a.unsettled(p)
	if c != nil && (a.guard.SessionsEnded == nil || a.guard.SessionsEnded.At.Before(c.At)) {
		a.guard.SessionsEnded = &sessionEnd{At: c.At, Reason: signedOutByPolicy}
	}
	if c != nil && !a.item.Absent() {
		e := u.event(a.guard.event(UserSignedOut, c.Version, map[string]any{"before": c.At}).by(serviceActor))
		e.ID = c.signedOutID(a.route)
	}
	a.guard.Settled = max(a.guard.Settled, p.lastCutOff())
}

// signedOutID is the id of the event that the cut-off has hit a user.
func (c *cutoff) signedOutID(r route) string {
	sum := sha256.Sum256(seal.Join("signed out", strconv.Itoa(c.Version), strconv.FormatInt(c.At.UnixMicro(), 10), string(r)))
	return "ev_" + base64.RawURLEncoding.EncodeToString(sum[:seal.IDRandom])
}

// A fence keeps a factor from being enrolled beside a cut-off that the enrolment has not read: both of them write it, so one
// of the two loses. An org has several of them, each for a part of its users, so that its users rarely wait for each other.
type fence struct {
	record.Head
	Version int `json:"version" record:"1"` // of the org's last cut-off
}

const fences = 8

func fenceKey(r route, of int) store.Key {
	return store.Key{Partition: "fence#" + b64(string(r.org())) + "#" + strconv.Itoa(of), Sort: "fence"}
}

// readFence reads the fence of a user, for a step that may make cut-offs hit the user less.
func readFence(r route, into *fence) read {
	return readFenceOf(r, fenceOf(r), into)
}

func fenceOf(r route) int { return int(r[len(r)-1]) % fences }

func readFenceOf(r route, of int, into *fence) read {
	return read{key: fenceKey(r, of), take: func(item store.Item) error {
		*into = fence{Head: record.Head{Item: item}}
		if item.Absent() {
			return nil
		}
		return record.Decode(item, into)
	}}
}

// fencesOf returns the fences of an org that there are.
func (s *Service) fencesOf(ctx context.Context, r route) (there []store.Item, err error) {
	var all [fences]store.Item
	reads := make([]read, fences)
	for i := range reads {
		reads[i] = readItem(fenceKey(r, i), &all[i])
	}
	if err := readAll(ctx, s.Store, reads...); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all[:], func(item store.Item) bool { return item.Absent() }), nil
}

// pass plans to write the user's fence. Every step that gives a user a factor, or that has an administrator demand less of a user,
// must do so. It is planned after the write of an item that can carry the events of the commit.
func (u *unit) pass(f *fence, p *orgPolicy) error {
	if f.Version > p.lastCutOff() {
		return errUnsettled // the policy was read before the fence
	}
	u.put(f.Item, f, time.Time{})
	return nil
}
