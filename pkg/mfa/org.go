package mfa

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// readPolicy reads an org's policy; an org never seen has the default policy, version 0.
func readPolicy(r route, org string, into **orgPolicy) read {
	return read{key: policyKey(r), take: func(item store.Item) error {
		p := &orgPolicy{item: item}
		if item.Absent() {
			p.Org, p.Policy = org, DefaultPolicy()
		} else if err := record.Decode(item, &p.policyRecord); err != nil {
			return err
		}
		*into = p
		return nil
	}}
}

// An OrgPolicy is an org's policy as it is in force.
type OrgPolicy struct {
	Org     string     `json:"org"`
	Version int        `json:"version"`
	Updated *time.Time `json:"updated"` // null: never
	Policy
}

func (p *orgPolicy) shown() OrgPolicy {
	shown := OrgPolicy{Org: p.Org, Version: p.Version, Policy: p.Policy}
	if p.Version > 0 {
		shown.Updated = &p.Updated
	}
	return shown
}

// GetPolicy shows an org's policy.
func (s *Service) GetPolicy(ctx context.Context, call Call, org string) (OrgPolicy, error) {
	if err := checkID("org", org); err != nil {
		return OrgPolicy{}, err
	}
	var p *orgPolicy
	return run(ctx, s, call, step[OrgPolicy]{
		scope: apikey.Admin, org: org,
		reads:  []read{readPolicy(routeOf(org, ""), org, &p)},
		decide: func(*unit) (OrgPolicy, error) { return p.shown(), nil },
	})
}

// A PolicyChange replaces the whole policy of an org.
type PolicyChange struct {
	Policy      Policy
	Version     *int // the version it is based on; nil: not said, PreconditionRequired
	Acknowledge bool // the administrator has seen what it does
}

// A Preview says what a change of policy does to an org's users.
type Preview struct {
	Users          int      `json:"users"`
	WithoutFactor  int      `json:"without_factor"`
	SignedOut      int      `json:"signed_out"`
	MustEnrol      int      `json:"must_enrol"`
	LosingOnlyKind int      `json:"losing_only_kind"`
	Sample         []string `json:"sample"`

	forced int // users who would be asked from now on and were not before
}

// PreviewPolicy says what PutPolicy would do to an org's users with the same policy. Nothing changes.
func (s *Service) PreviewPolicy(ctx context.Context, call Call, org string, to Policy) (Preview, error) {
	if err := checkID("org", org); err != nil {
		return Preview{}, err
	}
	if err := to.Check(); err != nil {
		return Preview{}, err
	}
	call.Replay = nil // there is no work to do twice
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

// PutPolicy replaces an org's policy. It answers VersionMismatch when the policy moved on, and AcknowledgementRequired,
// with the Preview, for a change that newly forces anyone and was not acknowledged.
func (s *Service) PutPolicy(ctx context.Context, call Call, org string, change PolicyChange) (OrgPolicy, error) {
	if err := checkID("org", org); err != nil {
		return OrgPolicy{}, err
	}
	if err := change.Policy.Check(); err != nil {
		return OrgPolicy{}, err
	}
	var p *orgPolicy
	r := routeOf(org, "")
	return run(ctx, s, call, step[OrgPolicy]{
		scope: apikey.Admin, org: org,
		reads: []read{readPolicy(r, org, &p)},
		decide: func(u *unit) (OrgPolicy, error) {
			switch {
			case change.Version == nil:
				return OrgPolicy{}, refuse(PreconditionRequired, "The header If-Match is required: it says which version of the policy this one replaces.")
			case *change.Version != p.Version:
				return OrgPolicy{}, refuse(VersionMismatch, "The policy is at version "+strconv.Itoa(p.Version)+".")
			}
			if err := s.acknowledged(u, r, p, &change); err != nil {
				return OrgPolicy{}, err
			}
			from := p.Policy
			p.Version, p.Updated, p.Policy = p.Version+1, u.now, change.Policy
			p.tighten(&from)
			u.put(p.item, &p.policyRecord, time.Time{})
			past := p.policyRecord
			u.put(store.Item{Key: policyVersionKey(r, p.Version)}, &past, time.Time{})
			changed, err := changedSettings(&from, &p.Policy)
			if err != nil {
				return OrgPolicy{}, err
			}
			u.event(carried{Event: activity.Event{Type: PolicyChanged, Org: org, PolicyVersion: p.Version, Data: map[string]any{"changed": changed}}})
			return p.shown(), nil
		},
	})
}

// acknowledged refuses a change that newly forces anyone, unless the administrator has said to know.
func (s *Service) acknowledged(u *unit, r route, p *orgPolicy, change *PolicyChange) error {
	if change.Acknowledge || !change.Policy.asksMore(&p.Policy) {
		return nil
	}
	preview, err := s.preview(u.ctx, r, &p.Policy, &change.Policy)
	if err != nil {
		return AsError(err)
	}
	if preview.forced == 0 {
		return nil
	}
	e := refuse(AcknowledgementRequired, "This change asks users for a second factor who were not asked before. To confirm it, send it again with \"acknowledge\": true.")
	e.Preview = preview
	return e
}

// asksMore reports whether p could make anyone answer, or enrol, who needn't under from.
func (p *Policy) asksMore(from *Policy) bool {
	if p.Require == Everyone && from.Require != Everyone || from.Methods.Email == Implicit && p.Methods.Email != Implicit {
		return true
	}
	return slices.ContainsFunc(kinds, func(row kindRow) bool { return p.forbids(row.kind, from) })
}

// forbids reports whether p forbids a kind that from has room for.
func (p *Policy) forbids(k Kind, from *Policy) bool {
	return p.method(k) == NotAllowed && from.method(k) != NotAllowed
}

// mostSampled is how many user ids a preview names.
const mostSampled = 20

// preview goes through the org's roster, all shards side by side.
func (s *Service) preview(ctx context.Context, r route, from, to *Policy) (*Preview, error) {
	var shards [rosterShards]Preview
	reads := make([]read, rosterShards)
	for i := range reads {
		reads[i].ask = func(ctx context.Context) error {
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
			var l listed
			if err := record.Decode(item, &l); err != nil {
				return err
			}
			into.add(&l, from, to)
		}
		q.After, more = page.Last, page.More
	}
	return nil
}

func (v *Preview) add(l *listed, from, to *Policy) {
	v.Users++
	before, after := l.usable(from), l.usable(to)
	if len(after) == 0 {
		v.WithoutFactor++
		if len(before) == 1 {
			v.LosingOnlyKind++
		}
	}
	asked, must := l.Enforced || from.Require == Everyone, l.Enforced || to.Require == Everyone
	mustEnrol := must && len(after) == 0
	if mustEnrol {
		v.MustEnrol++
	}
	if !must || asked && !(mustEnrol && len(before) > 0) {
		return
	}
	v.forced++
	if len(v.Sample) < mostSampled {
		v.Sample = append(v.Sample, l.User)
	}
}

// usable are the kinds that p lets the user of a roster's line answer with.
func (l *listed) usable(p *Policy) []Kind {
	var kinds []Kind
	for _, k := range l.Kinds {
		if p.method(k) != NotAllowed {
			kinds = append(kinds, k)
		}
	}
	if k, implicit := p.implicitKind(); implicit && l.Email && !slices.Contains(kinds, k) {
		kinds = append(kinds, k)
	}
	return kinds
}

// tighten notes what this version does to trust and recovery codes given under the ones before it, so that a later, looser
// one doesn't bring them back. What a newer note covers, an older one no longer needs to say.
func (p *policyRecord) tighten(from *Policy) {
	if p.Recovery.Count == 0 && from.Recovery.Count > 0 {
		p.RecoveryEnded = p.Version
	}
	if p.Trust.Days < from.Trust.Days {
		p.note(tightening{Version: p.Version, Days: p.Trust.Days})
	}
	for _, row := range kinds {
		if p.forbids(row.kind, from) {
			p.note(tightening{Version: p.Version, Kind: row.kind})
		}
	}
}

func (p *policyRecord) note(n tightening) {
	p.Ends = slices.DeleteFunc(slices.Clone(p.Ends), func(t tightening) bool { return t.Kind == n.Kind && t.Days >= n.Days })
	p.Ends = append(p.Ends, n)
}

// changedSettings names the settings, or groups of settings, that differ between two policies.
func changedSettings(from, to *Policy) ([]string, error) {
	before, err := settings(from)
	if err != nil {
		return nil, err
	}
	after, err := settings(to)
	if err != nil {
		return nil, err
	}
	changed := []string{}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if !bytes.Equal(before[name], after[name]) {
			changed = append(changed, name)
		}
	}
	return changed, nil
}

// settings are a policy's, as JSON, by their names. None can be forgotten here.
func settings(p *Policy) (all map[string]json.RawMessage, err error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal(text, &all)
}
