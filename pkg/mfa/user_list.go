package mfa

import (
	"context"
	"slices"
	"strings"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A UserQuery asks for users of an org. Fields that are empty don't narrow the list.
type UserQuery struct {
	Org    string
	Q      string // the beginning of an id as it is written, or of a name or an email address in upper or lower case
	Status string // protected, unprotected, grace or locked
	ListQuery
}

// A Users is one page of the list of an org's users. The order of the list says nothing, but it is always the same. A page
// reads a bounded part of the org. So it may have fewer users than the limit, or none, although there are more.
type Users struct {
	Items  []ListedUser `json:"items"`
	Cursor *string      `json:"cursor"` // null if there are no more
}

// A ListedUser is what the list of an org's users says of one of them.
type ListedUser struct {
	ID          string     `json:"id"`
	Email       *string    `json:"email"`
	Name        *string    `json:"name"`
	Enabled     bool       `json:"enabled"`
	Enforced    bool       `json:"enforced"`
	Required    bool       `json:"required"`
	Status      string     `json:"status"` // now, under the policy that is in force
	Kinds       []Kind     `json:"kinds"`  // of the enrolled factors, each once, the strongest first
	GraceUntil  *time.Time `json:"grace_until"`
	LockedUntil *time.Time `json:"locked_until"`
	LastSignIn  *time.Time `json:"last_sign_in"` // when the user last answered with a factor, or enrolled one to get in; null if that never happened
}

// statuses are all statuses of a user.
var statuses = []string{Protected, Unprotected, InGrace, StatusLocked}

// ListUsers lists the users of an org who were seen and not erased since. It needs the scope admin.
func (s *Service) ListUsers(ctx context.Context, call Call, q UserQuery) (Users, error) {
	if err := checkID("org", q.Org); err != nil {
		return Users{}, err
	}
	if err := checkText("q", q.Q, 254); err != nil {
		return Users{}, err
	}
	if q.Status != "" && !slices.Contains(statuses, q.Status) {
		return Users{}, invalid("status", "The status must be %s.", strings.Join(statuses, ", "))
	}
	limit, err := q.limit()
	if err != nil {
		return Users{}, err
	}
	call.Replay = nil
	var p *orgPolicy
	r := routeOf(q.Org, "")
	return run(ctx, s, call, step[Users]{
		scope: apikey.Admin, portal: byAdministrator | reading, org: q.Org,
		reads: []read{readPolicy(r, q.Org, &p)},
		decide: func(u *unit) (Users, error) {
			l := &userListing{u: u, q: &q, policy: p, org: r, limit: limit, left: listingBytes}
			bound := []string{"users", q.Org, q.Q, q.Status}
			if err := u.openCursor(q.Cursor, bound, &l.at); err != nil {
				return Users{}, err
			}
			if l.at.Shard < 0 || l.at.Shard >= rosterShards {
				return Users{}, invalid("cursor", "This cursor does not belong to this list.")
			}
			items, next, err := l.collect()
			if err != nil {
				return Users{}, err
			}
			page := Users{Items: items}
			if next != nil {
				page.Cursor = u.cursor(bound, next)
			}
			return page, nil
		},
	})
}

// The limits of what one page of the list of users reads.
const (
	listingBytes = 960 << 10          // in all, if each item has its largest size; it leaves 64 KiB of 1 MiB for what every call reads
	listedEntry  = 1 << 10            // the largest size of a roster entry
	listedGuard  = activity.UserBytes // the largest size of a guard
	listingReads = 24                 // how many reads of entries or guards it makes one after the other
)

// A rosterPlace says where a listing goes on: in which shard of the roster, and after which entry.
type rosterPlace struct {
	Shard int    `json:"s"`
	After string `json:"a,omitempty"`
}

// A userListing goes through an org's roster until it has enough users, or has read as much as one page may read.
type userListing struct {
	u      *unit
	q      *UserQuery
	policy *orgPolicy
	org    route
	limit  int
	at     rosterPlace
	left   int // how many bytes it may still read
	reads  int // how many reads it has made one after the other

	found  []ListedUser
	places []rosterPlace // of those that were found
}

// collect returns the users of one page, and where the next page begins. That is nil if there are no more users.
//
// A small org has a few entries in each shard, so it would take many queries to fill a page from one shard after the other.
// So whenever a query came to the end of a shard, twice as many shards are read at once.
func (l *userListing) collect() ([]ListedUser, *rosterPlace, error) {
	shards := 1
	for l.at.Shard < rosterShards {
		if l.reads >= listingReads || l.left < 2*rosterShards*listedEntry {
			return l.page(&l.at)
		}
		pages, err := l.query(min(shards, rosterShards-l.at.Shard))
		if err != nil {
			return nil, nil, err
		}
		shards *= 2
		for i := range pages {
			through, err := l.look(pages[i].Items)
			if err != nil {
				return nil, nil, err
			}
			if !through {
				return l.page(&l.at)
			}
			if pages[i].More {
				l.at.After, shards = pages[i].Last, 1
				break
			}
			l.at = rosterPlace{Shard: l.at.Shard + 1}
		}
	}
	return l.page(nil)
}

// page returns what was found. If that is more than the limit, the next page begins after the last user of this one.
func (l *userListing) page(next *rosterPlace) ([]ListedUser, *rosterPlace, error) {
	if len(l.found) > l.limit {
		return l.found[:l.limit], &l.places[l.limit-1], nil
	}
	return append([]ListedUser{}, l.found...), next, nil
}

// query reads entries of several shards at once. The first is the one that the listing has come to.
func (l *userListing) query(shards int) ([]store.Page, error) {
	limit := l.limit + 1
	if l.q.Q != "" || l.q.Status != "" {
		limit = store.MaxLimit // most entries are perhaps of others
	}
	limit = min(limit, l.left/2/shards/listedEntry)
	pages := make([]store.Page, shards)
	reads := make([]read, shards)
	for i := range reads {
		q := store.Query{Partition: rosterPartition(l.org, l.at.Shard+i), Limit: limit}
		if i == 0 {
			q.After = l.at.After
		}
		reads[i].fetch = func(ctx context.Context) (err error) {
			pages[i], err = l.u.s.Store.Query(ctx, q)
			return err
		}
	}
	l.reads++
	if err := readAll(l.u.ctx, l.u.s.Store, reads...); err != nil {
		return nil, err
	}
	for i := range pages {
		l.left -= bytesOf(pages[i].Items...)
	}
	return pages, nil
}

// bytesOf returns how many bytes were read with some items.
func bytesOf(items ...store.Item) (n int) {
	for _, item := range items {
		n += len(item.Key.Partition) + len(item.Key.Sort) + len(item.Version) + len(item.Body)
	}
	return n
}

// look adds the users of some entries, as far as the query asks for them. It reports whether there was room for all. If there
// was not, the listing has come to the last one that it has looked at.
func (l *userListing) look(items []store.Item) (through bool, err error) {
	var entries []listedEntryAt
	for _, item := range items {
		e := listedEntryAt{sort: item.Key.Sort}
		if err := record.Decode(item, &e.rosterEntry); err != nil {
			return false, err
		}
		if e.matches(l.q.Q) {
			entries = append(entries, e)
		}
	}
	for len(entries) > 0 {
		room := min(len(entries), l.left/listedGuard, store.MaxKeys)
		if l.q.Status == "" {
			room = min(room, l.limit+1-len(l.found))
		}
		if room == 0 || l.reads >= listingReads {
			return false, nil
		}
		if err := l.add(entries[:room]); err != nil {
			return false, err
		}
		l.at.After, entries = entries[room-1].sort, entries[room:]
		if len(l.found) > l.limit {
			return false, nil
		}
	}
	return true, nil
}

// A listedEntryAt is a roster entry with its place in its shard.
type listedEntryAt struct {
	rosterEntry
	sort string
}

// matches reports whether the id, the name or the address of an entry begins with q.
func (e *rosterEntry) matches(q string) bool {
	return strings.HasPrefix(e.User, q) || beginsWith(e.Name, q) || beginsWith(e.Address, q)
}

// beginsWith is strings.HasPrefix for texts in upper or lower case.
func beginsWith(text, beginning string) bool {
	return strings.HasPrefix(strings.ToLower(text), strings.ToLower(beginning))
}

// add reads the guards of some entries, and adds their users if they have the status that the query asks for.
func (l *userListing) add(entries []listedEntryAt) error {
	routes := map[route]bool{}
	for i := range entries {
		routes[routeOf(l.q.Org, entries[i].User)] = true
	}
	l.reads++
	guards, err := readGuards(l.u.ctx, l.u.s.Store, routes)
	if err != nil {
		return err
	}
	for i := range entries {
		r := routeOf(l.q.Org, entries[i].User)
		g := guards[r]
		if g == nil {
			continue // the user was erased since the entry was read
		}
		l.left -= bytesOf(g.Item)
		a := g.accountAt(r)
		if err := a.follow(l.u.ring.Epoch()); err != nil {
			return err
		}
		shown := a.shown(l.policy, l.u.now)
		if l.q.Status != "" && shown.Status != l.q.Status {
			continue
		}
		l.found = append(l.found, shown.listed(g))
		l.places = append(l.places, rosterPlace{Shard: l.at.Shard, After: entries[i].sort})
	}
	return nil
}

// accountAt returns the account of a user of whom only the guard was read. It knows of the factors their kinds, and of no
// browsers.
func (g *guard) accountAt(r route) *account {
	a := &account{route: r, guard: g}
	for _, f := range g.Factors {
		a.factorRecords = append(a.factorRecords, &factorRecord{ID: f.ID, Kind: f.Kind})
	}
	return a
}

// listed returns what the list of users says of a user, whose guard is g.
func (u *User) listed(g *guard) ListedUser {
	l := ListedUser{
		ID: u.ID, Email: u.Email, Name: u.Name, Enabled: u.Enabled, Enforced: u.Enforced, Required: u.Required, Status: u.Status,
		Kinds: append([]Kind{}, g.kinds()...), GraceUntil: u.GraceUntil, LockedUntil: u.LockedUntil,
	}
	if !g.MFATime.IsZero() {
		l.LastSignIn = &g.MFATime
	}
	return l
}
