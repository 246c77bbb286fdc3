package mfa

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// An AdoptionQuery asks how many users of an org were protected, now and on some days.
type AdoptionQuery struct {
	Org      string
	From, To time.Time // the days that end after From and begin before To; zero means no bound
}

// An Adoption says how many users of an org are protected, and how.
type Adoption struct {
	Now  AdoptionCount `json:"now"`
	Days []AdoptionDay `json:"days"` // the days on which the users were counted, the earliest first
}

// An AdoptionDay is what was counted on one day.
type AdoptionDay struct {
	Day string `json:"day"` // in UTC, such as 2026-11-30
	AdoptionCount
}

// An AdoptionCount counts the users of an org at some moment.
type AdoptionCount struct {
	At     time.Time      `json:"at"`
	Users  int            `json:"users"`
	Status map[string]int `json:"status"` // how many users have each status, under the policy of that moment. Who is locked at that moment is counted as locked only
	Kinds  map[Kind]int   `json:"kinds"`  // how many users have enrolled a factor of each kind
}

// mostAdoptionDays is how many days an answer can have. It is how long counts are kept.
const mostAdoptionDays = 400

// Adoption counts the users of an org by status and by kind. It needs the scope admin.
//
// It goes through the roster once, as a preview does. Counts that are kept up to date would cost each change of a user a
// further write, to an item that all users of the org share, and a change of the policy would make all of them wrong, because
// a status depends on it. A pass through the roster of 100,000 users reads about 16 MB, which are 4,000 read units of DynamoDB.
// It is made when somebody looks, and once a day.
//
// A lock ends by time, so the roster doesn't have it. Publish notes each lock until its end, and the guards of those users say
// whether it still holds. So a user is counted as locked once the lock was published, and as before once it has ended. A lock that
// doesn't end by itself is noted for 400 days.
func (s *Service) Adoption(ctx context.Context, call Call, q AdoptionQuery) (Adoption, error) {
	if err := checkID("org", q.Org); err != nil {
		return Adoption{}, err
	}
	call.Replay = nil
	var p *orgPolicy
	r := routeOf(q.Org, "")
	return run(ctx, s, call, step[Adoption]{
		scope: apikey.Admin, portal: byAdministrator | reading, org: q.Org,
		reads: []read{readPolicy(r, q.Org, &p)},
		decide: func(u *unit) (Adoption, error) {
			now, err := s.countAdoption(u.ctx, r, p, u.now)
			if err != nil {
				return Adoption{}, err
			}
			days, err := s.adoptionDays(u.ctx, r, &q)
			return Adoption{Now: *now, Days: days}, err
		},
	})
}

// countAdoption goes through the org's roster, all shards side by side.
func (s *Service) countAdoption(ctx context.Context, r route, p *orgPolicy, now time.Time) (*AdoptionCount, error) {
	locked, err := s.lockedUsers(ctx, r, now)
	if err != nil {
		return nil, fmt.Errorf("count the users of an org: %w", err)
	}
	var shards [rosterShards]*AdoptionCount
	reads := make([]read, rosterShards)
	for i := range reads {
		reads[i].fetch = func(ctx context.Context) (err error) {
			shards[i], err = s.countShard(ctx, rosterPartition(r, i), p, locked, now)
			return err
		}
	}
	if err := readAll(ctx, s.Store, reads...); err != nil {
		return nil, fmt.Errorf("count the users of an org: %w", err)
	}
	total := newAdoptionCount(now)
	for _, shard := range shards {
		total.Users += shard.Users
		for status, n := range shard.Status {
			total.Status[status] += n
		}
		for kind, n := range shard.Kinds {
			total.Kinds[kind] += n
		}
	}
	return total, nil
}

func newAdoptionCount(now time.Time) *AdoptionCount {
	c := &AdoptionCount{At: now, Status: map[string]int{}, Kinds: map[Kind]int{}}
	for _, status := range statuses {
		c.Status[status] = 0
	}
	for _, row := range kinds {
		c.Kinds[row.kind] = 0
	}
	return c
}

func (s *Service) countShard(ctx context.Context, partition string, p *orgPolicy, locked map[route]bool, now time.Time) (*AdoptionCount, error) {
	c := newAdoptionCount(now)
	look := &previewing{s: s, org: p.Org, now: now, from: p.demand(), to: p.demand()}
	err := look.each(ctx, partition, func(e *rosterEntry, f *facts) {
		status := StatusLocked
		if !locked[routeOf(p.Org, e.User)] {
			status = e.account(f.Skips).shown(p, now).Status
		}
		c.Users++
		c.Status[status]++
		for _, kind := range e.Kinds {
			c.Kinds[kind]++
		}
	})
	return c, err
}

// account returns the account of a user of whom only the roster entry was read. It knows of the user what a status depends on,
// except for locks. skips is how many skips the user has spent, which the roster doesn't say.
func (e *rosterEntry) account(skips int) *account {
	g := &guard{User: e.User, Enabled: e.Enabled, Enforced: e.Enforced, GraceUntil: e.GraceUntil, Skips: skips, Profile: profile{Email: e.Address, Name: e.Name}}
	for i, kind := range e.Kinds {
		g.Factors = append(g.Factors, enrolledFactor{ID: fmt.Sprint(i), Kind: kind})
	}
	return g.accountAt("")
}

// adoptionDays returns what was counted on the days that a query asks for.
func (s *Service) adoptionDays(ctx context.Context, r route, asked *AdoptionQuery) ([]AdoptionDay, error) {
	days := []AdoptionDay{}
	var end string // the first day that isn't wanted
	if !asked.To.IsZero() {
		end = asked.To.UTC().Add(24*time.Hour - 1).Format(time.DateOnly)
	}
	q := store.Query{Partition: adoptionPartition(r)}
	if !asked.From.IsZero() {
		q.After = asked.From.UTC().Add(-24*time.Hour).Format(time.DateOnly) + "~" // this comes after the day before
	}
	for more := true; more; {
		page, err := s.Store.Query(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("read the counts of an org's users: %w", err)
		}
		for _, item := range page.Items {
			if strings.HasPrefix(item.Key.Sort, lockPrefix) || end != "" && item.Key.Sort >= end || len(days) == mostAdoptionDays {
				return days, nil
			}
			var d adoptionDay
			if err := record.Decode(item, &d); err != nil {
				return nil, err
			}
			days = append(days, AdoptionDay{item.Key.Sort, d.count()})
		}
		q.After, more = page.Last, page.More
	}
	return days, nil
}

// An adoptionDay is what was counted of an org's users on one day.
type adoptionDay struct {
	record.Head
	At     time.Time    `json:"at" record:"1"`
	Users  int          `json:"users" record:"2"`
	Counts []namedCount `json:"counts" record:"3"` // of the statuses and of the kinds, which have different names
}

// A namedCount is how many users have a status, or a factor of a kind.
type namedCount struct {
	Name  string `json:"name" record:"1"`
	Users int    `json:"users" record:"2"`
}

func (d *adoptionDay) count() AdoptionCount {
	c := newAdoptionCount(d.At)
	c.Users = d.Users
	for _, n := range d.Counts {
		if _, status := c.Status[n.Name]; status {
			c.Status[n.Name] = n.Users
		} else {
			c.Kinds[Kind(n.Name)] = n.Users
		}
	}
	return *c
}

func (c *AdoptionCount) record() *adoptionDay {
	d := &adoptionDay{At: c.At, Users: c.Users}
	for name, n := range c.Status {
		d.Counts = append(d.Counts, namedCount{name, n})
	}
	for kind, n := range c.Kinds {
		d.Counts = append(d.Counts, namedCount{string(kind), n})
	}
	return d
}

func adoptionPartition(r route) string { return "adoption#" + b64(string(r.org())) }

// A lockNote says that a user was locked. It names the user by the route only, and is gone when the lock has ended by itself.
type lockNote struct{ record.Head }

// lockPrefix begins the notes of locks. It sorts after all days.
const lockPrefix = "locked#"

// noteLock notes the lock that an event tells of, until its end. An event that comes again changes nothing.
func (s *Service) noteLock(ctx context.Context, e *activity.Event) error {
	r := routeOf(e.Org, e.User)
	u := &unit{s: s, ctx: ctx}
	u.begin(nil)
	ends := u.now.AddDate(0, 0, mostAdoptionDays)
	if said, _ := e.Data["until"].(string); said != "" {
		if until, err := time.Parse(time.RFC3339, said); err == nil && until.Before(ends) {
			ends = until
		}
	}
	if !ends.After(u.now) {
		return nil
	}
	u.put(store.Item{Key: store.Key{Partition: adoptionPartition(r), Sort: lockPrefix + b64(string(r[len(r.org()):])) + "#" + e.ID}}, &lockNote{}, ends)
	if err := u.commit(ctx); err != nil && !isConflict(err) {
		return fmt.Errorf("note a lock: %w", err)
	}
	return nil
}

// lockedUsers returns the users of an org whose lock was noted and whose guard says that it holds, as an account shows it.
func (s *Service) lockedUsers(ctx context.Context, r route, now time.Time) (map[route]bool, error) {
	locked := map[route]bool{}
	q := store.Query{Partition: adoptionPartition(r), Prefix: lockPrefix}
	for more := true; more; {
		page, err := s.Store.Query(ctx, q)
		if err != nil {
			return nil, err
		}
		noted := map[route]bool{}
		for _, item := range page.Items {
			name, _, _ := strings.Cut(strings.TrimPrefix(item.Key.Sort, lockPrefix), "#")
			rest, err := base64.RawURLEncoding.DecodeString(name)
			if err != nil {
				return nil, fmt.Errorf("read the note of a lock: %w", err)
			}
			noted[r.org()+route(rest)] = true
		}
		guards, err := readGuards(ctx, s.Store, noted)
		if err != nil {
			return nil, err
		}
		for of, g := range guards {
			if _, holds := g.WrongCodes.locked(false, now); holds {
				locked[of] = true
			}
		}
		q.After, more = page.Last, page.More
	}
	return locked, nil
}
