package mfa

import (
	"context"
	"slices"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A Preview says what a change of policy does to an org's users.
type Preview struct {
	Users          int      `json:"users"`            // of the org
	WithoutFactor  int      `json:"without_factor"`   // of them, how many would have no kind of factor that is allowed
	SignedOut      int      `json:"signed_out"`       // how many would be signed out at once
	MustEnrol      int      `json:"must_enrol"`       // how many would have to enrol a factor before they can sign in
	LosingOnlyKind int      `json:"losing_only_kind"` // how many would lose the only kind that they have
	Sample         []string `json:"sample"`           // ids of some users who would be signed out, or asked, or have to enrol, and don't have to now

	forced int // how many such users there are
}

// PreviewPolicy returns what PutPolicy would do to an org's users with the same policy. It changes nothing.
func (s *Service) PreviewPolicy(ctx context.Context, call Call, org string, to Policy) (Preview, error) {
	if err := checkID("org", org); err != nil {
		return Preview{}, err
	}
	if err := to.check(); err != nil {
		return Preview{}, err
	}
	call.Replay = nil // a call that changes nothing can be repeated
	var p *orgPolicy
	r := routeOf(org, "")
	return run(ctx, s, call, step[Preview]{
		scope: apikey.Admin, portal: byAdministrator | reading, org: org,
		reads: []read{readPolicy(r, org, &p)},
		decide: func(u *unit) (Preview, error) {
			preview, err := s.preview(u, r, p, &to)
			if err != nil {
				return Preview{}, err
			}
			return *preview, nil
		},
	})
}

// mostSampled is how many user ids a preview names.
const mostSampled = 20

// A previewing is what a preview compares.
type previewing struct {
	s        *Service
	org      string
	now      time.Time
	from, to *demand
	cut      *cutoff // what a save would bring; nil if it signs nobody out
}

// preview goes through the org's roster, all shards side by side.
func (s *Service) preview(u *unit, r route, from *orgPolicy, to *Policy) (*Preview, error) {
	look := &previewing{s: s, org: from.Org, now: u.now, from: from.demand(), to: to.demand(), cut: to.cutoffFor(&from.Policy, u.now)}
	var shards [rosterShards]Preview
	reads := make([]read, rosterShards)
	for i := range reads {
		reads[i].fetch = func(ctx context.Context) error {
			return look.shard(ctx, rosterPartition(r, i), &shards[i])
		}
	}
	if err := readAll(u.ctx, s.Store, reads...); err != nil {
		return nil, err
	}
	total := &Preview{Sample: []string{}}
	for _, shard := range shards {
		total.Users += shard.Users
		total.WithoutFactor += shard.WithoutFactor
		total.forced += shard.forced
		total.SignedOut += shard.SignedOut
		total.MustEnrol += shard.MustEnrol
		total.LosingOnlyKind += shard.LosingOnlyKind
		total.Sample = append(total.Sample, shard.Sample...)
	}
	slices.Sort(total.Sample)
	total.Sample = total.Sample[:min(len(total.Sample), mostSampled)]
	return total, nil
}

func (look *previewing) shard(ctx context.Context, partition string, into *Preview) error {
	return look.each(ctx, partition, func(e *rosterEntry, f *facts) { into.add(e.User, f, look) })
}

// each goes through the users of a shard of the roster.
func (look *previewing) each(ctx context.Context, partition string, visit func(*rosterEntry, *facts)) error {
	q := store.Query{Partition: partition, Limit: rosterPage}
	for more := true; more; {
		page, err := look.s.Store.Query(ctx, q)
		if err != nil {
			return err
		}
		entries := make([]rosterEntry, len(page.Items))
		for i, item := range page.Items {
			if err := record.Decode(item, &entries[i]); err != nil {
				return err
			}
		}
		users, err := look.facts(ctx, entries)
		if err != nil {
			return err
		}
		for i := range users {
			visit(&entries[i], &users[i])
		}
		q.After, more = page.Last, page.More
	}
	return nil
}

// facts returns what a demand asks about the users of some entries. Where it matters how many skips a user has spent, it reads
// the guard, because the roster doesn't have that.
func (look *previewing) facts(ctx context.Context, entries []rosterEntry) ([]facts, error) {
	users := make([]facts, len(entries))
	counted := map[route]bool{}
	for i := range entries {
		users[i] = entries[i].facts()
		if look.from.countsSkips(&users[i], look.now) || look.to.countsSkips(&users[i], look.now) {
			counted[routeOf(look.org, entries[i].User)] = true
		}
	}
	if len(counted) == 0 {
		return users, nil
	}
	guards, err := readGuards(ctx, look.s.Store, counted)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		if g := guards[routeOf(look.org, entries[i].User)]; g != nil {
			users[i].Skips = g.Skips
		}
	}
	return users, nil
}

// add counts a user of whom the facts are f.
func (v *Preview) add(user string, f *facts, look *previewing) {
	v.Users++
	before, after := look.from.usable(f), look.to.usable(f)
	if len(after) == 0 {
		v.WithoutFactor++
		if len(before) == 1 {
			v.LosingOnlyKind++
		}
	}
	mustEnrol, signedOut := look.to.mustEnrol(f, look.now), look.cut != nil && look.cut.hits(f)
	if mustEnrol {
		v.MustEnrol++
	}
	if signedOut {
		v.SignedOut++
	}
	forced := look.to.requires(f) && !look.from.requires(f) || mustEnrol && !look.from.mustEnrol(f, look.now)
	if forced {
		v.forced++
	}
	if (forced || signedOut) && len(v.Sample) < mostSampled {
		v.Sample = append(v.Sample, user)
	}
}
