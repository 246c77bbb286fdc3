package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"countersign/pkg/mfa"
)

// Account binds the routes of the step "account" to s.
func Account(s *mfa.Service) Handlers {
	return Handlers{step: "account", knows: s.Knows, bound: map[string]handler{
		"listUsers": serve(operation[mfa.UserQuery, mfa.Users]{
			bodiless: true, query: searching,
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.UserQuery) (mfa.Users, error) {
				q.Org = at.org
				return s.ListUsers(ctx, call, q)
			},
		}),
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
					return mfa.User{}, invalid("id", "The id in the body is not the user in the path.")
				}
				q.ID = at.user
				return s.PutUser(ctx, call, at.org, q)
			},
		}),
		"eraseUser": gone(func(ctx context.Context, call mfa.Call, at target) error {
			return s.EraseUser(ctx, call, at.org, at.user)
		}),
		"patchUser": serve(operation[userPatch, mfa.User]{
			nullable: []string{"grace_until"},
			do: func(ctx context.Context, call mfa.Call, at target, q userPatch) (mfa.User, error) {
				if err := q.check(); err != nil {
					return mfa.User{}, err
				}
				if q.Enabled != nil {
					return s.SetEnabled(ctx, call, at.org, at.user, *q.Enabled)
				}
				return s.Enforce(ctx, call, at.org, at.user, mfa.Enforcement{Enforced: q.Enforced, GraceUntil: q.GraceUntil})
			},
		}),
		"renameFactor": serve(operation[factorPatch, mfa.Factor]{
			do: func(ctx context.Context, call mfa.Call, at target, q factorPatch) (mfa.Factor, error) {
				if q.Label == nil {
					return mfa.Factor{}, invalid("label", "The label is required: it is the only thing about a factor that can be changed.")
				}
				return s.RenameFactor(ctx, call, at.org, at.user, at.factor, *q.Label)
			},
		}),
		"removeFactor": gone(func(ctx context.Context, call mfa.Call, at target) error {
			return s.RemoveFactor(ctx, call, at.org, at.user, at.factor)
		}),
		"makeRecoveryCodes": serve(operation[struct{}, mfa.RecoveryCodes]{
			optional: true,
			do: func(ctx context.Context, call mfa.Call, at target, _ struct{}) (mfa.RecoveryCodes, error) {
				return s.NewRecoveryCodes(ctx, call, at.org, at.user)
			},
			present: func(_ mfa.RecoveryCodes, a *answer) { a.status = http.StatusCreated },
		}),
		"listBrowsers": serve(operation[mfa.ListQuery, mfa.Browsers]{
			bodiless: true, query: paging,
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.ListQuery) (mfa.Browsers, error) {
				return s.ListBrowsers(ctx, call, at.org, at.user, q)
			},
		}),
		"revokeBrowsers": gone(func(ctx context.Context, call mfa.Call, at target) error {
			return s.RevokeBrowsers(ctx, call, at.org, at.user)
		}),
		"revokeBrowser": gone(func(ctx context.Context, call mfa.Call, at target) error {
			return s.RevokeBrowser(ctx, call, at.org, at.user, at.id)
		}),
		"reportEvent": serve(operation[userEvent, mfa.Reported]{
			do: func(ctx context.Context, call mfa.Call, at target, q userEvent) (mfa.Reported, error) {
				return s.Report(ctx, call, at.org, at.user, q.Kind)
			},
		}),
		"introspect": serve(operation[mfa.IntrospectRequest, mfa.Introspection]{
			repeats: true,
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.IntrospectRequest) (mfa.Introspection, error) {
				return s.Introspect(ctx, call, q)
			},
		}),
		"getUserActivity": serve(operation[mfa.ActivityQuery, mfa.Activity]{
			bodiless: true, query: narrowing,
			do: func(ctx context.Context, call mfa.Call, at target, q mfa.ActivityQuery) (mfa.Activity, error) {
				if q.User != "" {
					return mfa.Activity{}, invalid("user", "The path already names the user. Leave this parameter out.")
				}
				q.Org, q.User = at.org, at.user
				return s.UserActivity(ctx, call, q)
			},
		}),
		"getOrgActivity": orgActivityOf(s),
	}}
}

// A userPatch changes what the user decides, or what an administrator decides about the user.
type userPatch struct {
	Enabled *bool `json:"enabled"`

	Enforced   *bool                   `json:"enforced"`
	GraceUntil mfa.Optional[time.Time] `json:"grace_until,omitzero"`
}

func (q *userPatch) check() error {
	switch administers := q.Enforced != nil || q.GraceUntil.Set; {
	case q.Enabled != nil && administers:
		return invalid("enabled", "This value is the user's own decision. It can't be changed together with enforced or grace_until, which are an administrator's.")
	case q.Enabled == nil && !administers:
		return invalid("enabled", "One of enabled, enforced and grace_until is required.")
	}
	return nil
}

// A factorPatch changes a factor.
type factorPatch struct {
	Label *string `json:"label"`
}

// A userEvent is what a client reports about a user.
type userEvent struct {
	Kind string `json:"kind"`
}

// gone serves a call that removes something. Its answer has no body.
func gone(remove func(context.Context, mfa.Call, target) error) handler {
	return serve(operation[struct{}, struct{}]{
		bodiless: true,
		do: func(ctx context.Context, call mfa.Call, at target, _ struct{}) (struct{}, error) {
			return struct{}{}, remove(ctx, call, at)
		},
		present: func(_ struct{}, a *answer) { a.status = http.StatusNoContent },
	})
}

// paging has the query parameters of every list. They say which page of the list is asked for.
var paging = map[string]func(string, *mfa.ListQuery) error{
	"limit":  func(value string, q *mfa.ListQuery) error { return readLimit(value, &q.Limit) },
	"cursor": func(value string, q *mfa.ListQuery) error { q.Cursor = value; return nil },
}

// narrowing has the query parameters that restrict a list of events.
var narrowing = map[string]func(string, *mfa.ActivityQuery) error{
	"from":   func(value string, q *mfa.ActivityQuery) error { return readTime("from", value, &q.From) },
	"to":     func(value string, q *mfa.ActivityQuery) error { return readTime("to", value, &q.To) },
	"type":   func(value string, q *mfa.ActivityQuery) error { q.Type = value; return nil },
	"user":   func(value string, q *mfa.ActivityQuery) error { q.User = value; return nil },
	"limit":  func(value string, q *mfa.ActivityQuery) error { return paging["limit"](value, &q.ListQuery) },
	"cursor": func(value string, q *mfa.ActivityQuery) error { return paging["cursor"](value, &q.ListQuery) },
}

// searching has the query parameters that restrict a list of users.
var searching = map[string]func(string, *mfa.UserQuery) error{
	"q":      func(value string, q *mfa.UserQuery) error { q.Q = value; return nil },
	"status": func(value string, q *mfa.UserQuery) error { q.Status = value; return nil },
	"limit":  func(value string, q *mfa.UserQuery) error { return paging["limit"](value, &q.ListQuery) },
	"cursor": func(value string, q *mfa.UserQuery) error { return paging["cursor"](value, &q.ListQuery) },
}

// readLimit reads how many items a page may have. It accepts only one way to write each number.
func readLimit(value string, into *int) error {
	limit, err := strconv.Atoi(value)
	if err != nil || limit < 1 || limit > mfa.MaxListLimit || strconv.Itoa(limit) != value {
		return invalid("limit", "The limit must be a whole number from 1 to "+strconv.Itoa(mfa.MaxListLimit)+".")
	}
	*into = limit
	return nil
}

func readTime(param, value string, into *time.Time) (err error) {
	if *into, err = time.Parse(time.RFC3339, value); err != nil {
		return invalid(param, "The value must be a time as RFC 3339 writes it, such as 2026-11-22T10:00:00Z.")
	}
	return nil
}

// readDay reads a time, or a day in UTC, which stands for its beginning and further days after that.
func readDay(param, value string, further int, into *time.Time) error {
	if day, err := time.Parse(time.DateOnly, value); err == nil {
		*into = day.AddDate(0, 0, further)
		return nil
	}
	if readTime(param, value, into) != nil {
		return invalid(param, "The value must be a day such as 2026-11-22, or a time as RFC 3339 writes it, such as 2026-11-22T10:00:00Z.")
	}
	return nil
}
