package mfa

import (
	"context"
	"slices"

	"countersign/pkg/apikey"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A Preview says what a change of policy does to an org's users.
type Preview struct {
	Users          int      `json:"users"`            // of the org
	WithoutFactor  int      `json:"without_factor"`   // of them, how many would have no kind of factor that is allowed
	SignedOut      int      `json:"signed_out"`       // 0: this version signs nobody out
	MustEnrol      int      `json:"must_enrol"`       // how many would have to enrol a factor
	LosingOnlyKind int      `json:"losing_only_kind"` // how many would lose the only kind that they have
	Sample         []string `json:"sample"`           // ids of some users who would be asked, or have to enrol, and don't have to now

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
		scope: apikey.Admin, org: org,
		reads: []read{readPolicy(r, org, &p)},
		decide: func(u *unit) (Preview, error) {
			preview, err := s.preview(u.ctx, r, &p.Policy, &to)
			if err != nil {
				return Preview{}, err
			}
			return *preview, nil
		},
	})
}

// mostSampled is how many user ids a preview names.
const mostSampled = 20

// preview goes through the org's roster, all shards side by side.
func (s *Service) preview(ctx context.Context, r route, from, to *Policy) (*Preview, error) {
	var shards [rosterShards]Preview
	reads := make([]read, rosterShards)
	for i := range reads {
		reads[i].fetch = func(ctx context.Context) error {
			return s.previewShard(ctx, rosterPartition(r, i), from, to, &shards[i])
		}
	}
	if err := readAll(ctx, s.Store, reads...); err != nil {
		return nil, err
	}
	total := &Preview{Sample: []string{}}
	for _, shard := range shards {
		total.Users += shard.Users
		total.WithoutFactor += shard.WithoutFactor
		total.forced += shard.forced
		total.MustEnrol += shard.MustEnrol
		total.LosingOnlyKind += shard.LosingOnlyKind
		total.Sample = append(total.Sample, shard.Sample...)
	}
	slices.Sort(total.Sample)
	total.Sample = total.Sample[:min(len(total.Sample), mostSampled)]
	return total, nil
}

func (s *Service) previewShard(ctx context.Context, partition string, from, to *Policy, into *Preview) error {
	q := store.Query{Partition: partition}
	for more := true; more; {
		page, err := s.Store.Query(ctx, q)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			var entry rosterEntry
			if err := record.Decode(item, &entry); err != nil {
				return err
			}
			into.add(&entry, from, to)
		}
		q.After, more = page.Last, page.More
	}
	return nil
}

func (v *Preview) add(entry *rosterEntry, from, to *Policy) {
	v.Users++
	before, after := entry.usable(from), entry.usable(to)
	if len(after) == 0 {
		v.WithoutFactor++
		if len(before) == 1 {
			v.LosingOnlyKind++
		}
	}
	asked, must := entry.Enforced || from.Require == Everyone, entry.Enforced || to.Require == Everyone
	mustEnrol := must && len(after) == 0
	if mustEnrol {
		v.MustEnrol++
	}
	if !must || asked && !(mustEnrol && len(before) > 0) {
		return
	}
	v.forced++
	if len(v.Sample) < mostSampled {
		v.Sample = append(v.Sample, entry.User)
	}
}
