package mfa

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
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

// A profileChange is what it takes to bring an account up to what a client says of the user.
type profileChange struct {
	met     bool // the user is seen for the first time
	changed bool // the guard has to be put
	relist  bool // and the user's line in the roster
	before  guard
	events  int // of the commit, before those that this brings
}

// applyProfile brings the account up to what the client says of the user, and makes it at the first sight of the user.
func (u *unit) applyProfile(a *account, p *orgPolicy, org string, said Person) profileChange {
	f := profileChange{met: !a.exists(), events: len(u.events)}
	if f.met {
		a.meet(org, said.ID)
		u.event(a.event(UserCreated, p, nil))
	}
	f.before = *a.guard
	bad := a.guard.Profile.follow(said)
	if cause := a.guard.Profile.moved(f.before.Profile); cause != "" {
		u.endAll(a, p, cause)
	}
	changed := a.guard.Profile.differs(f.before.Profile)
	if !f.met && len(changed) > 0 {
		e := u.event(a.event(UserUpdated, p, map[string]any{"changed": changed}))
		if a.guard.Profile.Email != f.before.Profile.Email {
			e.former = f.before.Profile
		}
	}
	for _, field := range bad {
		u.event(a.event(UserUpdated, p, map[string]any{"dropped": field}))
	}
	f.relist = f.met || (f.before.Profile.Email == "") != (a.guard.Profile.Email == "")
	f.changed = f.met || len(bad) > 0 || len(changed) > 0
	return f
}

// undo leaves the account as it was, because the call that said all this is refused: whoever may not change anything else
// changes no address either. A user who is seen for the first time stays, with what was said, so that an administrator
// finds whom to help. Between follow and undo nothing else may be planned.
func (f *profileChange) undo(u *unit, a *account) {
	if f.met {
		return
	}
	*a.guard = f.before
	u.events = u.events[:f.events]
	f.changed, f.relist = false, false
}

// UnmarshalJSON takes a field that is there: null, or a value.
func (o *Optional[T]) UnmarshalJSON(body []byte) error {
	*o = Optional[T]{Set: true}
	if bytes.Equal(body, []byte("null")) {
		return nil
	}
	return json.Unmarshal(body, &o.Value)
}

// MarshalJSON gives the value, or null. An absent field is left out by the tag omitzero.
func (o Optional[T]) MarshalJSON() ([]byte, error) { return json.Marshal(o.Value) }
