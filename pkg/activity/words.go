package activity

import "slices"

// A table has words by their places. The place of a word is what is stored, so the tables are a part of the format: a word is
// only ever added at the end of a table, and none is taken away. What is in no table is stored as it is.
//
// The build before this one must be able to read what this one stores, but it doesn't know the words that this one has added (see
// package record). So later is the number of these words. They can be read by their places, but they are stored as they are. The
// next build sets later to 0.
type table struct {
	words []string
	later int
}

// types are the types of event. Those of a sign-in come first, because places up to 23 take one byte, and those up to 255 take two.
var types = table{words: []string{
	"challenge.started", "challenge.sent", "challenge.verified", "challenge.failed", "challenge.locked", "browser.trusted",
	"browser.revoked", "browser.expired", "browser.theft_suspected", "factor.enrolled", "factor.removed", "factor.renamed",
	"recovery.used", "recovery.regenerated", "policy.changed", "user.created", "user.updated", "user.enabled", "user.disabled",
	"user.reported", "user.unlocked", "user.erased", "delivery.failed", "factor.counter_refused",
	"delivery.blocked", "factor.undeliverable",
	"user.reset", "user.pass_issued", "user.pass_revoked", "user.pass_used",
	"user.reset_requested", "user.reset_approved", "user.reset_cancelled",
	"activity.checkpointed",
	"user.enforced", "user.grace_changed", "user.signed_out",
	"challenge.proven",
	"user.imported",
}, later: 13}

// actors are the kinds of actor. If the actor is a user, the kind is left out.
var actors = table{words: []string{"user", "client", "service", "administrator"}}

// theUser is the kind of an actor who is the user.
const theUser = "user"

// names are the names of the values that an event has.
var names = table{words: []string{
	"challenge", "factor", "kind", "reason", "ip", "user_agent", "sequence", "browser", "attempts_left", "recovery", "effect",
	"codes_left", "cause", "changed", "dropped", "enrolment", "enrolled", "expires", "ended", "until", "browsers", "channel",
	"about",
	"day", "serial", "checkpoint",
	"before", "signed_out_before", "enforced", "grace_until",
	"proven",
	"request",
}, later: 9}

// values are texts that events often have as values. Places up to 19 take one byte, and all others take two.
var values = table{words: []string{
	"totp", "email", "webauthn", "sms", "new_browser", "required", "enabled", "trust_expired", "step_up", "not_required",
	"trusted_browser", "sso", "factor_removed", "disabled", "recovery", "revoked", "email_changed", "phone_changed",
	"password_changed", "signed_out",
	"deprovisioned", "cap", "reenrolled", "sign_in", "reset", "reenrol", "others", "known", "all", "name", "phone", "locale",
	"bounce", "complaint",
}}

// prefixes are the prefixes of ids. After its prefix, an id is the base64url of random bytes, some of them after the route of a user.
var prefixes = table{words: []string{"ch_", "fa_", "tb_", "en_", "ev_", "ak_", "dc_"}}

// browsers is the dictionary of deflate. It has texts that are often in the names of browsers. A part of a text that is found
// here takes about three bytes. Its place is counted from the end, so text is only ever added at the beginning. laterBrowsers is
// the number of bytes that this build has added: see table.
const laterBrowsers = 0
const browsers = `Mozilla/5.0 (compatible; MSIE Trident/7.0; rv:11.0) like Gecko OPR/ Vivaldi/ SamsungBrowser/ GSA/ ` +
	`DuckDuckGo/ CriOS/ FxiOS/ EdgA/ EdgiOS/ Mobile/15E148 Safari/604.1Mozilla/5.0 (Android 14; Mobile; rv:` +
	`Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) ` +
	`Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) ` +
	`Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1` +
	`Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36` +
	`Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:Mozilla/5.0 (X11; Linux x86_64; rv:Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:` +
	`Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0` +
	`Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15` +
	`Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/` +
	`Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/` +
	`Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0`

// place returns the place of a text in the table. It is negative if the text is stored as it is.
func (t table) place(text string) int { return slices.Index(t.stored(), text) }

// stored returns the words that are stored by their places.
func (t table) stored() []string { return t.words[:len(t.words)-t.later] }

// at returns the word that has this place. It reports false if there is none.
func (t table) at(place int64) (word string, ok bool) {
	if place < 0 || place >= int64(len(t.words)) {
		return "", false
	}
	return t.words[place], true
}

// word returns the form in which a text is stored: its place in the table, or the text itself.
func word(t table, text string) any {
	if at := t.place(text); at >= 0 {
		return at
	}
	return text
}

// wordOf returns the text that is stored as w. It reports false if word can't have returned w.
func wordOf(t table, w any) (text string, ok bool) {
	switch w := w.(type) {
	case string:
		return w, true
	case int64:
		return t.at(w)
	}
	return "", false
}
