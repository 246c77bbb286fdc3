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
	Account         *PortalAccount `json:"account"` // nil in an administrator's session
}

// A PortalAccount says what a user could do with the own account now. Pages need it to offer nothing that would be refused.
type PortalAccount struct {
	Kinds         []Kind       `json:"kinds"`          // that the user could enrol, the strongest first
	Kept          []KeptFactor `json:"kept"`           // the factors that can't be removed
	RecoveryCodes int          `json:"recovery_codes"` // how many a new set has; 0 if none can be made
	Countries     []string     `json:"sms_countries"`  // to whose numbers codes are sent (ISO 3166-1 alpha-2)
	Backup        *Backup      `json:"backup"`         // what is offered as a backup of the only factor; null if there is nothing to offer
}

// A KeptFactor is a factor that can't be removed on its own.
type KeptFactor struct {
	Factor string    `json:"factor"`
	Reason ErrorCode `json:"reason"` // that RemoveFactor refuses with: EmailPinned or LastFactor
}

// portalAccount returns what the user could do with the own account.
func (a *account) portalAccount(p *orgPolicy) *PortalAccount {
	can := &PortalAccount{Kinds: a.enrollable(&p.Policy), Kept: []KeptFactor{}, Countries: p.textCountries(), Backup: a.backup(p)}
	for _, f := range a.guard.Factors {
		if err := a.mayRemove(f.ID, f.Kind, &p.Policy); err != nil {
			can.Kept = append(can.Kept, KeptFactor{f.ID, AsError(err).Code})
		}
	}
	if len(a.factors(&p.Policy)) > 0 {
		can.RecoveryCodes = p.Recovery.Count
	}
	return can
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
				shown.User, shown.Account = &session.User, u.caller.portal.person.portalAccount(p)
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
