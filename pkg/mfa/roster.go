package mfa

import (
	"countersign/pkg/store"
	"slices"
	"time"
)

// putRosterEntry writes the user's line in the org's roster. It comes before the guard is put, which notes the line's version.
func (u *unit) putRosterEntry(a *account) {
	line := store.Item{Key: rosterKey(a.route), Version: a.guard.Listed}
	a.guard.Listed = u.version
	u.put(line, &listed{
		User: a.guard.User, Email: a.guard.Profile.Email != "", Kinds: a.guard.kinds(),
		Enabled: a.guard.Enabled, Enforced: a.guard.Enforced,
	}, time.Time{})
}

// usable are the kinds that p lets the user of a roster's line answer with.
func (l *listed) usable(p *Policy) []Kind {
	var kinds []Kind
	for _, k := range l.Kinds {
		if p.method(k) != NotAllowed {
			kinds = append(kinds, k)
		}
	}
	if k, implicit := p.implicitKind(); implicit && l.Email && !slices.Contains(kinds, k) {
		kinds = append(kinds, k)
	}
	return kinds
}
