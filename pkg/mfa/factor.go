package mfa

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"countersign/pkg/seal"
)

// A factor that the user could answer with now.
type factor struct {
	ID      string
	Kind    Kind
	Label   string
	Contact string // where its codes go
	Used    time.Time
	secret  []byte // of totp, sealed
}

func (f factor) hint() string {
	if f.Kind == Email {
		return maskEmail(f.Contact)
	}
	return ""
}

// maskEmail shows enough of an address to recognise one's own: the first letter and the domain.
func maskEmail(address string) string {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || local == "" {
		return ""
	}
	return local[:1] + "***@" + domain
}

// strength orders the kinds, the strongest first.
func (k Kind) strength() int { return slices.Index([]Kind{WebAuthn, TOTP, SMS, Email}, k) }

// factors are those that p lets the user answer with, the strongest first and of one kind the last used. Where email is
// no backup, it is only for who has nothing else.
func (a *account) factors(p *Policy) []factor {
	if a.guard == nil {
		return nil
	}
	var usable []factor
	for i := range a.enrolled {
		h := &a.enrolled[i]
		l := a.guard.live(h.ID)
		if l == nil || p.method(h.Kind) == NotAllowed {
			continue
		}
		if h.Kind == Email && p.Methods.Email == Implicit && h.Contact == a.guard.Profile.Email {
			continue // the address is a factor as it is
		}
		usable = append(usable, factor{ID: h.ID, Kind: h.Kind, Label: h.Label, Contact: h.Contact, Used: l.Used, secret: h.Secret})
	}
	if p.Methods.Email == Implicit && a.guard.Profile.Email != "" {
		usable = append(usable, factor{ID: a.implicitEmail(), Kind: Email, Contact: a.guard.Profile.Email})
	}
	slices.SortStableFunc(usable, func(x, y factor) int {
		return cmp.Or(cmp.Compare(x.Kind.strength(), y.Kind.strength()), y.Used.Compare(x.Used))
	})
	if p.EmailBackup == NotAllowed && len(usable) > 0 && usable[0].Kind != Email {
		usable = slices.DeleteFunc(usable, func(f factor) bool { return f.Kind == Email })
	}
	return usable
}

// implicitEmail is the id of the account's address as a factor: the same for as long as the user is the same.
func (a *account) implicitEmail() string {
	sum := sha256.Sum256(seal.Join(string(a.route), "implicit email"))
	return "fa_" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// live finds an enrolled factor that counts; nil: it is none.
func (g *guard) live(id string) *live {
	for i := range g.Factors {
		if g.Factors[i].ID == id {
			return &g.Factors[i]
		}
	}
	return nil
}

// factor finds an enrolled factor of the user; nil: there is no such one.
func (a *account) factor(id string) *heldFactor {
	if a.guard == nil || a.guard.live(id) == nil {
		return nil
	}
	for i := range a.enrolled {
		if a.enrolled[i].ID == id {
			return &a.enrolled[i]
		}
	}
	return nil
}

// kinds are those of the user's enrolled factors, each once.
func (g *guard) kinds() []Kind {
	var kinds []Kind
	for _, l := range g.Factors {
		if !slices.Contains(kinds, l.Kind) {
			kinds = append(kinds, l.Kind)
		}
	}
	slices.SortFunc(kinds, func(x, y Kind) int { return cmp.Compare(x.strength(), y.strength()) })
	return kinds
}

// on reports whether the user's 2FA is on: there is something to ask for, and it is asked for.
func (a *account) on(p *Policy) bool {
	return a.guard != nil && (a.guard.Enabled || a.guard.required(p)) && len(a.factors(p)) > 0
}

// mostFactors is how many factors a user can have.
const mostFactors = 10

// enrollable are the kinds that the user could enrol now, the strongest first.
func (a *account) enrollable(p *Policy) []Kind {
	kinds := []Kind{}
	for _, kind := range []Kind{TOTP, Email} {
		if a.mayEnrol(kind, p) == nil {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// mayEnrol refuses a kind that the policy or the user's account leaves no room for.
func (a *account) mayEnrol(kind Kind, p *Policy) error {
	switch kind {
	case TOTP:
		if p.Methods.TOTP != Allowed {
			return refuse(MethodForbidden, "The organisation's policy doesn't allow this kind of factor.")
		}
	case Email:
		usable := a.factors(p)
		switch {
		case p.Methods.Email == Implicit:
			return refuse(MethodForbidden, "The account's email address is a factor as it is.")
		case p.Methods.Email != Enrolled,
			p.EmailBackup == NotAllowed && len(usable) > 0 && usable[0].Kind != Email:
			return refuse(MethodForbidden, "The organisation's policy doesn't allow this kind of factor.")
		case a.guard.Profile.Email == "":
			return refuse(NothingToSend, "The user has no email address to send a code to.")
		}
		for i := range a.enrolled {
			if h := &a.enrolled[i]; h.Kind == Email && h.Contact == a.guard.Profile.Email && a.guard.live(h.ID) != nil {
				return refuse(AlreadyExists, "This address is enrolled.")
			}
		}
	default:
		return refuse(MethodForbidden, "Enrolling a factor of this kind is not yet supported.")
	}
	if len(a.guard.Factors) >= mostFactors {
		return refuse(MethodForbidden, "The user has as many factors as one can have.")
	}
	return nil
}

// A Factor is an enrolled authenticator. An implicit email isn't enrolled and isn't listed.
type Factor struct {
	ID       string     `json:"id"`
	Kind     Kind       `json:"kind"`
	Label    string     `json:"label"`
	Hint     string     `json:"hint"`
	Created  time.Time  `json:"created"`
	LastUsed *time.Time `json:"last_used"` // null: never
}

func (r *factorRecord) shown(l *live) Factor {
	shown := Factor{ID: r.ID, Kind: r.Kind, Label: r.Label, Hint: factor{Kind: r.Kind, Contact: r.Contact}.hint(), Created: r.Created}
	if !l.Used.IsZero() {
		shown.LastUsed = &l.Used
	}
	return shown
}

// shownFactors are all that the user has enrolled, oldest first, whatever the policy makes of them.
func (a *account) shownFactors() []Factor {
	shown := []Factor{}
	for _, l := range a.guard.Factors {
		if h := a.factor(l.ID); h != nil {
			shown = append(shown, h.shown(&l))
		}
	}
	return shown
}
