package mfa

import (
	"cmp"
	"slices"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A factor is one that the user could answer with now, or one that is being enrolled.
type factor struct {
	*factorRecord // the account's or the enrolment's own
	Used          time.Time
}

func (r *factorRecord) hint() string { return r.Kind.row().hint(r.Contact) }

// factors returns the factors that p lets the user answer with, the strongest first and, of one kind, the last used first.
// If p doesn't let email be a backup, email is left out unless the user has nothing stronger.
func (a *account) factors(p *Policy) []factor {
	if a.guard == nil {
		return nil
	}
	var usable []factor
	implicit, hasImplicit := a.implicitFactor(p)
	for _, f := range a.factorRecords {
		counts := a.guard.enrolled(f.ID)
		if counts == nil || p.method(f.Kind) == NotAllowed {
			continue
		}
		if hasImplicit && f.Kind == implicit.Kind && f.Contact == implicit.Contact {
			continue // the address is a factor as it is
		}
		usable = append(usable, factor{f, counts.Used})
	}
	if hasImplicit {
		usable = append(usable, implicit)
	}
	slices.SortStableFunc(usable, func(x, y factor) int {
		return cmp.Or(cmp.Compare(x.Kind.strength(), y.Kind.strength()), y.Used.Compare(x.Used))
	})
	if len(usable) > 0 {
		strongest := usable[0].Kind
		usable = slices.DeleteFunc(usable, func(f factor) bool { return f.Kind != strongest && !p.backsUp(f.Kind) })
	}
	return usable
}

// implicitFactor returns the account's address as a factor, and whether the policy makes it one without an enrolment.
func (a *account) implicitFactor(p *Policy) (f factor, implicit bool) {
	_, implicit = p.implicitKind()
	return a.addressFactor(), implicit && a.guard.Profile.Email != "" && a.guard.provesOwnAddress()
}

// factor returns an enrolled factor of the user, or nil if the user doesn't have it.
func (a *account) factor(id string) *factorRecord {
	if a.guard == nil || a.guard.enrolled(id) == nil {
		return nil
	}
	for _, f := range a.factorRecords {
		if f.ID == id {
			return f
		}
	}
	return nil
}

// on reports whether the user's 2FA is on: it is asked for, and the user has a factor to answer with.
func (a *account) on(p *Policy) bool {
	return a.guard != nil && (a.guard.Enabled || a.guard.required(p)) && len(a.factors(p)) > 0
}

// mostFactors is how many factors a user can have.
const mostFactors = 10

// enrollable returns the kinds that the user could enrol now, the strongest first.
func (a *account) enrollable(p *Policy) []Kind {
	room := []Kind{}
	for _, row := range kinds {
		if a.mayEnrol(row.kind, p) == nil {
			room = append(room, row.kind)
		}
	}
	return room
}

// mayEnrol refuses a kind for which the policy or the user's account has no room.
func (a *account) mayEnrol(kind Kind, p *Policy) error {
	if usable := a.factors(p); p.method(kind) == NotAllowed || len(usable) > 0 && usable[0].Kind != kind && !p.backsUp(kind) {
		return refuse(MethodForbidden, "The organisation's policy does not allow this kind of factor.")
	}
	if err := kind.row().room(a, p); err != nil {
		return err
	}
	if len(a.guard.Factors) >= mostFactors {
		return refuse(MethodForbidden, "The user already has the largest number of factors that a user can have.")
	}
	return nil
}

// A Factor is an enrolled factor as the client sees it. An address that is a factor without an enrolment is not listed.
type Factor struct {
	ID       string     `json:"id"`
	Kind     Kind       `json:"kind"`
	Label    string     `json:"label"`
	Hint     string     `json:"hint"`
	Created  time.Time  `json:"created"`
	LastUsed *time.Time `json:"last_used"` // null if it was never used

	Restricted bool `json:"restricted"` // factors of this kind are restricted (NIST SP 800-63B-4 section 3.2.9)

	*PasskeyFacts // nil for a factor that is no security key or passkey
}

// PasskeyFacts are what an enrolled security key or passkey has besides what every factor has.
type PasskeyFacts struct {
	Provider *string `json:"provider"` // a name for the maker of the authenticator, by its AAGUID; null if it isn't known
	Synced   bool    `json:"synced"`   // the key is backed up, so that the user's other devices have it too
	Variant  Variant `json:"variant"`  // that the user chose to enrol
}

func (r *factorRecord) shown(enrolled *enrolledFactor) Factor {
	shown := Factor{ID: r.ID, Kind: r.Kind, Label: r.Label, Hint: r.hint(), Created: r.Created, Restricted: r.Kind.row().restricted}
	if !enrolled.Used.IsZero() {
		shown.LastUsed = &enrolled.Used
	}
	if r.Passkey != nil {
		shown.PasskeyFacts = &PasskeyFacts{Provider: r.Passkey.provider(), Synced: enrolled.BackedUp, Variant: r.Passkey.Variant}
	}
	return shown
}

// shownFactors returns all factors that the user has enrolled, the oldest first, whatever the policy says of their kinds.
func (a *account) shownFactors() []Factor {
	shown := []Factor{}
	for _, enrolled := range a.guard.Factors {
		if f := a.factor(enrolled.ID); f != nil {
			shown = append(shown, f.shown(&enrolled))
		}
	}
	return shown
}

// An enrolledFactor is what the guard holds of a factor that counts. Everything else about the factor is in a factorRecord.
type enrolledFactor struct {
	ID   string    `json:"id" record:"1,id=fa_"`
	Kind Kind      `json:"kind" record:"2"`
	Used time.Time `json:"used" record:"3"` // when it was last used; zero if it never was
	Step int64     `json:"step" record:"4"` // for totp: the time step of the last code that was accepted; codes of it or before are not accepted

	// The last right response of a security key or a passkey has set these two.
	SignCount uint32 `json:"sign_count" record:"5"` // the signature counter: the next response must have a higher one, unless both are 0
	BackedUp  bool   `json:"backed_up" record:"6"`  // whether the passkey is synced to other devices

	// Of a passkey of which its registration doesn't say whether it can be synced: what its first response has said.
	BackupEligible *bool `json:"backup_eligible" record:"7"`
}

// A factorRecord is all that is kept of an enrolled factor, except what decides, which is in the guard.
type factorRecord struct {
	record.Head
	ID      string    `json:"id" record:"1,id=fa_"`
	Kind    Kind      `json:"kind" record:"2"`
	Label   string    `json:"label" record:"3"`
	Created time.Time `json:"created" record:"4"`
	Contact string    `json:"contact" record:"5"` // where its codes are sent, which is where it was proven; empty if nothing is sent
	Secret  []byte    `json:"secret" record:"6"`  // for totp: the sealed secret
	Country string    `json:"country" record:"7"` // for sms: the country of the number (ISO 3166-1 alpha-2)

	// These two are set for security keys and passkeys.
	Passkey   *Passkey      `json:"passkey" record:"8"`
	ClaimedBy store.Version `json:"claimed_by" record:"9,word"` // the commit that claimed the passkey's credential id for this factor

	App *appCodes `json:"app" record:"10"` // for totp: how the app makes its codes; nil for the way that every app supports
}
