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

// An account is all that the store holds about one user, as one Query reads it.
type account struct {
	route         route
	item          store.Item // the guard's
	guard         *guard     // nil if the user was never seen, or was erased
	browsers      []*browser
	browserEpoch  string          // the guard's, as it was read
	asRead        facts           // the guard's, as it was read; those of a user who has nothing if there is no guard
	factorRecords []*factorRecord // those that the guard doesn't list don't count
	relyingParty  string          // the deployment's RP ID; empty if it has none
	deployment    int64           // the deployment's epoch, once the account follows it
	metUnder      *orgPolicy      // the org's policy, if this call sees the user for the first time
	imports       importMarks     // marks of what was imported; if there are none, only the key of its item is set
	enrolment     enrolment       // the enrolment that is under way; if there is none, only the key of its item is set
}

// readAccount reads all that the store holds about the user of a route.
func (s *Service) readAccount(r route, into **account) read {
	follow := func(deployment int64) error { return (*into).follow(deployment) }
	return read{follow: follow, account: into, fetch: func(ctx context.Context) error {
		a := &account{route: r, item: store.Item{Key: guardKey(r)}, relyingParty: s.RelyingParty.ID}
		a.enrolment.Item.Key, a.imports.Item.Key = enrolmentKey(r), importsKey(r)
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

// follow brings the account to the epoch of the deployment. A step does that with every account that it reads, before it
// decides. What is not followed decides nothing that depends on the guard's epoch; it can be written all the same, because it
// is still of the epoch that it was read with.
func (a *account) follow(deployment int64) error {
	a.deployment = deployment
	if a.guard == nil {
		return nil
	}
	if err := a.guard.follow(deployment); err != nil {
		return err
	}
	a.browserEpoch = a.guard.browserEpoch()
	return nil
}

// readGuard reads only the guard of a's user, and doesn't follow the deployment's epoch.
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
		a.browserEpoch, a.asRead = a.guard.browserEpoch(), a.guard.facts()
	case strings.HasPrefix(item.Key.Sort, "browser#"):
		b := &browser{}
		if err := record.Decode(item, b); err != nil {
			return err
		}
		a.browsers = append(a.browsers, b)
	case strings.HasPrefix(item.Key.Sort, "factor#"):
		f := &factorRecord{}
		if err := record.Decode(item, f); err != nil {
			return err
		}
		a.factorRecords = append(a.factorRecords, f)
	case item.Key == a.imports.Item.Key:
		return record.Decode(item, &a.imports)
	case item.Key == a.enrolment.Item.Key:
		return record.Decode(item, &a.enrolment)
	}
	return nil
}

// exists reports whether the user exists.
func (a *account) exists() bool { return a.guard != nil }

// meet makes the guard of a user who is seen for the first time.
func (a *account) meet(org, user string, p *orgPolicy) {
	a.metUnder = p
	a.guard = &guard{Org: org, User: user, Epoch: newEpoch(), ActivityKey: activity.NewKey(), DeploymentEpoch: a.deployment}
}

// event makes an event about the user that belongs to no challenge.
func (a *account) event(kind string, p *orgPolicy, data map[string]any) pendingEvent {
	return a.guard.event(kind, p.Version, data)
}

// readGuards reads the guards of several users together. A user who doesn't exist has none.
func readGuards(ctx context.Context, from store.Store, routes map[route]bool) (map[route]*guard, error) {
	var reads []read
	found := map[route]*guard{}
	accounts := make([]account, 0, len(routes))
	for r := range routes {
		accounts = append(accounts, account{route: r})
		a := &accounts[len(accounts)-1]
		reads = append(reads, readItem(guardKey(r), &a.item))
	}
	if err := readAll(ctx, from, reads...); err != nil {
		return nil, fmt.Errorf("read the guards of %d users: %w", len(routes), err)
	}
	for i := range accounts {
		if accounts[i].item.Absent() {
			continue
		}
		if err := accounts[i].take(accounts[i].item); err != nil {
			return nil, err
		}
		found[accounts[i].route] = accounts[i].guard
	}
	return found, nil
}

// putGuard puts the guard of a. With it go the notices about the events that are planned so far, and those that have waited
// for room. Every commit with an event that the user is told about ends with putGuard. It also settles the org's cut-offs, and
// removes trusted browsers that don't count any more.
func (u *unit) putGuard(a *account, p *orgPolicy) {
	u.settle(a, p)
	u.tell(a, p)
	u.put(a.item, a.guard, time.Time{})
	u.forget(a, p)
}
