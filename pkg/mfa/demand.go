package mfa

import (
	"slices"
	"time"
)

// A demand is what a policy's enforcement goes by: of whom it requires a second factor, what counts as one, and until when
// users may skip setting one up. Decisions, previews, cut-offs and accounts all ask a demand, so that they can't disagree.
type demand struct {
	Everyone   bool       `json:"everyone" record:"1"` // it requires a second factor of all users, not only of those who are enforced
	Kinds      []Kind     `json:"kinds" record:"2"`    // the kinds that a user can answer with, in the order of the table of kinds
	Implicit   Kind       `json:"implicit" record:"3"` // the kind that the account's address is a factor of; empty if it is none
	GraceUntil *time.Time `json:"grace_until" record:"4"`
	MaxSkips   *int       `json:"max_skips" record:"5"`
}

func (p *Policy) demand() *demand {
	d := &demand{Everyone: p.Require == Everyone, GraceUntil: p.GraceUntil, MaxSkips: p.MaxSkips}
	for _, row := range kinds {
		if p.method(row.kind) != NotAllowed {
			d.Kinds = append(d.Kinds, row.kind)
		}
	}
	if k, implicit := p.implicitKind(); implicit {
		d.Implicit = k
	}
	return d
}

// Facts are what a demand asks about a user. The guard and the user's roster entry have the same, but that only the guard
// knows how many skips the user has spent.
type facts struct {
	Kinds      []Kind // of the enrolled factors, each once
	Address    bool   // the user has an email address
	Enforced   bool
	GraceUntil *time.Time // the user's own; nil if the policy's holds
	Skips      int        // how many skips the user has spent
}

func (g *guard) facts() facts {
	return facts{Kinds: g.kinds(), Address: g.Profile.Email != "", Enforced: g.Enforced, GraceUntil: g.GraceUntil, Skips: g.Skips}
}

func (e *rosterEntry) facts() facts {
	return facts{Kinds: e.Kinds, Address: e.Email, Enforced: e.Enforced, GraceUntil: e.GraceUntil}
}

// requires reports whether the user has to give a second factor, whether 2FA was turned on or not.
func (d *demand) requires(f *facts) bool { return d.Everyone || f.Enforced }

// usable returns the kinds that the user can answer with.
func (d *demand) usable(f *facts) []Kind {
	var usable []Kind
	for _, k := range f.Kinds {
		if slices.Contains(d.Kinds, k) {
			usable = append(usable, k)
		}
	}
	if d.Implicit != "" && f.Address && !slices.Contains(usable, d.Implicit) {
		usable = append(usable, d.Implicit)
	}
	return usable
}

// lacks reports whether the user has to give a second factor and has none that counts.
func (d *demand) lacks(f *facts) bool { return d.requires(f) && len(d.usable(f)) == 0 }

// graceEnds returns until when the user may skip setting a factor up, by the date alone. It is nil if the user may not.
func (d *demand) graceEnds(f *facts) *time.Time {
	if f.GraceUntil != nil {
		return f.GraceUntil
	}
	return d.GraceUntil
}

// skipsLeft returns how many skips the user has left; nil if their number has no bound.
func (d *demand) skipsLeft(f *facts) *int {
	if d.MaxSkips == nil {
		return nil
	}
	left := max(0, *d.MaxSkips-f.Skips)
	return &left
}

// mayStillSkip reports whether the user lacks a factor and may skip setting one up at that moment.
func (d *demand) mayStillSkip(f *facts, now time.Time) bool {
	ends, left := d.graceEnds(f), d.skipsLeft(f)
	return d.lacks(f) && ends != nil && now.Before(*ends) && (left == nil || *left > 0)
}

// mustEnrol reports whether the user has to enrol a factor before the next sign-in can succeed.
func (d *demand) mustEnrol(f *facts, now time.Time) bool {
	return d.lacks(f) && !d.mayStillSkip(f, now)
}

// countsSkips reports whether it depends on the number of spent skips what d demands of the user, so that the roster alone
// doesn't say it.
func (d *demand) countsSkips(f *facts, now time.Time) bool {
	return d.MaxSkips != nil && d.mayStillSkip(f, now)
}

// covers reports whether each user of whom less demanded an enrolment then has to enrol under d now, if nothing about the user
// has changed since.
func (d *demand) covers(less *demand, then, now time.Time) bool {
	switch {
	case less.Everyone && !d.Everyone, d.Implicit != "" && less.Implicit != d.Implicit, less.fewerSkips(d):
		return false
	case slices.ContainsFunc(d.Kinds, func(k Kind) bool { return !slices.Contains(less.Kinds, k) }):
		return false
	}
	return !d.opensAt(now) || less.opensAt(then)
}

// fewerSkips reports whether d bounds the number of skips more tightly than other.
func (d *demand) fewerSkips(other *demand) bool {
	return d.MaxSkips != nil && (other.MaxSkips == nil || *d.MaxSkips < *other.MaxSkips)
}

// opensAt reports whether the policy's own date lets users skip at that moment.
func (d *demand) opensAt(now time.Time) bool { return d.GraceUntil != nil && now.Before(*d.GraceUntil) }
