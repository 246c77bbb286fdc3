package mfa

import (
	"context"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/store"
)

// An IntrospectRequest asks whether a session of a user may go on.
type IntrospectRequest struct {
	Org      string    `json:"org"`
	User     string    `json:"user"`
	IssuedAt time.Time `json:"issued_at"` // when the session began, as the answer that let the user in says it
}

// An Introspection says whether a session may go on. If not, it says since when and why.
type Introspection struct {
	Active bool       `json:"active"`
	Reason string     `json:"reason,omitempty"`
	Since  *time.Time `json:"since,omitempty"` // the end of all sessions that began until then
}

// Introspect says whether a session may go on that began at a moment. It may if that is later than the last moment at which all
// sessions of the user were ended: by a policy, by a reset or a recovery, by what the client has reported, or because the data
// was restored from a backup. Of a user who was never seen it knows only what policies have ended: such a user has no factor. It
// writes nothing.
func (s *Service) Introspect(ctx context.Context, call Call, q IntrospectRequest) (Introspection, error) {
	if err := checkUser(q.Org, q.User); err != nil {
		return Introspection{}, err
	}
	if q.IssuedAt.IsZero() {
		return Introspection{}, invalid("issued_at", "The moment is required at which the session began, as the answer that let the user in says it.")
	}
	call.Replay = nil // a call that changes nothing can be repeated
	var a *account
	var p *orgPolicy
	r := routeOf(q.Org, q.User)
	return run(ctx, s, call, step[Introspection]{
		scope: apikey.SignIn, orScope: apikey.Manage, org: q.Org,
		reads: []read{readGuardOf(r, &a), readPolicy(r, q.Org, &p)},
		decide: func(*unit) (Introspection, error) {
			ended := a.sessionsEnded(p)
			if ended == nil || q.IssuedAt.After(ended.At) {
				return Introspection{Active: true}, nil
			}
			return Introspection{Reason: ended.Reason, Since: &ended.At}, nil
		},
	})
}

// readGuardOf reads an account of which only the guard is needed.
func readGuardOf(r route, into **account) read {
	follow := func(deployment int64) error { return (*into).follow(deployment) }
	return read{key: guardKey(r), follow: follow, take: func(item store.Item) error {
		*into = &account{route: r, item: store.Item{Key: guardKey(r)}}
		if item.Absent() {
			return nil
		}
		return (*into).take(item)
	}}
}
