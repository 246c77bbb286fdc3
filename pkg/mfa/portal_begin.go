package mfa

import (
	"context"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// A PortalRequest begins a portal session. Org is the organisation that it is about. Give User for a user's own account in Org, or
// Administrator for an administrator of Org.
type PortalRequest struct {
	Org             string         `json:"org"`
	User            string         `json:"user"`
	Administrator   *Administrator `json:"administrator"`
	Reauthenticated *time.Time     `json:"reauthenticated_at"` // when the client last checked the person's password; nil if that is not known
	ReturnURL       *string        `json:"return_url"`         // where the pages lead back to
	Locale          *string        `json:"locale"`             // of the pages, BCP 47; if nil, the person's own
}

// An Administrator is a user who administers an org: a user of that org, or of the operator's own org.
type Administrator struct {
	Org  string `json:"org"`
	User string `json:"user"`
}

func (q *PortalRequest) check() error {
	if err := checkID("org", q.Org); err != nil {
		return err
	}
	switch a := q.Administrator; {
	case a == nil && q.User == "":
		return invalid("user", "Give user for a user's own account, or administrator for an administrator of the organisation.")
	case a != nil && q.User != "":
		return invalid("administrator", "A portal session is of a user or of an administrator. Give one of the two.")
	case a != nil:
		if err := checkID("administrator.org", a.Org); err != nil {
			return err
		}
		if err := checkID("administrator.user", a.User); err != nil {
			return err
		}
	default:
		if err := checkID("user", q.User); err != nil {
			return err
		}
	}
	if q.Locale != nil && !goodLocale(*q.Locale) {
		return invalid("locale", "The locale must be a language tag such as en or fr-CA.")
	}
	return nil
}

// A BegunPortal is a portal session that was begun.
type BegunPortal struct {
	URL     *seal.Secret `json:"url,omitempty"` // of the page, with a handle that is good once and for 10 minutes
	Expires time.Time    `json:"expires"`       // of the session
}

// WithoutShownOnce returns the answer as it is repeated once what is shown only once may not be repeated any more.
func (a BegunPortal) WithoutShownOnce() any {
	a.URL = nil
	return a
}

// PortalToken is the kind of bearer that a handle of a portal session stands for.
const PortalToken = "portal"

// BeginPortalSession begins a portal session, which lasts an hour. A user's needs the scope manage, an administrator's the scope
// admin. An administrator is a user of the org that the session is about. One of another org is let in only by an API key that is good
// for every org: that is how the operator's own people come in, so it is Forbidden with a key that is limited to an org.
//
// It returns NotFound for a person who was never seen, Forbidden for one who was deprovisioned, and InvalidRequest for a password
// check in the future, or for a return_url that isn't under one of the client's origins.
func (s *Service) BeginPortalSession(ctx context.Context, call Call, q PortalRequest) (BegunPortal, error) {
	if err := q.check(); err != nil {
		return BegunPortal{}, err
	}
	scope, who, administers := apikey.Manage, person{q.Org, q.User}, ""
	if q.Administrator != nil {
		scope, who, administers = apikey.Admin, person(*q.Administrator), q.Org
	}
	r := routeOf(who.Org, who.User)
	a := &account{route: r}
	return run(ctx, s, call, step[BegunPortal]{
		scope: scope, org: q.Org,
		reads: []read{{
			key: guardKey(r),
			take: func(item store.Item) error {
				*a = account{route: r}
				if item.Absent() {
					return nil
				}
				return a.take(item)
			},
			follow: func(deployment int64) error { return a.follow(deployment) },
		}},
		admits: func(c *caller) error {
			if !c.covers(who.Org) {
				return refuse(Forbidden, "An administrator of another organisation is let in only by an API key that is good for every organisation.")
			}
			return c.mayReturn(q.ReturnURL)
		},
		decide: func(u *unit) (BegunPortal, error) {
			switch {
			case !a.exists():
				return BegunPortal{}, refuse(NotFound, "There is no such user.")
			case a.guard.Deprovisioned:
				return BegunPortal{}, refuse(Forbidden, "This user was deprovisioned. PUT the user again first.")
			case q.Reauthenticated != nil && q.Reauthenticated.Sub(u.now) > clockSkew:
				return BegunPortal{}, invalid("reauthenticated_at", "The time of a password check can't be in the future.")
			}
			carried := carriedByPortal(r, administers)
			token := u.filter.NewBearer(seal.PortalToken, carried[:])
			session := &portalSession{
				Org: who.Org, User: who.User, Administers: administers, Epoch: a.guard.Epoch, Reauthenticated: q.Reauthenticated,
				ReturnURL: q.ReturnURL, Locale: q.Locale, Ends: u.now.Add(portalFor),
				Grant: apikey.Grant{Client: u.caller.key.Client, Name: u.caller.key.Name, Origins: u.caller.key.Origins},
			}
			u.put(store.Item{Key: portalKey(seal.HashBearer(token.Reveal()))}, session, session.Ends)
			handle := u.putHandle(u.filter, PortalToken, token, u.now.Add(linkFor), session.Ends)
			return BegunPortal{URL: s.pageOf(PortalToken, handle), Expires: session.Ends}, nil
		},
	})
}

// checkInPortal refuses a start with a portal token that is not the person's own step-up for changing an account, or that says
// anything on the word of a client: a browser can have made it.
func (q *StartRequest) checkInPortal() error {
	for _, said := range []struct {
		param string
		said  bool
	}{
		{"user", !q.User.idOnly()},
		{"first_factor", q.FirstFactor.said()},
		{"trust_token", !q.TrustToken.IsZero()},
		{"context", q.Context != Context{}},
		{"return_url", q.ReturnURL != nil},
	} {
		if said.said {
			return invalid(said.param, "This can't be given with a portal token.")
		}
	}
	switch {
	case q.Purpose != StepUp:
		return invalid("purpose", "With a portal token only a step-up can be begun.")
	case q.Action != nil && (q.Action.Name != accountAction || len(q.Action.Lines) > 0):
		return invalid("action", "With a portal token the action of a step-up is account, or null.")
	}
	return nil
}

// mostStepUps is how many step-ups can be begun with one portal token. Each leaves a challenge in the store, and perhaps a remembered
// answer for a day.
const mostStepUps = 60

// stepUpInPortal refuses a step-up that a portal token may not begin now. One that leads to an enrolment needs a password that
// was checked just now, as an enrolment in the portal does: otherwise a token that somebody finds would let them enrol a first
// factor.
func (u *unit) stepUpInPortal(call Call, v *verdict) error {
	s := u.caller.session
	if v.Decision.Decision == Enrol {
		if err := u.reauthenticated(call); err != nil {
			return err
		}
	}
	if s.StepUps >= mostStepUps {
		e := refuse(TooManyRequests, "Too many step-ups were begun in this portal session.")
		e.RetryAfter = s.Ends.Sub(u.now)
		return e
	}
	return nil
}
