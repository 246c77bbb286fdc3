package mfa

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"countersign/pkg/message"
)

// An Optional is a JSON field that can be absent (its value stays as it is), null (it is cleared) or a value (it is set).
type Optional[T any] struct {
	Set   bool // the field was present
	Value *T   // nil for null
}

// Some returns an Optional that sets value.
func Some[T any](value T) Optional[T] { return Optional[T]{Set: true, Value: &value} }

// A Person is what a client says about a user in one call. Fields that are absent stay as they are.
type Person struct {
	ID     string           `json:"id"`
	Email  Optional[string] `json:"email,omitzero"`
	Phone  Optional[string] `json:"phone,omitzero"` // E.164
	Name   Optional[string] `json:"name,omitzero"`
	Locale Optional[string] `json:"locale,omitzero"` // BCP 47; only the language counts, en or fr
}

// withoutNulls returns the person with null taken for absent. Many JSON libraries send null for what was not set, so where a
// person comes with a sign-in or an enrolment, only a value changes anything.
func (q Person) withoutNulls() Person {
	for _, field := range []*Optional[string]{&q.Email, &q.Phone, &q.Name, &q.Locale} {
		if field.Value == nil {
			*field = Optional[string]{}
		}
	}
	return q
}

// A profile is what the client has said of a user. A field that is not known is empty.
type profile struct {
	Email  string `json:"email" record:"1"`
	Phone  string `json:"phone" record:"2"`
	Name   string `json:"name" record:"3"`
	Locale string `json:"locale" record:"4"`
}

// A profileField is a field of a profile, with what the client says of it and the check of its values.
type profileField struct {
	name  string
	said  Optional[string]
	value *string
	good  func(string) bool
}

func (p *profile) fields(said Person) []profileField {
	return []profileField{
		{"email", said.Email, &p.Email, goodEmail},
		{"phone", said.Phone, &p.Phone, goodPhone},
		{"name", said.Name, &p.Name, goodName},
		{"locale", said.Locale, &p.Locale, goodLocale},
	}
}

// update takes over what the client says. It leaves out a bad value, and returns the names of the fields that have one.
func (p *profile) update(said Person) (bad []string) {
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

// moved returns the cause for which trust ends if the email or phone in from is not the user's any more. Otherwise it is
// empty. A first address is no such change, because nothing was ever sent to an earlier one.
func (p profile) moved(from profile) string {
	switch {
	case from.Email != "" && p.Email != from.Email:
		return "email_changed"
	case from.Phone != "" && p.Phone != from.Phone:
		return "phone_changed"
	}
	return ""
}

// differs returns the names of the fields that are not the same in from.
func (p profile) differs(from profile) (fields []string) {
	for i, f := range p.fields(Person{}) {
		if *f.value != *from.fields(Person{})[i].value {
			fields = append(fields, f.name)
		}
	}
	return fields
}

// goodEmail accepts the addresses that every mail system takes (RFC 5321 section 4.1.2: the local part is a dot-string, the
// domain is in ASCII).
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

// goodPhone accepts E.164: a plus, and 7 to 15 digits of which the first is not zero.
func goodPhone(s string) bool {
	digits, ok := strings.CutPrefix(s, "+")
	return ok && len(digits) >= 7 && len(digits) <= 15 && digits[0] != '0' &&
		!strings.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
}

func goodName(s string) bool { return s != "" && checkText("", s, 200) == nil }

// idOnly reports whether nothing is said about the person but the id.
func (q *Person) idOnly() bool { return *q == Person{ID: q.ID} }

func goodLocale(s string) bool {
	return len(s) >= 2 && len(s) <= 35 && !strings.ContainsFunc(s, func(r rune) bool { return !isAlnum(r) && r != '-' })
}

// A profileChange says what applyProfile has planned.
type profileChange struct {
	met     bool  // the user is seen for the first time
	changed bool  // the guard has to be put
	relist  bool  // the user's roster entry has to be put too
	before  guard // as it was
	events  int   // how many events the unit had before
}

// applyProfile brings the account up to date with what the client says about the user. For a user who is seen for the first
// time it makes the account.
func (u *unit) applyProfile(a *account, p *orgPolicy, org string, said Person) profileChange {
	c := profileChange{met: !a.exists(), events: len(u.events)}
	if c.met {
		a.meet(org, said.ID, p)
		u.event(a.event(UserCreated, p, nil))
	}
	c.before = *a.guard
	bad := a.guard.Profile.update(said)
	if cause := a.guard.Profile.moved(c.before.Profile); cause != "" {
		if a.guard.Profile.Email != c.before.Profile.Email {
			a.guard.forgetReturned(c.before.Profile.Email)
		}
		u.endAll(a, p, cause)
	}
	changed := a.guard.Profile.differs(c.before.Profile)
	if !c.met && len(changed) > 0 {
		e := u.event(a.event(UserUpdated, p, map[string]any{"changed": changed}))
		e.former = c.before.Profile
		switch now := a.guard.Profile; {
		case e.former.Email != "" && now.Email != e.former.Email:
			e.moved = message.Moved
		case e.former.Phone != "" && now.Phone != e.former.Phone:
			e.moved = message.MovedPhone
		}
	}
	for _, field := range bad {
		u.event(a.event(UserUpdated, p, map[string]any{"dropped": field}))
	}
	c.relist = c.met || slices.Contains(changed, "email") || slices.Contains(changed, "name")
	c.changed = c.met || len(bad) > 0 || len(changed) > 0
	return c
}

// undo leaves the account as it was, because the call is refused. A caller who may not change anything else changes no
// address either. A user who is seen for the first time stays, with what was said, so that an administrator finds whom to
// help. Nothing else may be planned between applyProfile and undo.
func (c *profileChange) undo(u *unit, a *account) {
	if c.met {
		return
	}
	*a.guard = c.before
	u.events = u.events[:c.events]
	c.changed, c.relist = false, false
}

// UnmarshalJSON reads a field that is present: null or a value.
func (o *Optional[T]) UnmarshalJSON(body []byte) error {
	*o = Optional[T]{Set: true}
	if bytes.Equal(body, []byte("null")) {
		return nil
	}
	return json.Unmarshal(body, &o.Value)
}

// MarshalJSON writes the value or null. The tag omitzero leaves out an absent field.
func (o Optional[T]) MarshalJSON() ([]byte, error) { return json.Marshal(o.Value) }
