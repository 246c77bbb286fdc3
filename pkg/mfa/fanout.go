package mfa

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"countersign/pkg/activity"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A fanOut is the work that a cut-off leaves: to tell the bus of each user whom it has hit. Nothing else waits for it, because
// whoever looks at a user settles the cut-off. It settles it too, user by user, so that each of them is told of once. A run that
// was cut off is carried on by the next one, from where the record says.
type fanOut struct {
	record.Head
	Org     string    `json:"org" record:"1"`
	Version int       `json:"version" record:"2"` // of the policy that brought the cut-off
	At      time.Time `json:"at" record:"3"`      // of the cut-off
	Shard   int       `json:"shard" record:"4"`   // of the roster, at which the next run goes on
	After   string    `json:"after" record:"5"`   // the last entry of the shard that was looked at; empty if none was
	Done    bool      `json:"done" record:"6"`
}

const (
	fanOutPartition = "fanout"
	fanOutDone      = 10 * time.Minute // how long the record of a fan-out stays that has been carried out
	mostFanOuts     = 50               // fan-outs that one run looks at
	mostTold        = 2000             // entries of the roster that one run of a fan-out looks at
	toldAtOnce      = 16               // users whom it settles side by side
)

// fanOutKey is where the record of a fan-out is that a commit brings. A version of a policy may come again, in an org that was
// erased, and a commit's token doesn't.
func fanOutKey(r route, commit store.Version) store.Key {
	return store.Key{Partition: fanOutPartition, Sort: b64(string(r.org())) + "#" + string(commit)}
}

// FanOut tells the bus of users whom policies have signed out, as far as that was not done yet. It does what one run may do at
// most, and reports whether there is more to do. It may run beside others, and be cut off.
func (s *Service) FanOut(ctx context.Context) (more bool, err error) {
	page, err := s.Store.Query(ctx, store.Query{Partition: fanOutPartition, Limit: mostFanOuts})
	if err != nil {
		return false, fmt.Errorf("fan out: %w", err)
	}
	left := mostTold
	for _, item := range page.Items {
		f := &fanOut{}
		if err := record.Decode(item, f); err != nil {
			return false, fmt.Errorf("fan out: %w", err)
		}
		if f.Done {
			continue
		}
		if left <= 0 {
			return true, nil
		}
		if err := s.fanOut(ctx, f, &left); err != nil {
			return true, fmt.Errorf("fan out of version %d: %w", f.Version, err)
		}
		more = more || !f.Done
	}
	return more || page.More, nil
}

// fanOut carries one fan-out on, and notes how far it has come.
func (s *Service) fanOut(ctx context.Context, f *fanOut, left *int) error {
	r := routeOf(f.Org, "")
	var p *orgPolicy
	if err := readAll(ctx, s.Store, readPolicy(r, f.Org, &p)); err != nil {
		return err
	}
	for f.Shard < rosterShards && *left > 0 {
		page, err := s.Store.Query(ctx, store.Query{Partition: rosterPartition(r, f.Shard), After: f.After, Limit: min(*left, store.MaxLimit)})
		if err != nil {
			return err
		}
		if err := s.settleAll(ctx, f, p, page.Items); err != nil {
			return err
		}
		*left -= max(1, len(page.Items))
		if f.After = page.Last; !page.More {
			f.Shard, f.After = f.Shard+1, ""
		}
	}
	u := &unit{s: s}
	u.begin(nil)
	f.Done = f.Shard == rosterShards
	if f.Done {
		u.put(f.Item, f, u.now.Add(fanOutDone))
	} else {
		u.put(f.Item, f, time.Time{})
	}
	if err := u.commit(ctx); err != nil && !isConflict(err) { // a run beside this one has been as far as it says
		return err
	}
	return nil
}

// settleAll settles the cut-offs of the users of some entries of the roster, if one of them may have hit the user.
func (s *Service) settleAll(ctx context.Context, f *fanOut, p *orgPolicy, items []store.Item) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(toldAtOnce)
	for _, item := range items {
		var entry rosterEntry
		if err := record.Decode(item, &entry); err != nil {
			return err
		}
		if !p.mayHaveHit(&entry) {
			continue
		}
		g.Go(func() error { return s.settleOne(ctx, f.Org, entry.User) })
	}
	return g.Wait()
}

// mayHaveHit reports whether a cut-off may have hit the user of an entry. The roster doesn't say how many skips the user has
// spent.
func (p *orgPolicy) mayHaveHit(entry *rosterEntry) bool {
	f := entry.facts()
	for i := range p.CutOffs {
		if c := &p.CutOffs[i]; c.hits(&f) || c.Demand.countsSkips(&f, c.Saved) {
			return true
		}
	}
	return false
}

// settleOne settles the cut-offs of one user, unless that was done already.
func (s *Service) settleOne(ctx context.Context, org, user string) error {
	r := routeOf(org, user)
	return s.alone(ctx, func(u *unit) error {
		var a *account
		var p *orgPolicy
		if err := readAll(ctx, s.Store, readGuardOf(r, &a), readPolicy(r, org, &p)); err != nil {
			return err
		}
		if a.exists() && a.unsettled(p) != nil {
			u.settle(a, p)
			u.put(a.item, a.guard, time.Time{})
		}
		return nil
	})
}

// pendingFanOut reports whether an event says that a fan-out is to be carried out.
func pendingFanOut(e *activity.Event) bool {
	return e.Type == PolicyChanged && e.Data[signedOutBefore] != nil
}

// signedOutBefore is the name under which the event about a policy says when the sessions that it has ended began at the latest.
const signedOutBefore = "signed_out_before"
