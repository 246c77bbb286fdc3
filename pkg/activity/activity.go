// Package activity keeps what happened in each org, so that it can be read later, and so that it is noticed if somebody has
// changed it.
//
// # Days, shards and pages
//
// The activity of an org has a chain of pages for each day of events. On busy days of a big org there are several chains, which
// are called shards. A page has the events that one batch brought for its org, day and shard. Its number is the next one of its
// shard, and a page is put only if there is no page with that number. So two publishers that file at the same time never write
// the same page, and no item has to count the pages. Each page has the hash of the page before it, and the first page of a shard
// has the hash of its day. The hash of a page covers a salted digest of each entry as it is stored.
//
// A day is opened by the commit that files its first page. What the day says then holds for all publishers, and doesn't change:
// the number of its shards, which depends on how many events there were on the latest day before it, and the last page that each
// shard of that day had. So if a page, a shard or a day was removed, or if a number of shards was changed, what was filed later
// shows it (see Check). In which shard an event is depends only on its user. So all events of a user on one day are in one shard.
// Events about no user are in the first shard.
//
// All items of a day are kept until the same moment, whenever they were filed. So a day is there as a whole or not at all. If
// something is missing to which there is a link, that is an error as long as its day is kept.
//
// # Checkpoints
//
// The chain shows what was changed before something else was filed. It doesn't show that its end was removed. So once an hour, and a
// last time when the day is over, the sweep makes a checkpoint of each day of an org in which something was filed. That is a signed
// statement of which pages were the last ones (see Log.PlanCheckpoint). Checkpoints of an org are numbered, and each has the hash of
// the one before it. They are put on the event bus, too, where they are out of reach of who can write the table. The sweep finds the
// days in a list, to which the first page that is filed in a day adds it. Log.Verify goes through chain and checkpoints. Log.Export
// writes both as lines, and ReadExport reads them where the deployment can't be reached.
//
// The key of checkpoints is derived from the key ring, and signs nothing else (see package seal).
//
// A batch that is handed on twice is filed twice. An event keeps its id, and readers show it once.
//
// # What is said of a user
//
// What an entry says of its user is encrypted with a key of its own (see EntryKey), which is derived from a key that is only in the
// user's record (see Key). If the user is erased, that key is deleted, and then nobody can read this part of any page. No page has to
// be found or written again, and the chain still verifies. To file an event, neither a secret of the deployment nor the user's record
// is needed.
//
// # Before events are filed
//
// Package mfa stores the events of a commit with that commit. Encode and Decode write and read the form in which it does so,
// which is the short form of entries.
//
// # What this package doesn't know
//
// It doesn't know which types of event there are, who may read them, or where the key of a user is. Its caller says that.
package activity

import (
	"context"
	"time"

	"countersign/pkg/store"
)

// A Log is the activity of all orgs in one store. Its methods may be called from many goroutines at the same time.
type Log struct {
	Store store.Store
	Now   func() time.Time

	// Commit calls plan, and commits the writes that plan returns. If the commit loses a race, it calls plan again, so that plan
	// reads and decides again. The time that plan gets is the moment at which it decides.
	Commit func(ctx context.Context, plan func(now time.Time) ([]store.Write, error)) error

	// Users reads the users of these routes from a store. It reads at most UserBytes for each of them. Users who don't exist are
	// not in the result. Only List needs it.
	Users func(ctx context.Context, from store.Store, routes []Route) (map[Route]User, error)

	// PerShard says for how many events of a day there is one shard. 0 means 4 million.
	PerShard int
}

// UserBytes is how many bytes Log.Users may read from the store at most for one user.
const UserBytes = 16 << 10

// A Route names an org, or a user of an org. It has 16 bytes for the org, and for a user 16 bytes more. They are hashes of the
// ids. The activity is found by routes, so it doesn't have the id of a user who was erased.
type Route string

const orgRoute = 16 // the bytes of an org's Route

func (r Route) org() Route { return r[:orgRoute] }

func (r Route) user() Route { return r[orgRoute:] }

// shard returns the number of the shard in which the events of the user are, if the day has that many shards. The number of
// shards is a power of two. Events about no user are in the first shard.
func (r Route) shard(of int) int {
	if len(r) == orgRoute {
		return 0
	}
	return int(r[orgRoute]) % of
}
