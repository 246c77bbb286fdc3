package mfa

import (
	"context"
	"fmt"
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

// exists reports whether the user exists.
func (a *account) exists() bool { return a.guard != nil }

// meet makes the guard of a user who is seen for the first time.
func (a *account) meet(org, user string) {
	a.guard = &guard{Org: org, User: user, Epoch: newEpoch(), Activity: activity.NewKey()}
}

// event is one about the user that is no part of a challenge.
func (a *account) event(kind string, p *orgPolicy, data map[string]any) pendingEvent {
	return a.guard.event(kind, p.Version, data)
}

// readGuards reads the guards of routes together. A user who doesn't exist has none.
func readGuards(ctx context.Context, from store.Store, routes map[route]bool) (map[route]*guard, error) {
	var reads []read
	found := map[route]*guard{}
	held := make([]account, 0, len(routes))
	for r := range routes {
		held = append(held, account{route: r})
		a := &held[len(held)-1]
		reads = append(reads, readItem(guardKey(r), &a.item))
	}
	if err := readAll(ctx, from, reads...); err != nil {
		return nil, fmt.Errorf("read the guards of %d users: %w", len(routes), err)
	}
	for i := range held {
		if held[i].item.Absent() {
			continue
		}
		if err := held[i].take(held[i].item); err != nil {
			return nil, err
		}
		found[held[i].route] = held[i].guard
	}
	return found, nil
}

// putGuard writes the guard of a, with what each of its writes brings: the notices of the events that are planned so far,
// and what has waited for room. Every commit with an event that the user is told of ends with it.
func (u *unit) putGuard(a *account, p *orgPolicy) {
	u.tell(a.guard, p)
	u.put(a.item, a.guard, time.Time{})
	u.forget(a, p)
}
