// Package activity keeps what happened in each org, so that it can be read later and can't be changed unnoticed.
//
// # Pages
//
// The activity of an org is a chain of pages for each day of events. A page is what one batch brought for that org and
// day. Its number is the next one of its day, and it is put only where no page is. So two publishers that file at the same
// time never write the same number, and no item counts the pages. Each page carries the hash of the page before it: of its
// own day, or, on the first page of a day, of the last page of the latest earlier day. The hash covers a salted digest of
// each entry as it is stored.
//
// All pages of a day are kept until the same moment, whenever they were filed. So a day is there completely or not at all,
// and a link to a missing page is an error exactly while the retention of its day lasts.
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

	// Keys reads the keys of users, by their routes, from a store. A user without a key in the result doesn't exist. It reads
	// at most KeyBytes for each user. Listing needs it, filing and checking don't.
	Keys func(ctx context.Context, from store.Store, users []Route) (map[Route]Key, error)
}

// KeyBytes is the most that Log.Keys may read from the store for one user.
const KeyBytes = 16 << 10

// A Route stands for an org (16 bytes) or for a user of it (16 more): hashes of their ids. The activity is found by it, so
// that it holds no id of a user who was erased.
type Route string

const orgRoute = 16 // bytes of a Route

func (r Route) org() Route { return r[:orgRoute] }

func (r Route) user() Route { return r[orgRoute:] }
