package mfa

import (
	"fmt"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// putRosterEntry puts the user's entry in the org's roster. Call it before the guard is put, because the guard notes the
// version of the entry.
func (u *unit) putRosterEntry(a *account) {
	if a.metUnder != nil {
		u.seeOrg(a.route, a.guard.Org, a.metUnder)
	}
	item := store.Item{Key: rosterKey(a.route), Version: a.guard.RosterVersion}
	a.guard.RosterVersion = u.version
	u.put(item, &rosterEntry{
		User: a.guard.User, Email: a.guard.Profile.Email != "", Kinds: a.guard.kinds(),
		Enabled: a.guard.Enabled, Enforced: a.guard.Enforced, GraceUntil: a.guard.GraceUntil, Name: a.guard.Profile.Name, Address: a.guard.Profile.Email,
	}, time.Time{})
}

// A rosterEntry is a user's entry in the roster of its org. It holds facts only. Whatever depends on the policy is computed
// when the entry is read.
type rosterEntry struct {
	record.Head
	User     string `json:"user" record:"1"`
	Email    bool   `json:"email" record:"2"` // the user has an email address
	Kinds    []Kind `json:"kinds" record:"3"` // the kinds of the enrolled factors, each once
	Enabled  bool   `json:"enabled" record:"4"`
	Enforced bool   `json:"enforced" record:"5"`
	Name     string `json:"name" record:"6"`
	Address  string `json:"address" record:"7"` // the email address, by which users are searched for

	GraceUntil *time.Time `json:"grace_until" record:"12"` // the user's own; nil if the policy's holds
}

// The roster is divided into shards, so that the users of a big org are written and read at many partitions.
const rosterShards = 16

// rosterPage is how many entries of a shard are read at once by what goes through the whole roster, all shards side by side.
const rosterPage = 200

func rosterPartition(r route, shard int) string {
	return fmt.Sprintf("roster#%s#%x", b64(string(r[:16])), shard)
}

func rosterKey(r route) store.Key {
	return store.Key{Partition: rosterPartition(r, int(r[16])%rosterShards), Sort: b64(string(r[16:]))}
}
