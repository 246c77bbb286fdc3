package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"countersign/pkg/mfa"
)

// Account binds the step "account" to s.
func Account(s *mfa.Service) Handlers {
	return Handlers{step: "account", bound: map[string]handler{
		"getUser": serve(operation[struct{}, mfa.User]{
			bodiless: true,
			do: func(ctx context.Context, call mfa.Call, at target, _ struct{}) (mfa.User, error) {
				return s.GetUser(ctx, call, at.org, at.user)
			},
		}),
		"putUser": serve(operation[mfa.Person, mfa.User]{
			nullable: []string{"email", "phone", "name", "locale"},
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.Person) (mfa.User, error) {
				if q.ID != "" && q.ID != at.user {
					return mfa.User{}, invalid("id", "The path names another user.")
				}
				q.ID = at.user
				return s.PutUser(ctx, call, at.org, q)
			},
		}),
		"eraseUser": serve(operation[struct{}, struct{}]{
			bodiless: true,
			do: func(ctx context.Context, call mfa.Call, at target, _ struct{}) (struct{}, error) {
				return struct{}{}, s.EraseUser(ctx, call, at.org, at.user)
			},
			present: func(_ struct{}, a *answer) { a.status = http.StatusNoContent },
		}),
		"getUserActivity": serve(operation[mfa.ActivityQuery, mfa.Activity]{
			bodiless: true, query: narrowed,
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.ActivityQuery) (mfa.Activity, error) {
				if q.User != "" {
					return mfa.Activity{}, invalid("user", "The path names the user.")
				}
				q.Org, q.User = at.org, at.user
				return s.UserActivity(ctx, call, q)
			},
		}),
		"getOrgActivity": serve(operation[mfa.ActivityQuery, mfa.Activity]{
			bodiless: true, query: narrowed,
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.ActivityQuery) (mfa.Activity, error) {
				q.Org = at.org
				return s.OrgActivity(ctx, call, q)
			},
		}),
	}}
}

// narrowed reads what narrows a listing of events.
func narrowed(said url.Values, q *mfa.ActivityQuery) error {
	for name, values := range said {
		if len(values) != 1 || values[0] == "" {
			return invalid(name, "Once, and not empty.")
		}
		var err error
		switch value := values[0]; name {
		case "from":
			q.From, err = time.Parse(time.RFC3339, value)
		case "to":
			q.To, err = time.Parse(time.RFC3339, value)
		case "type":
			q.Type = value
		case "user":
			q.User = value
		case "cursor":
			q.Cursor = value
		default:
			return invalid("", "The query has a parameter that this call doesn't know.")
		}
		if err != nil {
			return invalid(name, "A time as in RFC 3339.")
		}
	}
	return nil
}
