package mfa

import (
	"context"
	"slices"
	"time"

	"countersign/pkg/apikey"
)

// change is a step on the account of a user who exists, by a client that may manage it.
func change[T any](ctx context.Context, s *Service, call Call, org, user string, decide func(*unit, *account, *orgPolicy) (T, error)) (T, error) {
	return changeAs(ctx, s, call, apikey.Manage, org, user, decide)
}

// changeAs is change for a client that has scope.
func changeAs[T any](ctx context.Context, s *Service, call Call, scope apikey.Scope, org, user string, decide func(*unit, *account, *orgPolicy) (T, error)) (T, error) {
	var none T
	if err := checkUser(org, user); err != nil {
		return none, err
	}
	var a *account
	var p *orgPolicy
	r := routeOf(org, user)
	return run(ctx, s, call, step[T]{
		scope: scope, org: org,
		reads: []read{s.readAccount(r, &a), readPolicy(r, org, &p)},
		decide: func(u *unit) (T, error) {
			if !a.known() {
				return none, refuse(NotFound, "There is no such user.")
			}
			return decide(u, a, p)
		},
	})
}

// SetEnabled turns a user's 2FA on or off; factors and recovery codes stay. It needs a fresh user. Off, trust dies, and it
// is RequiredByPolicy where the user has no choice.
func (s *Service) SetEnabled(ctx context.Context, call Call, org, user string, on bool) (User, error) {
	return change(ctx, s, call, org, user, func(u *unit, a *account, p *orgPolicy) (User, error) {
		if err := u.fresh(call, a, p); err != nil {
			return User{}, err
		}
		g := a.guard
		if !on && g.required(&p.Policy) {
			return User{}, refuse(RequiredByPolicy, "The user is required to use 2FA, so it can't be turned off.")
		}
		if g.Enabled == on {
			return a.shown(p, u.now), nil
		}
		g.Enabled = on
		if on {
			u.event(a.event(UserEnabled, p, nil))
		} else {
			u.event(a.event(UserDisabled, p, nil))
			u.endTrust(a, p, "disabled")
		}
		u.list(a)
		u.putGuard(a, p)
		return a.shown(p, u.now), nil
	})
}

// RenameFactor gives a factor another label, of at most 100 bytes.
func (s *Service) RenameFactor(ctx context.Context, call Call, org, user, id, label string) (Factor, error) {
	if err := checkText("label", label, mostLabel); err != nil {
		return Factor{}, err
	}
	return change(ctx, s, call, org, user, func(u *unit, a *account, p *orgPolicy) (Factor, error) {
		h := a.factor(id)
		if h == nil {
			return Factor{}, refuse(NotFound, "The user has no such factor.")
		}
		if h.Label != label {
			h.Label = label
			u.put(h.item, &h.factorRecord, time.Time{})
			u.event(a.event(FactorRenamed, p, map[string]any{"factor": id, "kind": h.Kind}))
		}
		return h.shown(a.guard.live(id)), nil
	})
}

// RemoveFactor removes one factor, and trust dies with it. It needs a fresh user. It answers EmailPinned for an email
// that the policy keeps, and LastFactor for the only one of a user who must have one. Who has none left has 2FA off.
func (s *Service) RemoveFactor(ctx context.Context, call Call, org, user, id string) error {
	tried := false // by this call, whose commit may have been done and its answer lost
	_, err := change(ctx, s, call, org, user, func(u *unit, a *account, p *orgPolicy) (none struct{}, err error) {
		h := a.factor(id)
		switch {
		case h == nil && tried:
			return none, nil
		case h == nil:
			return none, refuse(NotFound, "The user has no such factor.")
		}
		if err := u.fresh(call, a, p); err != nil {
			return none, err
		}
		if p.pinned(h.Kind) {
			return none, refuse(EmailPinned, "The policy keeps email as a backup, so the email factor can't be removed on its own.")
		}
		g := a.guard
		if g.required(&p.Policy) && len(a.without(id).factors(&p.Policy)) == 0 {
			return none, refuse(LastFactor, "The user is required to use 2FA, and this is the last factor.")
		}
		tried = true
		u.remove(a, h, p, "")
		u.endTrust(a, p, "factor_removed")
		if len(g.Factors) == 0 {
			g.Recovery, g.Owed = nil, false
			if g.Enabled {
				g.Enabled = false
				u.event(a.event(UserDisabled, p, map[string]any{"cause": "factor_removed"}))
			}
		}
		u.list(a)
		u.putGuard(a, p)
		return none, nil
	})
	return err
}

// remove takes a factor from the guard and from the store. With a cause it is that which the user is told of.
func (u *unit) remove(a *account, h *heldFactor, p *orgPolicy, cause string) {
	u.delete(h.item)
	data := map[string]any{"factor": h.ID, "kind": h.Kind}
	if cause != "" {
		data["cause"] = cause
	}
	u.event(a.event(FactorRemoved, p, data))
	a.guard.Factors = a.without(h.ID).guard.Factors
}

// removeAll takes every factor, the recovery codes and all trust from the user, and turns 2FA off. Locks and counts of
// wrong answers stay. Whoever calls it says that 2FA is off, unless the same commit turns it on again.
func (u *unit) removeAll(a *account, p *orgPolicy, cause string) {
	for i := range a.enrolled {
		if h := &a.enrolled[i]; a.guard.live(h.ID) != nil {
			u.remove(a, h, p, cause)
		}
	}
	a.guard.Factors, a.guard.Recovery, a.guard.Owed, a.guard.Enabled = nil, nil, false, false
	u.endAll(a, p, cause)
}

// without is the account as it would be without one enrolled factor.
func (a *account) without(id string) *account {
	left, g := *a, *a.guard
	g.Factors = slices.DeleteFunc(slices.Clone(g.Factors), func(l live) bool { return l.ID == id })
	left.guard = &g
	return &left
}

// bare is the account as it would be without any.
func (a *account) bare() *account {
	left, g := *a, *a.guard
	g.Factors = nil
	left.guard = &g
	return &left
}

// A Browsers is one page of the list of a user's trusted browsers, in the order of their ids.
type Browsers struct {
	Items  []TrustedBrowser `json:"items"`
	Cursor *string          `json:"cursor"` // null: there are no more
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

// RevokeBrowser ends trust in one browser. Nothing that begins after it returned is spared the question there.
func (s *Service) RevokeBrowser(ctx context.Context, call Call, org, user, id string) error {
	tried := false // by this call, whose commit may have been done and its answer lost
	_, err := change(ctx, s, call, org, user, func(u *unit, a *account, p *orgPolicy) (none struct{}, err error) {
		h := a.browser(id)
		gone := h == nil || !h.live(a.guard.trustEpoch(), p, u.now)
		switch {
		case gone && tried:
			return none, nil
		case gone:
			return none, refuse(NotFound, "The user has no such trusted browser.")
		}
		tried = true
		u.end(h, a.guard, "revoked", p.Version)
		a.guard.endKnown()
		u.putGuard(a, p)
		return none, nil
	})
	return err
}

// RevokeBrowsers ends trust in all of a user's browsers, and with it open challenges, enrolments and proofs.
func (s *Service) RevokeBrowsers(ctx context.Context, call Call, org, user string) error {
	_, err := change(ctx, s, call, org, user, func(u *unit, a *account, p *orgPolicy) (none struct{}, err error) {
		u.endAll(a, p, "revoked")
		u.putGuard(a, p)
		return none, nil
	})
	return err
}

// What a client can report of a user.
const (
	PasswordChanged = "password_changed"
	EmailChanged    = "email_changed"
	PhoneChanged    = "phone_changed"
	SignedOut       = "signed_out" // everywhere, not from one session
	Deprovisioned   = "deprovisioned"
)

// A Reported says what died of what a client reported.
type Reported struct {
	Kind            string `json:"kind"`
	TrustedBrowsers int    `json:"trusted_browsers"` // that are trusted no more
	Challenges      bool   `json:"challenges"`       // what was open can't be answered any more; always true
}

// Report takes a client's word on something that happened to a user. Each of them ends all trust, and every open
// challenge, enrolment and proof. After Deprovisioned every start is Forbidden until the client puts the user again.
func (s *Service) Report(ctx context.Context, call Call, org, user, kind string) (Reported, error) {
	if !slices.Contains([]string{PasswordChanged, EmailChanged, PhoneChanged, SignedOut, Deprovisioned}, kind) {
		return Reported{}, invalid("kind", "The kind must be one of password_changed, email_changed, phone_changed, signed_out and deprovisioned.")
	}
	return change(ctx, s, call, org, user, func(u *unit, a *account, p *orgPolicy) (Reported, error) {
		u.event(a.event(UserReported, p, map[string]any{"kind": kind}))
		ended := u.endAll(a, p, kind)
		a.guard.Deprovisioned = a.guard.Deprovisioned || kind == Deprovisioned
		u.putGuard(a, p)
		return Reported{Kind: kind, TrustedBrowsers: ended, Challenges: true}, nil
	})
}
