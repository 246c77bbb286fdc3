package mfa

import (
	"context"
	"slices"
)

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
			g.Recovery, g.RecoveryCodesDue = nil, false
			if g.Enabled {
				g.Enabled = false
				u.event(a.event(UserDisabled, p, map[string]any{"cause": "factor_removed"}))
			}
		}
		u.putRosterEntry(a)
		u.putGuard(a, p)
		return none, nil
	})
	return err
}

// remove takes a factor from the guard and from the store. With a cause it is that which the user is told of.
func (u *unit) remove(a *account, h *factorRecord, p *orgPolicy, cause string) {
	u.delete(h.Item)
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
	for _, f := range a.factorRecords {
		if a.guard.enrolled(f.ID) != nil {
			u.remove(a, f, p, cause)
		}
	}
	a.guard.Factors, a.guard.Recovery, a.guard.RecoveryCodesDue, a.guard.Enabled = nil, nil, false, false
	u.endAll(a, p, cause)
}

// without is the account as it would be without one enrolled factor.
func (a *account) without(id string) *account {
	left, g := *a, *a.guard
	g.Factors = slices.DeleteFunc(slices.Clone(g.Factors), func(f enrolledFactor) bool { return f.ID == id })
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
