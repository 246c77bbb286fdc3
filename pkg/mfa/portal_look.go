package mfa

import (
	"context"
	"time"
)

// A PortalSession is a portal session as its own pages see it. It has User for a user's own session, and Administrator for an
// administrator's.
type PortalSession struct {
	Org             string         `json:"org"` // that the session is about
	User            *string        `json:"user"`
	Administrator   *Administrator `json:"administrator"`
	ReturnURL       *string        `json:"return_url"`
	Locale          *string        `json:"locale"` // the one that the client gave, or else the person's own
	Brand           Brand          `json:"brand"`  // of the org
	Expires         time.Time      `json:"expires"`
	Reauthenticated *time.Time     `json:"reauthenticated_at"`
}

// LookAtPortalSession tells the holder of a portal token what the session is about.
func (s *Service) LookAtPortalSession(ctx context.Context, call Call) (PortalSession, error) {
	var p *orgPolicy
	st := step[PortalSession]{
		portal: byUser | byAdministrator | reading,
		decide: func(u *unit) (PortalSession, error) {
			session := u.caller.session
			shown := PortalSession{
				Org: session.about(), ReturnURL: session.ReturnURL, Locale: session.Locale, Brand: p.Brand, Expires: session.Ends, Reauthenticated: session.Reauthenticated,
			}
			if session.Administers == "" {
				shown.User = &session.User
			} else {
				shown.Administrator = &Administrator{Org: session.Org, User: session.User}
			}
			if shown.Locale == nil {
				shown.Locale = orNull(u.caller.portal.person.guard.Profile.Locale)
			}
			return shown, nil
		},
	}
	if carried, ok := call.byPortal(); ok {
		org := carried.administers()
		if org == "" {
			org = carried.person().org()
		}
		st.reads = []read{readPolicy(org, "", &p)}
	}
	return run(ctx, s, call, st)
}
