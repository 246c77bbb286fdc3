package mfa

import (
	"errors"
	"fmt"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A seenOrg is the entry of an org in the list of all orgs. It is put in the commit in which the org is first seen: that of
// its first policy, or of its first user if it has no policy.
type seenOrg struct {
	record.Head
	Org   string    `json:"org" record:"1"`
	First time.Time `json:"first" record:"2"` // when the org was first seen
}

// The partition of the list of all orgs. It is written only when an org is first seen, or was erased.
const orgsPartition = "orgs"

func seenOrgKey(r route) store.Key {
	return store.Key{Partition: orgsPartition, Sort: b64(string(r.org()))}
}

// seeOrg puts the org in the list of all orgs, unless it is there. p is the org's policy. An org that has one is in the list
// already. So this reads the list only for a new user of an org that has no policy, and when the first policy is put.
func (u *unit) seeOrg(r route, org string, p *orgPolicy) {
	if !p.Item.Absent() {
		return
	}
	item, err := store.GetOne(u.ctx, u.s.Store, seenOrgKey(r))
	if err != nil {
		u.err = errors.Join(u.err, fmt.Errorf("look for the org in the list: %w", err))
		return
	}
	if item.Absent() {
		u.put(item, &seenOrg{Org: org, First: u.now}, time.Time{})
	}
}
