package pages

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// settingsPages are the pages where a user looks after the own account.
var settingsPages = []page{
	{path: "settings/{id}", session: portalSession, sheet: "settings", show: showSettings, acts: map[string]act{
		"on": turnOn, "off": turnOff, "rename": renameFactor, "remove": removeFactor,
		"revoke": revokeBrowser, "revoke_all": revokeBrowsers, "codes": newCodes, "kept": keptCodes,
	}},
	{path: "settings/{id}/add", session: portalSession, sheet: "settings-add", show: showAdd, acts: map[string]act{
		"begin": beginEnrolment, "prove": proveAddress, "again": sendEnrolmentAgain, "finish": finishEnrolment, "kept": keptFirstCodes,
	}},
	{path: "settings/{id}/backup", session: portalSession, sheet: "backup", show: showBackup, acts: map[string]act{
		"begin": beginEnrolment, "again": sendEnrolmentAgain, "finish": finishEnrolment, "skip": skipBackup,
	}},
	{path: "settings/{id}/activity", session: portalSession, sheet: "settings-activity", show: showActivity},
}

// An account is what the API says of a user.
type account struct {
	ID       string  `json:"id"`
	Email    *string `json:"email"`
	Name     *string `json:"name"`
	Enabled  bool    `json:"enabled"`
	Required bool    `json:"required"`
	Status   string  `json:"status"`
	Factors  []owned `json:"factors"`
	Recovery struct {
		CodesLeft int        `json:"codes_left"`
		Created   *time.Time `json:"created"`
		FewLeft   bool       `json:"few_left"`
	} `json:"recovery"`
	TrustedBrowsers []trustedBrowser `json:"trusted_browsers"`
	GraceUntil      *time.Time       `json:"grace_until"`
	LockedUntil     *time.Time       `json:"locked_until"`
	WebAuthnSignal  json.RawMessage  `json:"webauthn_signal"`
}

// An ownRoom says what a user could do with the own account, as the API tells the holder of a portal token.
type ownRoom struct {
	Kinds []string `json:"kinds"`
	Kept  []struct {
		Factor string `json:"factor"`
		Reason string `json:"reason"`
	} `json:"kept"`
	RecoveryCodes int      `json:"recovery_codes"`
	Countries     []string `json:"sms_countries"` // to whose numbers codes are sent
	Backup        *backup  `json:"backup"`        // what is offered as a backup of the only factor; nil if nothing is
}

// passwordFor is how long a password check counts.
const passwordFor = 10 * time.Minute

// fresh reports whether the password was checked so short a time ago that the account can be changed.
func (l *portalLook) fresh(now time.Time) bool {
	return l.Checked != nil && now.Sub(*l.Checked) <= passwordFor
}

// inPath writes an id for a path of the API, whatever characters it has.
func inPath(id string) string { return "~" + base64.RawURLEncoding.EncodeToString([]byte(id)) }

// userPath is the path of the account that a user's own session is about.
func (l *portalLook) userPath(rest string) string {
	who := l.person()
	return "/v1/orgs/" + inPath(who.Org) + "/users/" + inPath(who.User) + rest
}

// ownAccount returns what a user's own session is about. It fails for an administrator's.
func (v *visit) ownAccount() (*portalLook, error) {
	session, err := v.look()
	if err == nil && session.Account == nil {
		err = &problem{Status: http.StatusNotFound, Code: "not_found"}
	}
	return session, err
}

// Home returns the address of the first page of a user's own session.
func (v *visit) Home() string { return Prefix + userHome + v.id }

// InSettings reports whether a factor is set up in a user's own session.
func (v *visit) InSettings() bool { return v.page.session == portalSession }

// homeWith goes to that page, which tells what was done.
func (v *visit) homeWith(done string) error {
	v.goTo(userHome + v.id + "?done=" + done)
	return nil
}

// passwordFirst leads the person of a portal session back to the application, because the password was checked too long ago.
func (v *visit) passwordFirst() {
	if _, err := v.look(); err != nil {
		v.over(err)
		return
	}
	v.draw(http.StatusForbidden, "notice", notice{Title: v.T("notice.password.title"), Text: v.T("wrong.reauthentication_required"), Back: v.back, Away: true})
}

// An owned is a factor that a user has enrolled.
type owned struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"`
	Label    string     `json:"label"`
	Hint     string     `json:"hint"`
	Created  time.Time  `json:"created"`
	LastUsed *time.Time `json:"last_used"`
	Provider *string    `json:"provider"`
	Synced   bool       `json:"synced"`
	Variant  string     `json:"variant"`
}

// A trustedBrowser is a browser that a user trusts.
type trustedBrowser struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	LastUsed time.Time `json:"last_used"`
	Expires  time.Time `json:"expires"`
}

// settingsView is what the template of the settings gets.
type settingsView struct {
	account
	Can      *ownRoom
	Fresh    bool
	Ways     []ownedView
	Browsers []browserView
	Advice   []string
	Grace    *moment
	Locked   *moment
	Made     *moment // when the recovery codes were made
	Signal   string  // what the browser's passkey manager is told, as JSON; empty if nothing has changed
}

// On reports whether two-step sign-in is on.
func (s *settingsView) On() bool {
	return (s.Enabled || s.Required) && len(s.Factors) > 0 || s.ByAddress()
}

// ByAddress reports whether the user answers with codes that go to the account's own address, so that nothing need be set up.
func (s *settingsView) ByAddress() bool { return len(s.Factors) == 0 && s.Status == "protected" }

// An ownedView is a factor as the page shows it.
type ownedView struct {
	owned
	Made *moment
	Used *moment // nil if it was never used
	Kept string  // why it can't be removed; empty if it can be
}

// A browserView is a trusted browser as the page shows it.
type browserView struct {
	trustedBrowser
	Used *moment
	Ends *moment
}

func showSettings(v *visit) (any, error) {
	session, err := v.ownAccount()
	if err != nil {
		return nil, err
	}
	view := &settingsView{Can: session.Account, Fresh: session.fresh(v.now)}
	if err := v.get(session.userPath(""), &view.account); err != nil {
		return nil, err
	}
	for _, f := range view.Factors {
		shown := ownedView{owned: f, Made: v.Day(f.Created)}
		if f.LastUsed != nil {
			shown.Used = v.Moment(*f.LastUsed)
		}
		for _, kept := range session.Account.Kept {
			if kept.Factor == f.ID {
				shown.Kept = kept.Reason
			}
		}
		view.Ways = append(view.Ways, shown)
	}
	slices.SortFunc(view.TrustedBrowsers, func(a, b trustedBrowser) int { return b.LastUsed.Compare(a.LastUsed) })
	for _, b := range view.TrustedBrowsers {
		view.Browsers = append(view.Browsers, browserView{b, v.Moment(b.LastUsed), v.Day(b.Expires)})
	}
	if view.GraceUntil != nil && view.Status == "grace" {
		view.Grace = v.Moment(*view.GraceUntil)
	}
	if view.LockedUntil != nil {
		view.Locked = v.Moment(*view.LockedUntil)
	}
	if view.Recovery.Created != nil {
		view.Made = v.Day(*view.Recovery.Created)
	}
	view.Advice = view.advice()
	if done := v.r.URL.Query().Get("done"); done == "removed" || done == "renamed" {
		view.Signal = string(view.WebAuthnSignal)
	}
	return view, nil
}

// advice returns what would make the account safer, or easier to get back into. Each is a text of the catalogue.
func (s *settingsView) advice() []string {
	if len(s.Factors) == 0 {
		return nil
	}
	var advice []string
	if !slices.ContainsFunc(s.Factors, func(f owned) bool { return f.Kind != "sms" }) && len(s.Can.Kinds) > 0 {
		advice = append(advice, "only_sms")
	}
	switch {
	case s.Can.RecoveryCodes == 0:
	case s.Recovery.CodesLeft == 0:
		advice = append(advice, "no_codes")
	case s.Recovery.FewLeft:
		advice = append(advice, "few_codes")
	}
	if len(s.Factors) == 1 && s.Recovery.CodesLeft == 0 {
		advice = append(advice, "no_backup")
	}
	return advice
}

// own makes a call that changes the account that the session is about.
func (v *visit) own(method, rest string, body, into any) error {
	session, err := v.ownAccount()
	if err != nil {
		return err
	}
	return v.change(method, session.userPath(rest), "", body, into)
}

// changed makes such a call, and goes to the settings, which tell what was done. What is gone already counts as removed.
func (v *visit) changed(done, method, rest string, body any) error {
	err := v.own(method, rest, body, nil)
	if err != nil && (method != http.MethodDelete || codeOf(err) != "not_found") {
		return err
	}
	return v.homeWith(done)
}

func turnOn(v *visit) error {
	return v.changed("on", http.MethodPatch, "", map[string]bool{"enabled": true})
}

func turnOff(v *visit) error {
	return v.changed("off", http.MethodPatch, "", map[string]bool{"enabled": false})
}

func renameFactor(v *visit) error {
	label := strings.TrimSpace(v.field("label"))
	return v.changed("renamed", http.MethodPatch, "/factors/"+url.PathEscape(v.field("factor")), map[string]string{"label": label})
}

func removeFactor(v *visit) error {
	return v.changed("removed", http.MethodDelete, "/factors/"+url.PathEscape(v.field("factor")), nil)
}

func revokeBrowser(v *visit) error {
	return v.changed("revoked", http.MethodDelete, "/browsers/"+url.PathEscape(v.field("browser")), nil)
}

// revokeBrowsers ends trust in all browsers. That ends everything that is open for the user, so this portal session, too.
func revokeBrowsers(v *visit) error {
	if err := v.own(http.MethodDelete, "/browsers", nil, nil); err != nil {
		return err
	}
	v.forget(portalSession, v.id)
	v.forget(proofCookie, v.id)
	v.draw(http.StatusOK, "notice", notice{Title: v.T("notice.all_revoked.title"), Text: v.T("notice.all_revoked.text"), Back: v.back, Away: true})
	return nil
}

// newCodes makes a new set of recovery codes and shows it, once.
func newCodes(v *visit) error {
	var made struct {
		RecoveryCodes []string `json:"recovery_codes"`
	}
	if err := v.own(http.MethodPost, "/recovery-codes", nil, &made); err != nil {
		return err
	}
	if len(made.RecoveryCodes) == 0 { // the form was sent again after the time in which the API repeats them
		return v.homeWith("codes")
	}
	v.draw(http.StatusOK, "codes", codesView{Codes: made.RecoveryCodes})
	return nil
}

func keptCodes(v *visit) error { return v.homeWith("codes") }

// addView is what the template gets where a factor is added.
type addView struct {
	chooseView
	Kinds []string
}

func showAdd(v *visit) (any, error) {
	session, err := v.ownAccount()
	if err != nil {
		return nil, err
	}
	view := &addView{Kinds: session.Account.Kinds}
	view.From = v.countries(session.Account.Countries)
	view.Phone, view.Label, view.Until = v.field("phone"), v.field("label"), v.Moment(session.Expires)
	kind := v.r.URL.Query().Get("kind")
	if v.r.Method == http.MethodPost {
		kind = v.field("kind")
	}
	if slices.Contains(view.Kinds, kind) {
		view.Kind = kind
	}
	return view, nil
}
