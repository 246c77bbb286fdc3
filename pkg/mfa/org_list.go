package mfa

import (
	"context"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// An Orgs is one page of the list of orgs. The order of the list says nothing, but it is always the same.
type Orgs struct {
	Items  []Org   `json:"items"`
	Cursor *string `json:"cursor"` // null if there are no more
}

// An Org is an org that was seen and not erased since.
type Org struct {
	ID    string    `json:"id"`
	First time.Time `json:"first_seen"` // when its first policy was put, or its first user was seen
}

// ListOrgs lists the orgs that were ever seen and not erased since. It needs the scope admin. A caller whose API key is
// limited to an org gets only that one.
func (s *Service) ListOrgs(ctx context.Context, call Call, q ListQuery) (Orgs, error) {
	limit, err := q.limit()
	if err != nil {
		return Orgs{}, err
	}
	call.Replay = nil
	return run(ctx, s, call, step[Orgs]{
		scope: apikey.Admin,
		decide: func(u *unit) (Orgs, error) {
			bound := []string{"orgs", u.caller.key.Org}
			from := store.Query{Partition: orgsPartition, Limit: limit + 1}
			if err := u.openCursor(q.Cursor, bound, &from.After); err != nil {
				return Orgs{}, err
			}
			items, err := u.seenOrgs(from)
			if err != nil {
				return Orgs{}, err
			}
			answer := Orgs{Items: []Org{}}
			for i, item := range items {
				if i == limit {
					answer.Cursor = u.cursor(bound, items[i-1].Key.Sort)
					break
				}
				var o seenOrg
				if err := record.Decode(item, &o); err != nil {
					return Orgs{}, err
				}
				answer.Items = append(answer.Items, Org{o.Org, o.First})
			}
			return answer, nil
		},
	})
}

// seenOrgs returns the entries of orgs that the caller may see, up to the limit of the query.
func (u *unit) seenOrgs(q store.Query) (items []store.Item, err error) {
	if only := u.caller.key.Org; only != "" {
		item, err := store.GetOne(u.ctx, u.s.Store, seenOrgKey(routeOf(only, "")))
		if err != nil || item.Absent() || q.After != "" {
			return nil, err
		}
		return []store.Item{item}, nil
	}
	for most, more := q.Limit, true; more && len(items) < most; {
		q.Limit = most - len(items)
		page, err := u.s.Store.Query(u.ctx, q)
		if err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		q.After, more = page.Last, page.More
	}
	return items, nil
}
