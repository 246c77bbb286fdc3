package mfa

import (
	"context"
	"encoding/json"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/store"
)

// An ActivityQuery asks for events of an org. Fields that are zero don't narrow the list.
type ActivityQuery struct {
	Org      string
	User     string
	Type     string    // a whole type, such as "challenge.failed", or the part before the dot, "challenge"
	From, To time.Time // From is included, To is not
	ListQuery
}

// An Activity is one page of a list of events, the newest first. activity.Log.List says in what order they are, what may be
// on a page, and what is left of the events of a user who was erased.
type Activity struct {
	Items  []json.RawMessage `json:"items"`
	Cursor *string           `json:"cursor"` // null if there are no more
}

// UserActivity lists the events of one user. It needs the scope manage.
func (s *Service) UserActivity(ctx context.Context, call Call, q ActivityQuery) (Activity, error) {
	if err := checkID("user", q.User); err != nil {
		return Activity{}, err
	}
	return s.listActivity(ctx, call, apikey.Manage, byUser|reading, q)
}

// OrgActivity lists the events of an org. It needs the scope admin.
func (s *Service) OrgActivity(ctx context.Context, call Call, q ActivityQuery) (Activity, error) {
	if q.User != "" {
		if err := checkID("user", q.User); err != nil {
			return Activity{}, err
		}
	}
	return s.listActivity(ctx, call, apikey.Admin, byAdministrator|reading, q)
}

func (s *Service) listActivity(ctx context.Context, call Call, scope apikey.Scope, portal portalUse, q ActivityQuery) (Activity, error) {
	if err := checkID("org", q.Org); err != nil {
		return Activity{}, err
	}
	if err := checkText("type", q.Type, 64); err != nil {
		return Activity{}, err
	}
	limit, err := q.limit()
	if err != nil {
		return Activity{}, err
	}
	call.Replay = nil
	return run(ctx, s, call, step[Activity]{
		scope: scope, portal: portal, org: q.Org, about: routeOf(q.Org, q.User),
		decide: func(u *unit) (Activity, error) {
			asked := activity.Query{Org: q.Org, Route: q.route(), Type: q.Type, From: q.From, To: q.To, Limit: limit}
			if err := u.openCursor(q.Cursor, q.bound(), &asked.After); err != nil {
				return Activity{}, err
			}
			events, next, err := s.activity().List(u.ctx, asked)
			if err != nil {
				return Activity{}, AsError(err)
			}
			answer := Activity{Items: []json.RawMessage{}}
			for _, e := range events {
				item, err := json.Marshal(e)
				if err != nil {
					return Activity{}, AsError(err)
				}
				answer.Items = append(answer.Items, item)
			}
			if next != nil {
				answer.Cursor = u.cursor(q.bound(), next)
			}
			return answer, nil
		},
	})
}

// route is the route of the user whom the query narrows to, or else of the org.
func (q *ActivityQuery) route() activity.Route {
	if q.User == "" {
		return activity.Route(routeOf(q.Org, "").org())
	}
	return activity.Route(routeOf(q.Org, q.User))
}

// bound names the list that a cursor is good for, whatever the limit is.
func (q *ActivityQuery) bound() []string {
	return []string{"activity", q.Org, q.User, q.Type, q.From.UTC().Format(time.RFC3339Nano), q.To.UTC().Format(time.RFC3339Nano)}
}

// CheckActivity goes through all of an org's activity that is still kept. It returns how many pages there are, or an error
// that wraps activity.ErrBroken and names the first page that is not as it was filed.
func (s *Service) CheckActivity(ctx context.Context, org string) (pages int, err error) {
	return s.activity().Check(ctx, activity.Route(routeOf(org, "").org()))
}

// activity returns the activity of all orgs in the service's store.
func (s *Service) activity() *activity.Log {
	return &activity.Log{Store: s.Store, Now: s.Now, Users: activityUsers,
		Commit: func(ctx context.Context, plan func(time.Time) ([]store.Write, error)) error {
			return s.alone(ctx, func(u *unit) error {
				writes, err := plan(u.now)
				u.writes = append(u.writes, writes...)
				return err
			})
		},
	}
}

// activityUsers reads, from their guards, the users whom the activity says something of, with the keys that encrypt it.
func activityUsers(ctx context.Context, from store.Store, routes []activity.Route) (map[activity.Route]activity.User, error) {
	wanted := map[route]bool{}
	for _, r := range routes {
		wanted[route(r)] = true
	}
	guards, err := readGuards(ctx, from, wanted)
	if err != nil {
		return nil, err
	}
	users := map[activity.Route]activity.User{}
	for r, g := range guards {
		users[activity.Route(r)] = activity.User{ID: g.User, Key: g.ActivityKey}
	}
	return users, nil
}
