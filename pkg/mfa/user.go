package mfa

import "time"

// A User is a user's account as the client sees it.
type User struct {
	ID              string           `json:"id"`
	Email           *string          `json:"email"`
	Phone           *string          `json:"phone"`
	Name            *string          `json:"name"`
	Locale          *string          `json:"locale"`
	Enabled         bool             `json:"enabled"`
	Enforced        bool             `json:"enforced"`
	Required        bool             `json:"required"`
	Status          string           `json:"status"` // protected, unprotected, grace or locked
	Factors         []Factor         `json:"factors"`
	Recovery        RecoveryState    `json:"recovery"`
	TrustedBrowsers []TrustedBrowser `json:"trusted_browsers"`
	GraceUntil      *time.Time       `json:"grace_until"`
	LockedUntil     *time.Time       `json:"locked_until"`
	WebAuthnSignal  *WebAuthnSignal  `json:"webauthn_signal,omitempty"` // nil for a user who has never had a security key or a passkey
}

// The statuses of a user.
const (
	Protected    = "protected"
	Unprotected  = "unprotected"
	InGrace      = "grace"
	StatusLocked = "locked"
)

func (a *account) shown(p *orgPolicy, now time.Time) User {
	g := a.guard
	u := User{
		ID: g.User, Email: orNull(g.Profile.Email), Phone: orNull(g.Profile.Phone), Name: orNull(g.Profile.Name),
		Locale: orNull(g.Profile.Locale), Enabled: g.Enabled, Enforced: g.Enforced, Required: g.required(&p.Policy),
		Status: Unprotected, Factors: a.shownFactors(), TrustedBrowsers: []TrustedBrowser{}, Recovery: g.recoveryState(p), WebAuthnSignal: a.signal(),
	}
	if usable := a.factors(&p.Policy); a.on(&p.Policy) || len(usable) > 0 && usable[len(usable)-1].ID == a.addressID() {
		u.Status = Protected
	}
	f, d := g.facts(), p.demand()
	if d.mayStillSkip(&f, now) {
		u.Status = InGrace
	}
	if g.GraceUntil != nil || d.requires(&f) {
		u.GraceUntil = d.graceEnds(&f)
	}
	if until, locked := g.WrongCodes.locked(false, now); locked { // as it is in browsers that aren't known
		u.Status, u.LockedUntil = StatusLocked, &until
	}
	if p.Trust.Days > 0 {
		for _, b := range a.browsers {
			if b.counts(g.browserEpoch(), p, now) {
				u.TrustedBrowsers = append(u.TrustedBrowsers, *b.shown(p))
			}
		}
	}
	return u
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
