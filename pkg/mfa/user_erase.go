package mfa

import (
	"context"
	"slices"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// erasedFor is how long the item stays that the event of an erasure is stored with. That is less than a challenge stays.
const erasedFor = 10 * time.Minute

// EraseUser removes everything about a user. After its first commit, challenges and trust are dead, and nobody can read what
// the activity says of the user. The commits after it remove the facts that are left. What expires by itself is not removed:
// until then, challenges and the event of the erasure name the user. A user who is made again under the same id inherits
// nothing. It is not an error to erase a user who doesn't exist.
func (s *Service) EraseUser(ctx context.Context, call Call, org, user string) error {
	if err := checkUser(org, user); err != nil {
		return err
	}
	var a *account
	var p *orgPolicy
	var resets []store.Item
	r := routeOf(org, user)
	for more, gone := true, false; more; {
		last := false
		_, err := run(ctx, s, call, step[struct{}]{
			scope: apikey.Manage, org: org,
			reads: []read{s.readAccount(r, &a), readPolicy(r, org, &p), s.readResets(r, &resets)},
			decide: func(u *unit) (struct{}, error) {
				more, last = false, false
				if !a.exists() || !gone { // otherwise the user was made again since
					more, last = u.erase(a, resets, p.Version)
				}
				return struct{}{}, nil
			},
		})
		if err != nil {
			return err
		}
		gone = gone || last
	}
	return nil
}

// erase plans one commit of an erasure. It reports whether to look for more, and whether this commit removes the guard. The
// guard goes after the facts that were read beside it, so that the next erasure goes on where this one was cut off. Facts
// that are written between two reads are found once the guard is gone, because nothing is added then.
func (u *unit) erase(a *account, resets []store.Item, policyVersion int) (more, last bool) {
	const most = store.MaxWrites - 4 // facts that one commit removes
	rest := slices.Clone(resets)
	for _, b := range a.browsers {
		rest = append(rest, b.Item)
	}
	for _, f := range a.factorRecords {
		rest = append(rest, f.Item)
		if f.Passkey != nil && a.exists() && a.guard.enrolled(f.ID) != nil {
			rest = append(rest, f.claimed())
		}
	}
	if !a.enrolment.Item.Absent() {
		rest = append(rest, a.enrolment.Item)
	}
	if !a.imports.Item.Absent() {
		rest = append(rest, a.imports.Item)
	}
	for _, item := range rest[:min(len(rest), most)] {
		u.delete(item)
	}
	switch {
	case !a.exists() && len(rest) == 0:
		return false, false
	case a.exists() && len(rest) > most:
		a.guard.renew()
		a.guard.ActivityKey, a.guard.NoticesWaiting = activity.NewKey(), nil
		u.put(a.item, a.guard, time.Time{})
		return true, false
	case a.exists():
		last = true
		u.delete(a.item)
		if a.guard.RosterVersion != "" {
			u.delete(store.Item{Key: rosterKey(a.route), Version: a.guard.RosterVersion})
		}
		u.event(a.guard.event(UserErased, policyVersion, nil)).key = nil // nothing that outlives the user has a key of the activity
	}
	u.put(store.Item{Key: store.Key{Partition: userPartition(a.route), Sort: "erased#" + string(u.version)}}, &erased{At: u.now}, u.now.Add(erasedFor))
	return true, last
}

// An erased is put when a user is erased, so that the event of the erasure is stored with it until it is handed on.
type erased struct {
	record.Head
	At time.Time `json:"at" record:"1"`
}
