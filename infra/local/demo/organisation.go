package demo

import (
	"slices"
	"strings"
	"unicode"
)

// An organisation is a customer of the application. Its users are the application's own knowledge, and so is who administers it.
type organisation struct {
	ID, Name string
	Locale   string // of its users
	policy   string // at first, as JSON
}

// organisations are the customers of the application. The first has a policy of the demo's own, and each of the others the profile of
// its name. Text messages can be sent to no country by a profile alone. Users of the application's own screens belong to the first.
var organisations = []organisation{
	{Org, "Demo desk", "en", newPolicy},
	{"kls", "Kls Desk", "en", `{"profile": "kls", "acknowledge": true}`},
	{"salto", "SALTO", "en", `{"profile": "salto", "sms": {"countries": ` + countries + `}, "acknowledge": true}`},
	{"talkdesk", "Talkdesk", "en", `{"profile": "talkdesk"}`},
	{"karbon", "Karbon", "fr", `{"profile": "karbon"}`},
	{"helpdesk", "Helpdesk", "en", `{"profile": "helpdesk"}`},
}

// organisationOf returns the organisation with this id. It is nil if there is none.
func organisationOf(id string) *organisation {
	i := slices.IndexFunc(organisations, func(o organisation) bool { return o.ID == id })
	if i < 0 {
		return nil
	}
	return &organisations[i]
}

// administrator is the name of the user who administers an organisation.
const administrator = "admin"

// administers reports whether the user administers the organisation.
func (in *signedIn) administers() bool { return in.user == administrator }

// goodLine reports whether a text can be a part of a line that a user confirms. A line has at most 120 bytes.
func goodLine(text string) bool {
	return text != "" && len(text) <= 100 && !strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) })
}
