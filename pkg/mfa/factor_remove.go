package mfa

import (
	"context"
	"slices"
)

// RemoveFactor removes one factor, and ends trust in all of the user's browsers. If no factor is left, 2FA is off. The user
// must have just shown who they are (see Call). It returns EmailPinned for email that the policy keeps as a backup, and
// LastFactor for the only factor of a user who must have one.
func (s *Service) RemoveFactor(ctx context.Context, call Call, org, user, id string) error {
	tried := false // an earlier try of this call may have been committed, and its answer lost
	_, err := change(ctx, s, call, org, user, func(u *unit, a *account, p *orgPolicy) (none struct{}, err error) {
		f := a.factor(id)
		switch {
		case f == nil && tried:
			return none, nil
		case f == nil:
			return none, refuse(NotFound, "The user has no such factor.")
		}
		if err := u.fresh(call, a, p); err != nil {
			return none, err
		}
		if err := a.mayRemove(id, f.Kind, &p.Policy); err != nil {
			return none, err
		}
		tried = true
		u.remove(a, f, p, "")
		u.endTrust(a, p, "factor_removed")
		u.turnOffWithoutFactors(a, p)
		u.putRosterEntry(a)
		u.putGuard(a, p)
		return none, nil
	})
	return err
}

// mayRemove refuses to remove a factor of that kind on its own if the policy keeps it.
func (a *account) mayRemove(id string, kind Kind, p *Policy) error {
	if p.pinned(kind) {
		return refuse(EmailPinned, "The policy keeps email as a backup, so the email factor can't be removed on its own.")
	}
	if a.guard.required(p) && len(a.without(id).factors(p)) == 0 {
		return refuse(LastFactor, "The user is required to use 2FA, and this is the last factor.")
	}
	return nil
}

// remove takes a factor out of the guard and of the store. If there is a cause, the user is told about the cause and not
// about this.
func (u *unit) remove(a *account, f *factorRecord, p *orgPolicy, cause string) {
	u.delete(f.Item)
	u.forgetCredential(f)
	data := map[string]any{"factor": f.ID, "kind": f.Kind}
	if cause != "" {
		data["cause"] = cause
	}
	u.event(a.event(FactorRemoved, p, data))
	a.guard.Factors = a.without(f.ID).guard.Factors
}

// turnOffWithoutFactors turns 2FA off, and ends recovery codes, if no factor is left.
func (u *unit) turnOffWithoutFactors(a *account, p *orgPolicy) {
	if len(a.guard.Factors) > 0 {
		return
	}
	a.guard.Recovery, a.guard.RecoveryCodesDue = nil, false
	if a.guard.Enabled {
		a.guard.Enabled = false
		u.event(a.event(UserDisabled, p, map[string]any{"cause": "factor_removed"}))
	}
}

// removeAll takes every factor, the recovery codes and all trust from the user, and turns 2FA off. Locks and counts of wrong
// answers stay. Its caller plans the event that 2FA is off, unless the same commit turns it on again.
func (u *unit) removeAll(a *account, p *orgPolicy, cause string) {
	for _, f := range a.factorRecords {
		if a.guard.enrolled(f.ID) != nil {
			u.remove(a, f, p, cause)
		}
	}
	a.guard.Factors, a.guard.Recovery, a.guard.RecoveryCodesDue, a.guard.Enabled = nil, nil, false, false
	u.endAll(a, p, cause)
}

// without returns the account as it would be without one enrolled factor.
func (a *account) without(id string) *account {
	left, g := *a, *a.guard
	g.Factors = slices.DeleteFunc(slices.Clone(g.Factors), func(f enrolledFactor) bool { return f.ID == id })
	left.guard = &g
	return &left
}

// bare returns the account as it would be without any enrolled factor.
func (a *account) bare() *account {
	left, g := *a, *a.guard
	g.Factors = nil
	left.guard = &g
	return &left
}
