package mfa

import (
	"context"
	"fmt"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/store"
)

// What came of an event that was to be repeated.
const (
	Repeated    = "repeated"     // what the event tells of was done again
	NotRepeated = "not_repeated" // there is nothing to do, or the event is of a type that isn't repeated
	UsedSince   = "used_since"   // the user was seen in this epoch of the deployment, so the event may be about an earlier account
)

// Repeat does again what an event tells of, on data that was restored from a backup of the time before the event. It repeats the
// erasure of a user, the removal of a factor, and the word of a client that a user was deprovisioned. It repeats nothing else: what
// was pending or trusted is dead in the new epoch, and so are recovery codes, and an event doesn't say enough of a new factor, a
// new address or a new policy. To repeat an event a second time changes nothing. Nobody is told, because the user was told the
// first time.
//
// deployment is the deployment's epoch since that restore. An account that has been written in this epoch is not erased, and not
// deprovisioned: the client may have made it, or put it, after the event. Repeat doesn't use the key ring.
func (s *Service) Repeat(ctx context.Context, e activity.Event, deployment int64) (came string, err error) {
	if e.User == "" || checkUser(e.Org, e.User) != nil {
		return NotRepeated, nil
	}
	again := repetition(&e)
	if again == nil {
		return NotRepeated, nil
	}
	r := routeOf(e.Org, e.User)
	for more := true; more; {
		did := NotRepeated
		err := s.alone(ctx, func(u *unit) error {
			var a *account
			var p *orgPolicy
			var resets []store.Item
			if err := readAll(ctx, s.Store, s.readAccount(r, &a), readPolicy(r, e.Org, &p), s.readResets(r, &resets)); err != nil {
				return err
			}
			did, more = again(u, a, p, resets, deployment)
			for i := range u.events {
				u.events[i].Actor = serviceActor
			}
			return nil
		})
		if err != nil {
			return came, fmt.Errorf("repeat %s: %w", e.Type, err)
		}
		if came == "" || did == Repeated {
			came = did
		}
	}
	return came, nil
}

// repetition returns what plans one commit of what an event tells of, and reports whether to look for more. It returns nil if the
// event is not repeated.
func repetition(e *activity.Event) func(u *unit, a *account, p *orgPolicy, resets []store.Item, deployment int64) (came string, more bool) {
	switch e.Type {
	case UserErased:
		return func(u *unit, a *account, p *orgPolicy, resets []store.Item, deployment int64) (string, bool) {
			if a.exists() && a.guard.DeploymentEpoch >= deployment {
				return UsedSince, false
			}
			more, _ := u.erase(a, resets, p.Version)
			if !more {
				return NotRepeated, false
			}
			return Repeated, true
		}
	case FactorRemoved:
		id, _ := e.Data["factor"].(string)
		return func(u *unit, a *account, p *orgPolicy, _ []store.Item, deployment int64) (string, bool) {
			if !a.exists() || a.guard.enrolled(id) == nil {
				return NotRepeated, false
			}
			f := a.factor(id)
			if f == nil {
				return NotRepeated, false
			}
			u.remove(a, f, p, causeRestored)
			if a.guard.DeploymentEpoch >= deployment {
				u.endTrust(a, p, "factor_removed")
			}
			u.turnOffWithoutFactors(a, p)
			u.putRosterEntry(a)
			u.putGuard(a, p)
			return Repeated, false
		}
	case UserReported:
		if e.Data["kind"] != Deprovisioned {
			return nil
		}
		return func(u *unit, a *account, p *orgPolicy, _ []store.Item, deployment int64) (string, bool) {
			switch {
			case !a.exists() || a.guard.Deprovisioned:
				return NotRepeated, false
			case a.guard.DeploymentEpoch >= deployment:
				return UsedSince, false
			}
			a.guard.Deprovisioned = true
			u.event(a.event(UserReported, p, map[string]any{"kind": Deprovisioned, "cause": causeRestored}))
			u.put(a.item, a.guard, time.Time{})
			return Repeated, false
		}
	}
	return nil
}

// causeRestored is the cause of an event that repeats another one.
const causeRestored = "restored"
