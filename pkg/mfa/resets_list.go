package mfa

import (
	"context"
	"slices"

	"countersign/pkg/apikey"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A ResetsQuery asks for requests for a reset of an org's users.
type ResetsQuery struct {
	State string // only those in this state; empty for all
	ListQuery
}

// A ResetRequests is one page of a list of requests for a reset. Those of one user stand together. With a state, a page may have
// fewer than asked for, or none, and still a cursor.
type ResetRequests struct {
	Items  []ResetRequest `json:"items"`
	Cursor *string        `json:"cursor"` // null if there are no more
}

// ListResets lists the requests for a reset of an org's users, those of the last 90 days. It needs the scope admin.
func (s *Service) ListResets(ctx context.Context, call Call, org string, q ResetsQuery) (ResetRequests, error) {
	if err := checkID("org", org); err != nil {
		return ResetRequests{}, err
	}
	if q.State != "" && !slices.Contains([]string{pending, done, cancelled, expired}, q.State) {
		return ResetRequests{}, invalid("state", "The state must be pending, done, cancelled or expired.")
	}
	limit, err := q.limit()
	if err != nil {
		return ResetRequests{}, err
	}
	bound := []string{"resets", org, q.State}
	var p *orgPolicy
	r := routeOf(org, "")
	return run(ctx, s, call, step[ResetRequests]{
		scope: apikey.Admin, portal: byAdministrator | reading, org: org,
		reads: []read{readPolicy(r, org, &p)},
		decide: func(u *unit) (ResetRequests, error) {
			after := ""
			if err := u.openCursor(q.Cursor, bound, &after); err != nil {
				return ResetRequests{}, err
			}
			page, err := s.Store.Query(u.ctx, store.Query{Partition: resetPartition(r), After: after, Limit: limit})
			if err != nil {
				return ResetRequests{}, AsError(err)
			}
			answer := ResetRequests{Items: []ResetRequest{}}
			if err := u.resetsOf(page.Items, p, q.State, &answer.Items); err != nil {
				return ResetRequests{}, err
			}
			if page.More {
				answer.Cursor = u.cursor(bound, page.Last)
			}
			return answer, nil
		},
	})
}

// resetsOf adds the requests of some records, in the states that the guards of their users say.
func (u *unit) resetsOf(items []store.Item, p *orgPolicy, state string, into *[]ResetRequest) error {
	noted := make([]resetRecord, len(items))
	routes := map[route]bool{}
	for i, item := range items {
		if err := record.Decode(item, &noted[i]); err != nil {
			return AsError(err)
		}
		routes[routeOf(p.Org, noted[i].User)] = true
	}
	guards, err := readGuards(u.ctx, u.s.Store, routes)
	if err != nil {
		return AsError(err)
	}
	for i := range noted {
		g := guards[routeOf(p.Org, noted[i].User)]
		if g != nil {
			if err := g.follow(u.ring.Epoch()); err != nil {
				return err
			}
		}
		if shown := noted[i].shown(g, p, u.now); state == "" || shown.State == state {
			*into = append(*into, *shown)
		}
	}
	return nil
}
