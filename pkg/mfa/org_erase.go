package mfa

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// An orgErasure is an erasure of an org that was begun. When it is done, it stays for a while and says so.
type orgErasure struct {
	record.Head
	Org   string         `json:"org" record:"1"`
	Begun time.Time      `json:"begun" record:"2"`
	Actor activity.Actor `json:"actor" record:"3"` // who has begun it
	Done  bool           `json:"done" record:"4"`
}

// The partition of erasures of orgs that were begun and are not done.
const erasingPartition = "erasing"

func orgErasureKey(r route) store.Key {
	return store.Key{Partition: erasingPartition, Sort: b64(string(r.org()))}
}

// What one call, or one run of the sweep, does at most of an erasure.
const (
	erasedUsers   = 200 // users
	erasedCommits = 40  // commits that remove other items
	erasedAtOnce  = 8   // users whom it erases side by side
)

// EraseOrg erases an org with everything in it: first its users, one by one as EraseUser does, then its policy with its
// history, then its activity, and last the API keys that are limited to it. The first call only begins that. Each further call,
// and the sweep, carries it on, and the call reports done when nothing is left. It is not an error to erase an org that was
// never seen.
//
// The policy goes after the users, so that nobody gets in under a looser one meanwhile. Users who are seen before the
// end are erased too, so the client should stop signing in users of the org first. What expires by itself is not removed: see
// EraseUser. The API keys go last, so that a key which is limited to the org can carry the erasure on. Once they are gone, such
// a key is refused like one that was revoked, and the sweep does what may be left.
func (s *Service) EraseOrg(ctx context.Context, call Call, org string) (done bool, err error) {
	if err := checkID("org", org); err != nil {
		return false, err
	}
	r := routeOf(org, "")
	var seen, begun store.Item
	var p *orgPolicy
	var erasure *orgErasure
	_, err = run(ctx, s, call, step[struct{}]{
		scope: apikey.Admin, org: org,
		reads: []read{readItem(seenOrgKey(r), &seen), readItem(orgErasureKey(r), &begun), readPolicy(r, org, &p)},
		decide: func(u *unit) (none struct{}, err error) {
			done, erasure = false, &orgErasure{}
			if !begun.Absent() {
				if err := record.Decode(begun, erasure); err != nil {
					return none, err
				}
			}
			switch {
			case !begun.Absent() && !erasure.Done:
			case seen.Absent() && p.Item.Absent():
				done = true
			default:
				u.put(begun, &orgErasure{Org: org, Begun: u.now, Actor: u.caller.actor("")}, time.Time{})
				erasure = nil
			}
			return none, nil
		},
	})
	if err != nil || done || erasure == nil {
		return done, err
	}
	if done, err = s.carryOn(ctx, erasure); err != nil {
		return false, AsError(err)
	}
	return done, nil
}

// carryOn does a bounded part of what is left of an erasure, and reports whether nothing is left.
func (s *Service) carryOn(ctx context.Context, e *orgErasure) (done bool, err error) {
	r := routeOf(e.Org, "")
	for left := erasedUsers; ; {
		users, err := s.someUsers(ctx, r)
		if err != nil {
			return false, fmt.Errorf("erase an org: %w", err)
		}
		if len(users) == 0 {
			break
		}
		if left <= 0 {
			return false, nil
		}
		left -= len(users)
		if err := s.eraseUsers(ctx, e, users); err != nil {
			return false, fmt.Errorf("erase an org: %w", err)
		}
	}
	for range erasedCommits {
		last, err := s.eraseRest(ctx, r, e)
		if isConflict(err) {
			return false, nil // another call carries it on
		}
		if err != nil || last {
			return last, err
		}
	}
	return false, nil
}

// someUsers returns some of the users who are in the roster of an org, from each shard a few.
func (s *Service) someUsers(ctx context.Context, r route) (users []string, err error) {
	var pages [rosterShards]store.Page
	reads := make([]read, rosterShards)
	for i := range reads {
		reads[i].fetch = func(ctx context.Context) (err error) {
			for q := (store.Query{Partition: rosterPartition(r, i), Limit: 4}); ; q.After = pages[i].Last {
				if pages[i], err = s.Store.Query(ctx, q); err != nil || len(pages[i].Items) > 0 || !pages[i].More {
					return err
				}
			}
		}
	}
	if err := readAll(ctx, s.Store, reads...); err != nil {
		return nil, err
	}
	for i := range pages {
		for _, item := range pages[i].Items {
			var entry rosterEntry
			if err := record.Decode(item, &entry); err != nil {
				return nil, err
			}
			users = append(users, entry.User)
		}
	}
	return users, nil
}

// eraseUsers erases users of an org side by side.
func (s *Service) eraseUsers(ctx context.Context, e *orgErasure, users []string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(erasedAtOnce)
	for _, user := range users {
		g.Go(func() error { return s.eraseOf(ctx, e, user) })
	}
	return g.Wait()
}

// eraseOf erases one user of an org that is being erased.
func (s *Service) eraseOf(ctx context.Context, e *orgErasure, user string) error {
	r := routeOf(e.Org, user)
	for more, gone := true, false; more; {
		last := false
		err := (&unit{s: s, ctx: ctx, cause: e.Actor}).repeat(func(u *unit) error {
			var a *account
			var p *orgPolicy
			var resets []store.Item
			if err := readAll(ctx, s.Store, s.readAccount(r, &a), readPolicy(r, e.Org, &p), s.readResets(r, &resets)); err != nil {
				return err
			}
			more, last = false, false
			if !a.exists() || !gone {
				more, last = u.erase(a, resets, p.Version)
			}
			return nil
		})
		if err != nil {
			return err
		}
		gone = gone || last
	}
	return nil
}

// eraseRest removes some of what an org has besides users, in one commit. It reports whether that was the last.
func (s *Service) eraseRest(ctx context.Context, r route, e *orgErasure) (last bool, err error) {
	items, err := s.restOf(ctx, r, e.Org)
	if err != nil {
		return false, err
	}
	u := &unit{s: s, ctx: ctx}
	u.begin(nil)
	for _, item := range items {
		if item.Key == policyKey(r) {
			u.writes = append(u.writes, store.CopyWrites(store.Write{Key: item.Key, Expect: item.Version, Delete: true})...)
			continue
		}
		u.delete(item)
	}
	if len(items) > 0 {
		u.put(e.Item, e, time.Time{})
		if err := u.commit(ctx); err != nil {
			return false, err
		}
		e.Item.Version = u.version
		return false, nil
	}
	users, err := s.someUsers(ctx, r)
	if err != nil || len(users) > 0 {
		return false, err
	}
	seen, err := store.GetOne(ctx, s.Store, seenOrgKey(r))
	if err != nil {
		return false, err
	}
	if !seen.Absent() {
		u.delete(seen)
	}
	e.Done = true
	u.put(e.Item, e, u.now.Add(erasedFor))
	return true, u.commit(ctx)
}

// restOf returns some of the items that an org has besides users, as many as one commit removes. The history of
// the policy goes before the policy, because a first policy that is put anew needs the place of the first one before. For the
// same reason the fences go: they name the version of a cut-off.
func (s *Service) restOf(ctx context.Context, r route, org string) ([]store.Item, error) {
	const most = store.MaxWrites - store.Copies - 1
	for _, partition := range []string{adoptionPartition(r), orgPartition(r)} {
		q := store.Query{Partition: partition, Limit: most, Reverse: true}
		for more := true; more; {
			page, err := s.Store.Query(ctx, q)
			if err != nil || len(page.Items) > 0 {
				return page.Items, err
			}
			q.After, more = page.Last, page.More
		}
	}
	if items, err := s.fencesOf(ctx, r); err != nil || len(items) > 0 {
		return items, err
	}
	var passing [fences]fence
	if err := readAll(ctx, s.Store, readFences(r, &passing)...); err != nil {
		return nil, err
	}
	var left []store.Item
	for _, f := range passing[:] {
		if !f.Item.Absent() && len(left) < most {
			left = append(left, f.Item)
		}
	}
	if len(left) > 0 {
		return left, nil
	}
	if items, err := s.activity().Some(ctx, activity.Route(r.org()), most); err != nil || len(items) > 0 {
		return items, err
	}
	return (&apikey.Registry{Store: s.Store, Now: s.Now}).OfOrg(ctx, org)
}

// eraseOrgs carries on all erasures of orgs that were begun. It reports whether there is more to do.
func (s *Service) eraseOrgs(ctx context.Context) (more bool, err error) {
	for q := (store.Query{Partition: erasingPartition}); ; {
		page, err := s.Store.Query(ctx, q)
		if err != nil {
			return false, err
		}
		for _, item := range page.Items {
			e := &orgErasure{}
			if err := record.Decode(item, e); err != nil {
				return false, err
			}
			if e.Done {
				continue
			}
			done, err := s.carryOn(ctx, e)
			if err != nil {
				return false, err
			}
			more = more || !done
		}
		if q.After = page.Last; !page.More {
			return more, nil
		}
	}
}
