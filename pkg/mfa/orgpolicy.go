package mfa

import (
	"cmp"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// readPolicy reads an org's policy, from one of its copies. If it was never set, that is the default policy with version 0.
func readPolicy(r route, org string, into **orgPolicy) read {
	return read{policy: into, key: store.AnyCopy(policyKey(r)), take: func(item store.Item) error {
		p := &orgPolicy{Head: record.Head{Item: item}}
		if item.Absent() {
			p.Org, p.Policy = org, DefaultPolicy()
		} else if err := record.Decode(item, p); err != nil {
			return err
		}
		p.Reset.SelfService = cmp.Or(p.Reset.SelfService, SelfServiceOff) // the policy may be older than these two settings
		if p.Notify == nil {
			p.Notify = []string{}
		}
		*into = p
		return nil
	}}
}

// An OrgPolicy is the policy that is in force for an org.
type OrgPolicy struct {
	Org     string     `json:"org"`
	Version int        `json:"version"`
	Updated *time.Time `json:"updated"` // null if the policy was never set
	Policy
}

func (p *orgPolicy) shown() OrgPolicy {
	shown := OrgPolicy{Org: p.Org, Version: p.Version, Policy: p.Policy}
	if p.Version > 0 {
		shown.Updated = &p.Updated
	}
	return shown
}

// A tightening is what one version of a policy did to trust that was granted under the versions before it. With a Kind, it
// ended the trust that this kind had earned. Without one, it made trust end at most Days after it was granted.
type tightening struct {
	Version int  `json:"version" record:"1"`
	Days    int  `json:"days" record:"2"`
	Kind    Kind `json:"kind" record:"3"`
}

// An orgPolicy is one version of an org's policy, with what it and the versions before it did to trust and to recovery codes.
type orgPolicy struct {
	record.Head
	Org         string       `json:"org" record:"1"`
	Version     int          `json:"version" record:"2"`
	Updated     time.Time    `json:"updated" record:"3"`
	Tightenings []tightening `json:"tightenings" record:"4"`

	RecoveryEnded int `json:"recovery_ended" record:"5"` // the latest version that took away all recovery codes; 0 if none did

	Policy `json:"policy" record:"6"`

	PassesEnded int      `json:"passes_ended" record:"12"` // the latest version that lowered pass.max_s, and so ended all passes; 0 if none did
	Brand       Brand    `json:"brand" record:"13"`
	CutOffs     []cutoff `json:"cut_offs" record:"7"` // the newest of each demand by which sessions were ended, the oldest first
}
