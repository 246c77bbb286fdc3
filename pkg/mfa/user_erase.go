package mfa

import (
	"context"
	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
	"time"
)

// erasedFor is how long the item stays that the event of an erasure rides on: less than a challenge does.
const erasedFor = 10 * time.Minute

// EraseUser removes everything about a user: challenges and trust are dead and the activity says nothing of them with the
// first commit, and what is left of facts is removed by the ones after it. What expires by itself is left to: challenges
// and the event of the erasure name the user until then. A user made again under the same id inherits nothing. Erasing
// nobody is done.
func (s *Service) EraseUser(ctx context.Context, call Call, org, user string) error {
	if err := checkUser(org, user); err != nil {
		return err
	}
	var a *account
	var p *orgPolicy
	r := routeOf(org, user)
	for more, gone := true, false; more; {
		last := false
		_, err := run(ctx, s, call, step[struct{}]{
			scope: apikey.Manage, org: org,
			reads: []read{s.readAccount(r, &a), readPolicy(r, org, &p)},
			decide: func(u *unit) (struct{}, error) {
				more, last = false, false
				if !a.exists() || !gone { // or made again since
					more, last = u.erase(a, p.Version)
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

// erase plans one commit's worth of an erasure, and reports whether to look for more, and whether it is the guard's last.
// The guard goes after the facts that were read beside it, so that an erasure that was cut short is taken up by the next;
// facts that were written between the two reads are found once it is gone, for nothing is added then.
func (u *unit) erase(a *account, policyVersion int) (more, last bool) {
	const batch = store.MaxWrites - 4
	var rest []store.Item
	for _, b := range a.browsers {
		rest = append(rest, b.Item)
	}
	for _, f := range a.factorRecords {
		rest = append(rest, f.Item)
	}
	if !a.enrolment.Item.Absent() {
		rest = append(rest, a.enrolment.Item)
	}
	for _, item := range rest[:min(len(rest), batch)] {
		u.delete(item)
	}
	switch {
	case !a.exists() && len(rest) == 0:
		return false, false
	case a.exists() && len(rest) > batch:
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
		u.event(a.guard.event(UserErased, policyVersion, nil))
	}
	u.put(store.Item{Key: store.Key{Partition: userPartition(a.route), Sort: "erased#" + string(u.version)}}, &erased{At: u.now}, u.now.Add(erasedFor))
	return true, last
}

// erased stands where a user was, for as long as the event of the erasure takes to be handed on.
type erased struct {
	record.Head
	At time.Time `json:"at"`
}
