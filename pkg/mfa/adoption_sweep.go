package mfa

import (
	"context"
	"fmt"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// How many users and orgs one run of the sweep counts at most. It ends with the org with which it comes to one of them.
const (
	countedUsers = 500_000
	countedOrgs  = 2000
)

// countDay counts the users of every org once a day, in the first runs of the sweep after midnight (UTC). It goes on where the
// run before ended, and reports whether there is more to do. A day on which no run came to an org has no count.
func (s *Service) countDay(ctx context.Context) (more bool, err error) {
	now := s.Now().UTC().Truncate(time.Microsecond)
	cursor := countCursor{}
	item, err := s.readCursor(ctx, countCursorKey, &cursor)
	if err != nil {
		return false, fmt.Errorf("count users: %w", err)
	}
	today := now.Format(time.DateOnly)
	switch {
	case cursor.Day == today && cursor.Done:
		return false, nil
	case cursor.Day != today:
		cursor = countCursor{Day: today}
	}
	if err := s.countOrgs(ctx, &cursor, now); err != nil {
		return false, fmt.Errorf("count users: %w", err)
	}
	if err := s.putCursor(ctx, item, &cursor); err != nil {
		return false, fmt.Errorf("count users: %w", err)
	}
	return !cursor.Done, nil
}

// countOrgs goes on from the cursor, and moves it to where the next run goes on.
func (s *Service) countOrgs(ctx context.Context, cursor *countCursor, now time.Time) error {
	users, orgs := 0, 0
	for {
		page, err := s.Store.Query(ctx, store.Query{Partition: orgsPartition, After: cursor.After, Limit: 100})
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			var o seenOrg
			if err := record.Decode(item, &o); err != nil {
				return err
			}
			n, err := s.countOrg(ctx, o.Org, cursor.Day, now)
			if err != nil {
				return err
			}
			cursor.After = item.Key.Sort
			users, orgs = users+n, orgs+1
			if users >= countedUsers || orgs >= countedOrgs {
				return nil
			}
		}
		if cursor.Done = !page.More; cursor.Done {
			return nil
		}
		cursor.After = page.Last
	}
}

// countOrg counts the users of an org for a day, unless that was done.
func (s *Service) countOrg(ctx context.Context, org, day string, now time.Time) (users int, err error) {
	r := routeOf(org, "")
	var counted store.Item
	var p *orgPolicy
	if err := readAll(ctx, s.Store, readItem(store.Key{Partition: adoptionPartition(r), Sort: day}, &counted), readPolicy(r, org, &p)); err != nil {
		return 0, err
	}
	if !counted.Absent() {
		return 0, nil
	}
	c, err := s.countAdoption(ctx, r, p, now)
	if err != nil {
		return 0, err
	}
	u := &unit{s: s}
	u.begin(nil)
	u.put(counted, c.record(), now.AddDate(0, 0, mostAdoptionDays))
	if err := u.commit(ctx); err != nil && !isConflict(err) {
		return 0, err
	}
	return c.Users, nil
}

// A countCursor says where the next run of the sweep goes on to count users.
type countCursor struct {
	record.Head
	Day   string `json:"day" record:"1"`   // that is counted
	After string `json:"after" record:"2"` // the last org that was counted; empty if none was
	Done  bool   `json:"done" record:"3"`  // all orgs were counted
}

var countCursorKey = store.Key{Partition: "sweep", Sort: "adoption"}
