package mfa

import (
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"countersign/pkg/seal"
	"countersign/pkg/text"
)

// An Optional is a JSON field that can be absent (leave as it is), null (clear) or a value (set).
type Optional[T any] struct {
	Set   bool // the field was there
	Value *T   // nil: null
}

// Some is an Optional that sets value.
func Some[T any](value T) Optional[T] { return Optional[T]{Set: true, Value: &value} }

// A Person is a user as the client knows it at this moment.
type Person struct {
	ID     string           `json:"id"`
	Email  Optional[string] `json:"email,omitzero"`
	Phone  Optional[string] `json:"phone,omitzero"` // E.164
	Name   Optional[string] `json:"name,omitzero"`
	Locale Optional[string] `json:"locale,omitzero"` // BCP 47; the language counts: en or fr
}

// withoutNulls is the person as a sign-in means it: many JSON libraries send null for what was not set, so that there only a
// value changes anything.
func (q Person) withoutNulls() Person {
	for _, field := range []*Optional[string]{&q.Email, &q.Phone, &q.Name, &q.Locale} {
		if field.Value == nil {
			*field = Optional[string]{}
		}
	}
	return q
}

// Profile is what the client has said of a user. Empty means not known.
type Profile struct {
	Email  string `json:"email,omitempty"`
	Phone  string `json:"phone,omitempty"`
	Name   string `json:"name,omitempty"`
	Locale string `json:"locale,omitempty"`
}

// checkID answers InvalidRequest for what is not an id.
func checkID(param, id string) error {
	if id == "" {
		return invalid(param, "This field is required.")
	}
	if problem := text.CheckID(id); problem != "" {
		return invalid(param, "%s", problem)
	}
	return nil
}

// checkText answers InvalidRequest for a text that is too long, or that no line can hold.
func checkText(param, s string, most int) error {
	if problem := text.Check(s, most); problem != "" {
		return invalid(param, "%s", problem)
	}
	return nil
}

// A field of a Profile, with what makes a value for it good.
type profileField struct {
	name  string
	said  Optional[string]
	value *string
	good  func(string) bool
}

func (p *Profile) fields(said Person) []profileField {
	return []profileField{
		{"email", said.Email, &p.Email, goodEmail},
		{"phone", said.Phone, &p.Phone, goodPhone},
		{"name", said.Name, &p.Name, goodName},
		{"locale", said.Locale, &p.Locale, goodLocale},
	}
}

// follow takes over what the client says. A bad value is left out, and named.
func (p *Profile) follow(said Person) (bad []string) {
	for _, f := range p.fields(said) {
		switch {
		case !f.said.Set:
		case f.said.Value == nil:
			*f.value = ""
		case f.good(*f.said.Value):
			*f.value = *f.said.Value
		default:
			bad = append(bad, f.name)
		}
	}
	return bad
}

// moved names the contact that stopped being the user's, if one did: trust earned before is worth nothing after.
// A first address is not a change, since nothing was ever sent to an earlier one.
func (p Profile) moved(from Profile) string {
	switch {
	case from.Email != "" && p.Email != from.Email:
		return "email_changed"
	case from.Phone != "" && p.Phone != from.Phone:
		return "phone_changed"
	}
	return ""
}

// differs names the fields that are not as in from.
func (p Profile) differs(from Profile) (fields []string) {
	for i, f := range p.fields(Person{}) {
		if *f.value != *from.fields(Person{})[i].value {
			fields = append(fields, f.name)
		}
	}
	return fields
}

// goodEmail takes addresses that every mail system takes (RFC 5321 section 4.1.2, dot-string local part, ASCII domain).
func goodEmail(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || len(local) > 64 || len(s) > 254 || !goodDomain(domain) {
		return false
	}
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return !isAtext(r) }) {
			return false
		}
	}
	return true
}

func isAtext(r rune) bool {
	return r < utf8.RuneSelf && (isAlnum(r) || strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r))
}

func isAlnum(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

func goodDomain(domain string) bool {
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return !isAlnum(r) && r != '-' }) {
			return false
		}
	}
	return true
}

// goodPhone takes E.164: a plus, no leading zero, 7 to 15 digits.
func goodPhone(s string) bool {
	digits, ok := strings.CutPrefix(s, "+")
	return ok && len(digits) >= 7 && len(digits) <= 15 && digits[0] != '0' &&
		!strings.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
}

func goodName(s string) bool { return s != "" && checkText("", s, 200) == nil }

func goodLocale(s string) bool {
	return len(s) >= 2 && len(s) <= 35 && !strings.ContainsFunc(s, func(r rune) bool { return !isAlnum(r) && r != '-' })
}

// A FirstFactor is how the user came in before Countersign was asked, on the client's word.
type FirstFactor struct {
	Kind string     `json:"kind"` // password, sso or other; empty means password
	At   *time.Time `json:"at,omitempty"`
	IdP  *string    `json:"idp,omitempty"`
	AMR  []string   `json:"amr,omitempty"` // RFC 8176 values, from the identity provider
	ACR  *string    `json:"acr,omitempty"`
}

func (f *FirstFactor) check() error {
	switch f.Kind {
	case "":
		f.Kind = "password"
	case "password", "sso", "other":
	default:
		return invalid("first_factor.kind", "The kind must be one of password, sso and other.")
	}
	if len(f.AMR) > 16 {
		return invalid("first_factor.amr", "The list can have at most 16 values.")
	}
	for _, v := range f.AMR {
		if err := checkText("first_factor.amr", v, 64); err != nil {
			return err
		}
	}
	for param, v := range map[string]*string{"first_factor.idp": f.IdP, "first_factor.acr": f.ACR} {
		if v == nil {
			continue
		}
		if err := checkText(param, *v, 256); err != nil {
			return err
		}
	}
	return nil
}

// A Context is where the user is signing in from, on the client's word. It goes to the activity and decides nothing.
type Context struct {
	IP        string `json:"ip"`
	UserAgent string `json:"user_agent"`
}

func (c *Context) check() error {
	if c.IP != "" {
		if addr, err := netip.ParseAddr(c.IP); err != nil || addr.Zone() != "" {
			return invalid("context.ip", "The value must be an IPv4 or IPv6 address without a zone.")
		}
	}
	if !utf8.ValidString(c.UserAgent) || len(c.UserAgent) > 2048 {
		return invalid("context.user_agent", "The value can have at most 2048 bytes of UTF-8.")
	}
	return nil
}

// underOrigin reports whether raw is an absolute URL under one of origins (scheme, host and port equal, no user info).
func underOrigin(raw string, origins []string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || u.Opaque != "" || strings.ContainsAny(raw, "\\\t\r\n ") {
		return false
	}
	for _, origin := range origins {
		if u.Scheme+"://"+u.Host == origin {
			return true
		}
	}
	return false
}

// A route is where a user's items are: the hash of the org, then that of org and user together. Ids and bearers carry
// it in front of their random part, so that all reads of a step can start at once.
type route string

const routeLen = 2 * seal.RouteLen

func routeOf(org, user string) route { return route(seal.Route(org) + seal.Route(org, user)) }

// org is the org's half of a route.
func (r route) org() route { return r[:seal.RouteLen] }
