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
)

// A PolicyChange replaces the whole policy of an org.
type PolicyChange struct {
	Policy      Policy
	Version     *int // the version that it replaces; nil is PreconditionRequired
	Acknowledge bool // the administrator has seen what the change does
}

// PutPolicy replaces an org's policy. It returns VersionMismatch if the policy has another version by now, and
// AcknowledgementRequired, with the Preview, if the change was not acknowledged and asks users who were not asked before.
func (s *Service) PutPolicy(ctx context.Context, call Call, org string, change PolicyChange) (OrgPolicy, error) {
	if err := change.check(org); err != nil {
		return OrgPolicy{}, err
	}
	var p *orgPolicy
	var passing [fences]fence
	r := routeOf(org, "")
	reads := append(readFences(r, &passing), readPolicy(r, org, &p))
	return run(ctx, s, call, step[OrgPolicy]{
		scope: apikey.Admin, portal: byAdministrator, org: org,
		reads:  reads,
		decide: func(u *unit) (OrgPolicy, error) { return s.putPolicy(u, r, org, p, &passing, &change) },
	})
}

// check returns InvalidRequest for an org or a policy that can't be.
func (c *PolicyChange) check(org string) error {
	if err := checkID("org", org); err != nil {
		return err
	}
	return c.Policy.check()
}

// readFences reads what a change of an org's policy decides on besides the policy.
func readFences(r route, into *[fences]fence) (reads []read) {
	for i := range into {
		reads = append(reads, readFenceOf(r, i, &into[i]))
	}
	return reads
}

// putPolicy plans to replace the org's policy p.
func (s *Service) putPolicy(u *unit, r route, org string, p *orgPolicy, passing *[fences]fence, change *PolicyChange) (OrgPolicy, error) {
	switch {
	case change.Version == nil:
		return OrgPolicy{}, refuse(PreconditionRequired, "The header If-Match is required: it says which version of the policy this one replaces.")
	case *change.Version != p.Version:
		return OrgPolicy{}, refuse(VersionMismatch, "The policy is at version "+strconv.Itoa(p.Version)+".")
	}
	if err := s.acknowledged(u, r, p, change); err != nil {
		return OrgPolicy{}, err
	}
	from := p.Policy
	p.Version, p.Updated, p.Policy = p.Version+1, u.now, change.Policy
	p.tighten(&from)
	cut := p.cutoffFor(&from, u.now)
	if cut != nil {
		cut.Version, cut.At = p.Version, u.momentOfEnd(p.lastEnd())
		p.cutOff(cut)
	}
	u.putCopies(policyKey(r), p.Item.Version, p)
	past := *p
	u.put(store.Item{Key: policyVersionKey(r, p.Version)}, &past, time.Time{})
	u.seeOrg(r, org, p)
	changed, err := changedSettings(&from, &p.Policy)
	if err != nil {
		return OrgPolicy{}, err
	}
	data := map[string]any{"changed": changed}
	if cut != nil {
		u.spread(p, r, cut, passing[:])
		data[signedOutBefore] = cut.At
	}
	u.event(pendingEvent{Event: activity.Event{Type: PolicyChanged, Org: org, PolicyVersion: p.Version, Data: data}})
	return p.shown(), nil
}

// spread plans what a cut-off needs besides its place in the policy: it is written to all fences of the org, so that no factor is
// enrolled beside it, and a fan-out is to tell of it.
func (u *unit) spread(p *orgPolicy, r route, c *cutoff, passing []fence) {
	for i := range passing {
		f := &passing[i]
		f.Version = c.Version
		u.put(f.Item, f, time.Time{})
	}
	u.put(store.Item{Key: fanOutKey(r, u.version)}, &fanOut{Org: p.Org, Version: c.Version, At: c.At}, time.Time{})
}

// acknowledged refuses a change that signs users out, or asks users who were not asked before, unless the administrator has
// acknowledged it.
func (s *Service) acknowledged(u *unit, r route, p *orgPolicy, change *PolicyChange) error {
	if change.Acknowledge || !change.Policy.asksMore(&p.Policy, u.now) && change.Policy.cutoffFor(&p.Policy, u.now) == nil {
		return nil
	}
	preview, err := s.preview(u, r, p, &change.Policy)
	if err != nil {
		return AsError(err)
	}
	if preview.forced == 0 && preview.SignedOut == 0 {
		return nil
	}
	e := refuse(AcknowledgementRequired, "This change signs users out, or asks users for a second factor who were not asked before. To confirm it, send it again with \"acknowledge\": true.")
	e.Preview = preview
	return e
}

// asksMore reports whether p could ask anyone for an answer or an enrolment whom from doesn't ask.
func (p *Policy) asksMore(from *Policy, now time.Time) bool {
	to, was := p.demand(), from.demand()
	if was.opensAt(now) && !to.opensAt(now) || to.fewerSkips(was) {
		return true
	}
	if p.Require == Everyone && from.Require != Everyone || from.Methods.Email == Implicit && p.Methods.Email != Implicit {
		return true
	}
	return slices.ContainsFunc(kinds, func(row kindRow) bool { return p.forbids(row.kind, from) })
}

// tighten notes what this version does to trust, recovery codes and passes that were given under earlier versions, so that a later,
// looser version doesn't bring them back. A new note replaces the older ones that it covers.
func (p *orgPolicy) tighten(from *Policy) {
	if p.Recovery.Count == 0 && from.Recovery.Count > 0 {
		p.RecoveryEnded = p.Version
	}
	if p.Pass.MaxS < from.Pass.MaxS {
		p.PassesEnded = p.Version
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

func (p *orgPolicy) note(n tightening) {
	p.Tightenings = slices.DeleteFunc(slices.Clone(p.Tightenings), func(t tightening) bool { return t.Kind == n.Kind && t.Days >= n.Days })
	p.Tightenings = append(p.Tightenings, n)
}

// forbids reports whether p forbids a kind that from doesn't forbid.
func (p *Policy) forbids(k Kind, from *Policy) bool {
	return p.method(k) == NotAllowed && from.method(k) != NotAllowed
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

// settings returns all of a policy's settings as JSON, by their names.
func settings(p *Policy) (all map[string]json.RawMessage, err error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal(text, &all)
}
