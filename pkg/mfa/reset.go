package mfa

import (
	"context"
	"fmt"
	"strings"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A request for a reset waits for an approver, or for its time, or for both. It is in the guard of the user whom it is about, and
// the guard alone says what becomes of it: of all who approve, cancel or carry it out at once, one wins. Once it is due, the next
// step on the user's account carries it out before anything else (see settles), and so does the sweep.
//
// Who has asked for it, who has approved it, and why, are in a record of its own, by which an org finds its requests. That record
// decides nothing. The guard has the newest request only, even if it has ended; when another one takes its place, the record of the
// earlier one gets the state in which it has ended. Where a record says that a request waits which the guard doesn't know, the
// request is dead.

const (
	resetWaits = 7 * 24 * time.Hour  // how long a request waits after it was made, or after it became due
	resetKept  = 90 * 24 * time.Hour // how long its record is kept
	resetPause = 24 * time.Hour      // how long nobody can ask at a challenge after one was cancelled
	cancelFor  = 21 * 24 * time.Hour // how long a link can cancel it: a week until the notice, a week of waiting and a week after that
)

// The states of a request for a reset besides pending and expired.
const (
	done      = "done"
	cancelled = "cancelled"
)

// A person is a user of an org who acts on an account. Two people with the same id in two orgs are two people.
type person struct {
	Org  string `json:"org" record:"1"`
	User string `json:"user" record:"2"`
}

// hash is what the guard holds of a person, to see that somebody else approves.
func (p *person) hash() []byte { return []byte(seal.Route("person", p.Org, p.User)) }

// hashOfClient is what the guard holds of a client, for the same purpose.
func hashOfClient(client string) []byte { return []byte(seal.Route("client", client)) }

// A resetRequest is what decides about a request for a reset. The guard has it.
type resetRequest struct {
	ID            string        `json:"id" record:"1,id=rs_"`
	By            []byte        `json:"by" record:"2,word"`     // the hash of who has asked for it
	Client        []byte        `json:"client" record:"3,word"` // the hash of the client whose call that was
	Asked         time.Time     `json:"asked" record:"4"`
	NeedsApproval bool          `json:"needs_approval" record:"5"`
	Approved      bool          `json:"approved" record:"6"`
	HoldS         int           `json:"hold_s" record:"7"`           // how long it waits, in seconds
	Due           time.Time     `json:"due" record:"8"`              // when that is over; zero if it doesn't wait, or the wait has not begun
	State         string        `json:"state" record:"9"`            // done, cancelled or expired; empty if none of these is known
	Ended         time.Time     `json:"ended" record:"10"`           // when it was done or cancelled
	DecidedBy     store.Version `json:"decided_by" record:"11,word"` // the commit that made it, approved it or ended it
	SelfService   bool          `json:"self_service" record:"12"`    // the user has asked for it, at a challenge
	InPortal      bool          `json:"in_portal" record:"13"`       // an administrator has asked for it in the portal, and has stepped up for that
}

// ends returns when the request expires if nothing becomes of it.
func (r *resetRequest) ends() time.Time { return later(r.Asked, r.Due).Add(resetWaits) }

func (r *resetRequest) state(now time.Time) string {
	switch {
	case r.State != "":
		return r.State
	case !now.Before(r.ends()):
		return expired
	}
	return pending
}

// needsApproval reports whether the request can't be carried out without an approver. A policy that asks for one holds for requests
// that were made before it too.
func (r *resetRequest) needsApproval(p *Policy) bool {
	if r.SelfService {
		return r.NeedsApproval || p.Reset.SelfService != SelfServiceHold
	}
	return r.NeedsApproval || p.Reset.SecondApprover
}

// ready reports whether the request is to be carried out.
func (r *resetRequest) ready(p *Policy, now time.Time) bool {
	waits := r.HoldS > 0 && (r.Due.IsZero() || now.Before(r.Due))
	return r.state(now) == pending && !waits && (r.Approved || !r.needsApproval(p))
}

// resetInForce returns the request for a reset that waits, or nil if none does.
func (g *guard) resetInForce(now time.Time) *resetRequest {
	if g.Reset == nil || g.Reset.state(now) != pending {
		return nil
	}
	return g.Reset
}

// changeReset returns a copy of the guard's request, which takes its place. So whoever undoes what a step has planned still has the
// request as it was.
func (g *guard) changeReset() *resetRequest {
	r := *g.Reset
	g.Reset = &r
	return g.Reset
}

// decideReset ends the request of the guard.
func (u *unit) decideReset(g *guard, state string) *resetRequest {
	r := g.changeReset()
	r.State, r.Ended, r.DecidedBy = state, u.now, u.version
	return r
}

// askForReset makes a request for a reset, and puts the guard. r says what it waits for, and noted who asks and why. actor is who
// asks, for the event.
func (u *unit) askForReset(a *account, p *orgPolicy, r resetRequest, noted resetRecord, actor activity.Actor) error {
	if earlier := a.guard.Reset; earlier != nil {
		if err := u.noteEnd(earlier); err != nil {
			return err
		}
	}
	r.ID, r.Asked, r.DecidedBy = seal.ID("rs_", []byte(a.route)), u.now, u.version
	r.By, r.Client = noted.By.hash(), hashOfClient(noted.Client)
	a.guard.Reset = &r
	data := map[string]any{"request": r.ID, "reason": noted.Reason}
	if due := r.due(); !due.IsZero() {
		data["due"] = due
	}
	if r.needsApproval(&p.Policy) {
		data["approval"] = true
	}
	u.event(a.event(UserResetRequested, p, data).by(actor))
	u.putGuard(a, p)
	if !r.Due.IsZero() {
		u.put(resetEntry(a.route, &r, u.now))
	}
	noted.User, noted.Request = a.guard.User, r
	u.put(store.Item{Key: resetKey(r.ID)}, &noted, u.now.Add(resetKept))
	return nil
}

// noteEnd writes the state in which an earlier request has ended into its record.
func (u *unit) noteEnd(r *resetRequest) error {
	item, err := store.GetOne(u.ctx, u.s.Store, resetKey(r.ID))
	if err != nil || item.Absent() {
		return err
	}
	var noted resetRecord
	if err := record.Decode(item, &noted); err != nil {
		return err
	}
	noted.Request = *r
	noted.Request.State = r.state(u.now)
	u.put(item, &noted, item.Expires)
	return nil
}

// due returns when the request is due at the earliest. It is zero if it doesn't wait for a time.
func (r *resetRequest) due() time.Time {
	if r.HoldS > 0 && r.Due.IsZero() {
		return r.Asked.Add(time.Duration(r.HoldS) * time.Second)
	}
	return r.Due
}

// carryOut plans what a request for a reset asks for, and puts the guard.
func (u *unit) carryOut(a *account, p *orgPolicy, actor activity.Actor) {
	r := u.decideReset(a.guard, done)
	a.guard.ProveAddress = ""
	if r.SelfService {
		a.guard.ProveAddress = a.guard.Profile.Email // another address would have cancelled the request
	}
	u.reset(a, p, a.event(UserReset, p, map[string]any{"request": r.ID}).by(actor))
}

// resetIsDue reports whether the next step that can carries out a reset of the user.
func (a *account) resetIsDue(p *orgPolicy, now time.Time) bool {
	return a.guard != nil && a.guard.Reset != nil && a.guard.Reset.ready(&p.Policy, now)
}

// settleReset carries out the user's request for a reset if it is due. It reports whether it is. Then it has planned a commit of its
// own, after which the step reads anew.
func (u *unit) settleReset(a *account, p *orgPolicy) bool {
	if a == nil || p == nil || !a.resetIsDue(p, u.now) {
		return false
	}
	u.carryOut(a, p, serviceActor)
	return true
}

// settles plans a commit of its own if a request for a reset is due for a user whose account a step has read. A step that only looks
// sees the account as it will be, and commits nothing. A step on a challenge needn't be told: the challenge is dead.
func settles(u *unit, reads []read, n *named, looks bool) bool {
	if n != nil && n.challenge != "" {
		return false
	}
	var a *account
	var p *orgPolicy
	for _, r := range reads {
		if r.account != nil {
			a = *r.account
		}
		if r.policy != nil {
			p = *r.policy
		}
	}
	due := u.settleReset(a, p)
	if due && looks {
		u.writes, u.events, u.sums = nil, nil, nil
	}
	return due && !looks
}

// errSettled makes a step read again after a reset that was due.
var errSettled = fmt.Errorf("a reset was carried out first: %w", store.ErrConflict)

// resetDue carries out the request of a user that is due, for the sweep. It returns how many that was, 0 or 1.
func (s *Service) resetDue(ctx context.Context, r route) (n int, err error) {
	ring, err := s.Keys.Ring(ctx)
	if err != nil {
		return 0, err
	}
	err = (&unit{s: s, ctx: ctx, ring: ring}).repeat(func(u *unit) error {
		n = 0
		var a *account
		var p *orgPolicy
		if err := readAll(ctx, s.Store, s.readAccount(r, &a), readPolicy(r, "", &p)); err != nil {
			return err
		}
		if err := a.follow(ring.Epoch()); err != nil {
			return err
		}
		if u.settleReset(a, p) {
			n = 1
		}
		return nil
	})
	return n, err
}

// dropReset cancels the request that waits, if what ends everything else for that cause ends it too. A request outlives a new
// password and a sign-out. But it was made for the addresses that the user had then.
func (u *unit) dropReset(a *account, p *orgPolicy, cause string) {
	r := a.guard.resetInForce(u.now)
	switch cause {
	case PasswordChanged, SignedOut, causeRevoked:
		return
	}
	if r == nil {
		return
	}
	u.decideReset(a.guard, cancelled)
	u.event(a.event(UserResetCancelled, p, map[string]any{"request": r.ID, "cause": cause}))
}

// A resetRecord is the record of a request for a reset.
type resetRecord struct {
	record.Head
	User       string       `json:"user" record:"1"`
	By         person       `json:"by" record:"2"`     // who has asked for it
	Client     string       `json:"client" record:"3"` // the client whose call that was
	Reason     string       `json:"reason" record:"4"`
	ApprovedBy *person      `json:"approved_by" record:"5"` // nil if nobody has approved it
	Request    resetRequest `json:"request" record:"6"`     // as it was in the guard when this was written
}

// resetPartition is where the records of an org's requests are.
func resetPartition(r route) string { return "reset#" + b64(string(r.org())) }

// resetsOf begins the sort keys of the records of a user's requests.
func resetsOf(r route) string { return b64(string(r[seal.RouteLen:])) + "#" }

func resetKey(id string) store.Key {
	raw, _ := seal.ParseID("rs_", id, routeLen)
	return store.Key{Partition: resetPartition(route(raw)), Sort: resetsOf(route(raw)) + shortID(id)}
}

// resetEntry returns the expiry entry by which the sweep finds a request once it is due.
func resetEntry(r route, q *resetRequest, now time.Time) (store.Item, record.Record, time.Time) {
	at := later(q.Due, now.Add(noticeMargin)) // a sweep may be done with the hour of a time that is sooner
	key := store.Key{Partition: expiryPartition(at, int(r[16])%expiryShards), Sort: b64(string(r)) + "#rs_" + shortID(q.ID)}
	return store.Item{Key: key}, &expiryEntry{Route: []byte(r), Due: q.Due, Reset: true}, q.Due.Add(expiredFor)
}

// readResets reads the records of a user's requests, without decoding them.
func (s *Service) readResets(r route, into *[]store.Item) read {
	return read{fetch: func(ctx context.Context) error {
		*into = nil
		q := store.Query{Partition: resetPartition(r), After: resetsOf(r)}
		for more := true; more; {
			page, err := s.Store.Query(ctx, q)
			if err != nil {
				return err
			}
			for _, item := range page.Items {
				if !strings.HasPrefix(item.Key.Sort, resetsOf(r)) {
					return nil
				}
				*into = append(*into, item)
			}
			q.After, more = page.Last, page.More
		}
		return nil
	}}
}
