package mfa

import (
	"context"
	"slices"
)

// A Browsers is one page of the list of a user's trusted browsers, in the order of their ids.
type Browsers struct {
	Items  []TrustedBrowser `json:"items"`
	Cursor *string          `json:"cursor"` // null if there are no more
}

// ListBrowsers lists the browsers that the user trusts.
func (s *Service) ListBrowsers(ctx context.Context, call Call, org, user string, q ListQuery) (Browsers, error) {
	limit, err := q.limit()
	if err != nil {
		return Browsers{}, err
	}
	bound := []string{"browsers", org, user}
	return change(ctx, s, call, org, user, func(u *unit, a *account, p *orgPolicy) (Browsers, error) {
		last := ""
		if err := u.openCursor(q.Cursor, bound, &last); err != nil {
			return Browsers{}, err
		}
		items := slices.DeleteFunc(a.shown(p, u.now).TrustedBrowsers, func(b TrustedBrowser) bool { return b.ID <= last })
		if len(items) <= limit {
			return Browsers{Items: items}, nil
		}
		return Browsers{items[:limit], u.cursor(bound, items[limit-1].ID)}, nil
	})
}

// RevokeBrowser ends trust in one browser. Every sign-in there that begins after the call has returned needs an answer.
func (s *Service) RevokeBrowser(ctx context.Context, call Call, org, user, id string) error {
	tried := false // an earlier try of this call may have been committed, and its answer lost
	_, err := change(ctx, s, call, org, user, func(u *unit, a *account, p *orgPolicy) (none struct{}, err error) {
		b := a.browser(id)
		gone := b == nil || !b.counts(a.guard.browserEpoch(), p, u.now)
		switch {
		case gone && tried:
			return none, nil
		case gone:
			return none, refuse(NotFound, "The user has no such trusted browser.")
		}
		tried = true
		u.endBrowser(b, a.guard, causeRevoked, p.Version)
		a.guard.endKnownTokens()
		u.putGuard(a, p)
		return none, nil
	})
	return err
}

// RevokeBrowsers ends trust in all of a user's browsers, and with it all open challenges, enrolments and proofs.
func (s *Service) RevokeBrowsers(ctx context.Context, call Call, org, user string) error {
	_, err := change(ctx, s, call, org, user, func(u *unit, a *account, p *orgPolicy) (none struct{}, err error) {
		u.endAll(a, p, causeRevoked)
		u.putGuard(a, p)
		return none, nil
	})
	return err
}
