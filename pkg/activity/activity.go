// Package activity keeps what happened in each org, so that it can be read later and can't be changed unnoticed.
//
// # Days, shards and pages
//
// The activity of an org is a chain of pages for each day of events; on the busy days of a big org there are several
// chains, its shards. A page is what one batch brought for that org, day and shard. Its number is the next one of its
// shard, and it is put only where no page is. So two publishers that file at the same time never write the same number,
// and no item counts the pages. Each page carries the hash of the page before it, and the first page of a shard the hash
// of its day. The hash of a page covers a salted digest of each entry as it is stored.
//
// A day is opened by the commit that files its first page. What the day says then decides for all publishers, and stays:
// how many shards it has, by how many events there were on the latest earlier day, and the last page that each shard of
// that day had. So a page, a shard or a day that was removed, and a number of shards that was changed, can be noticed by
// what was filed later (see Check). Which shard an event is in depends on its user alone, so that a user's events of a day
// are all in one; events about no user are in the first.
//
// All of a day is kept until the same moment, whenever it was filed. So a day is there completely or not at all, and a
// link to something missing is an error exactly while the retention of its day lasts.
//
// A batch that is handed on twice is filed twice. An event keeps its id, and readers show it once.
//
// # What is said of a user
//
// What an entry says of its user is encrypted under a key that only the user's record holds (see Key). Erasing the user
// deletes that key, and nobody can read this part of any page any more. No page has to be found or written again, and the
// chain still verifies. Filing an event needs no secret of the deployment.
//
// # What this package doesn't know
//
// It doesn't know which types of event there are, who may read them, or where a user's key is: the caller says that.
package activity

import (
	"context"
	"time"

	"countersign/pkg/store"
)

// A Log is the activity of all orgs in one store. Its methods may be called from many goroutines.
type Log struct {
	Store store.Store
	Now   func() time.Time

	// Commit calls plan and commits the writes that it returns. When it loses a race it calls plan again, so that plan
	// reads and decides again. The time that it gives to plan is the moment at which it decides.
	Commit func(ctx context.Context, plan func(now time.Time) ([]store.Write, error)) error

	// Users reads users, by their routes, from a store. A user who is not in the result doesn't exist. It reads at most
	// UserBytes for each. Listing needs it, filing and checking don't.
	Users func(ctx context.Context, from store.Store, routes []Route) (map[Route]User, error)

	// PerShard is for how many events of a day there is one shard; 0: 4 million.
	PerShard int
}

// UserBytes is the most that Log.Users may read from the store for one user.
const UserBytes = 16 << 10

// A Route stands for an org (16 bytes) or for a user of it (16 more): hashes of their ids. The activity is found by it, so
// that it holds no id of a user who was erased.
type Route string

const orgRoute = 16 // bytes of a Route

func (r Route) org() Route { return r[:orgRoute] }

func (r Route) user() Route { return r[orgRoute:] }

// shard is which of so many shards, a power of two, the user's events are in; those about nobody are in the first.
func (r Route) shard(of int) int {
	if len(r) == orgRoute {
		return 0
	}
	return int(r[orgRoute]) % of
}
