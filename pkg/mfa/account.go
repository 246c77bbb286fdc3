package mfa

import (
	"context"
	"slices"
	"strings"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// An account is all the store holds of one user, as one Query reads it.
type account struct {
	route    route
	item     store.Item // the guard's
	guard    *guard     // nil: the user was never seen, or was erased
	browsers []held
	trusted  string       // the guard's trust epoch as it was read
	enrolled []heldFactor // those that the guard doesn't list are none
	pending  heldEnrolment
}

// held is a browser with the item it is in.
type held struct {
	item store.Item
	browser
}

// heldFactor is an enrolled factor with the item it is in.
type heldFactor struct {
	item store.Item
	factorRecord
}

// heldEnrolment is the enrolment that is under way, if one is, with the item it is in.
type heldEnrolment struct {
	item store.Item
	enrolment
}

func (s *Service) readAccount(r route, into **account) read {
	return read{ask: func(ctx context.Context) error {
		a := &account{route: r, item: store.Item{Key: guardKey(r)}}
		a.pending.item.Key = enrolmentKey(r)
		q := store.Query{Partition: userPartition(r)}
		for more := true; more; {
			page, err := s.Store.Query(ctx, q)
			if err != nil {
				return err
			}
			for _, item := range page.Items {
				if err := a.take(item); err != nil {
					return err
				}
			}
			q.After, more = page.Last, page.More
		}
		*into = a
		return nil
	}}
}

// readGuard reads no more of a's user than the guard.
func (a *account) readGuard() read {
	return read{key: guardKey(a.route), take: func(item store.Item) error {
		if item.Absent() {
			return nil
		}
		return a.take(item)
	}}
}

func (a *account) take(item store.Item) error {
	switch {
	case item.Key.Sort == "guard":
		a.item, a.guard = item, &guard{}
		if err := record.Decode(item, a.guard); err != nil {
			return err
		}
		a.trusted = a.guard.trustEpoch()
		if len(a.guard.Activity) == 0 { // made before there were such keys: its next write keeps this one
			a.guard.Activity = activity.NewKey()
		}
	case strings.HasPrefix(item.Key.Sort, "browser#"):
		h := held{item: item}
		if err := record.Decode(item, &h.browser); err != nil {
			return err
		}
		a.browsers = append(a.browsers, h)
	case strings.HasPrefix(item.Key.Sort, "factor#"):
		h := heldFactor{item: item}
		if err := record.Decode(item, &h.factorRecord); err != nil {
			return err
		}
		a.enrolled = append(a.enrolled, h)
	case item.Key == a.pending.item.Key:
		a.pending.item = item
		return record.Decode(item, &a.pending.enrolment)
	}
	return nil
}

// known reports whether the user exists.
func (a *account) known() bool { return a.guard != nil }

func newEpoch() string { return string(store.NewVersion()) }

// meet makes the guard of a user who is seen for the first time.
func (a *account) meet(org, user string) {
	a.guard = &guard{Org: org, User: user, Epoch: newEpoch(), Activity: activity.NewKey()}
}

// slot finds what the guard knows of a challenge; nil: nothing yet.
func (g *guard) slot(id string) *slot {
	for i := range g.Slots {
		if g.Slots[i].ID == shortID(id) {
			return &g.Slots[i]
		}
	}
	return nil
}

// mostSlots bounds the guard. Challenges come to it with their first send or answer, and both are limited per user, so
// only a user who signs in more than twice a minute ever gets there.
const mostSlots = 32

// open finds or makes the slot of a challenge. Making one forgets those whose time is over and, when there are too
// many, the one begun first; what was begun no later and has no slot is dead from then on.
func (g *guard) open(ch *challenge, now time.Time) *slot {
	if s := g.slot(ch.ID); s != nil {
		return s
	}
	g.Slots = slices.DeleteFunc(g.Slots, func(s slot) bool { return !now.Before(s.Until) })
	if g.Pending != nil && !now.Before(g.Pending.Until) {
		g.Pending = nil
	}
	for len(g.Slots) >= mostSlots {
		first := 0
		for i, s := range g.Slots {
			if s.Begun.Before(g.Slots[first].Begun) {
				first = i
			}
		}
		if g.Slots[first].Begun.After(g.Floor) {
			g.Floor = g.Slots[first].Begun
		}
		g.Slots = slices.Delete(g.Slots, first, first+1)
	}
	g.Slots = append(g.Slots, slot{ID: shortID(ch.ID), Begun: ch.Begun, Until: ch.Expires})
	return &g.Slots[len(g.Slots)-1]
}

// renew kills everything the user has open or has earned, in one write: challenges, enrolments, trust and proofs carry
// the epoch, and known tokens too. Limits, locks and factors stay.
func (g *guard) renew() {
	g.Epoch, g.Trust, g.KnownWord = newEpoch(), "", ""
	g.Slots, g.Floor, g.Pending = nil, time.Time{}, nil
}

// trustEpoch is what a trusted browser must carry to be believed.
func (g *guard) trustEpoch() string {
	if g.Trust != "" {
		return g.Trust
	}
	return g.Epoch
}

// required reports whether the user has to give a second factor, whether or not it was turned on.
func (g *guard) required(p *Policy) bool { return p.Require == Everyone || g.Enforced }

// list writes the user's line in the org's roster. It comes before the guard is put, which notes the line's version.
func (u *unit) list(a *account) {
	line := store.Item{Key: rosterKey(a.route), Version: a.guard.Listed}
	a.guard.Listed = u.token
	u.put(line, &listed{
		User: a.guard.User, Email: a.guard.Profile.Email != "", Kinds: a.guard.kinds(),
		Enabled: a.guard.Enabled, Enforced: a.guard.Enforced,
	}, time.Time{})
}

// event is one about the user that is no part of a challenge.
func (a *account) event(kind string, p *orgPolicy, data map[string]any) carried {
	return a.guard.event(kind, p.Version, data)
}

func (g *guard) event(kind string, policyVersion int, data map[string]any) carried {
	return carried{
		Event: activity.Event{Type: kind, Org: g.Org, User: g.User, PolicyVersion: policyVersion, Data: data},
		Life:  g.life(),
	}
}
