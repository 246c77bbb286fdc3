package demo

import (
	"bytes"
	"net/http"
	"time"
)

// A view is what the page shows.
type view struct {
	Title   string
	Said    remark
	Waiting *stepView
	Confirm *confirmView // asks for the password; nil if the page doesn't
	Setup   *setupView
	Forced  *forcedView // the set-up without which the user isn't signed in; nil if the page is about something else
	Codes   *codesView
	In      *desk
	User    string // the user name that the form has at first
	Issuer  string // the only origin at which keys can be used
	Mailbox mailboxView
	Phone   phoneView
	Hosted  bool // whether hosted pages ask who signs in here
	Orgs    []organisation
	Org     string // the organisation that the form has at first
	Calls   []madeCall
	Page    string // where forms lead back to that every page has; empty if to the first page
}

// stepView is what the page shows when it asks for a second factor.
type stepView struct {
	Step              string
	User, Why         string
	Kind, Label, Hint string // describe the factor that the page asks for; Kind may be byRecovery
	Letter            string
	Ways              []wayView // other ways to answer
	Confirm           string    // what the user confirms; empty at a sign-in
	Until             *moment
	UntilS            int // how many seconds are left
	ResendS           int // after how many seconds a new code can be sent
	SendsLeft         int
	Sends, Sent       bool // whether Countersign sends codes of this kind, and whether it has sent one
	TrustDays         int  // 0 if trust isn't offered
}

type wayView struct{ Way, Words string }

// why explains the reasons of decisions. Each text stands after "You are asked because" or "You weren’t asked, because".
var why = map[string]string{
	"new_browser":     "this browser isn’t trusted yet",
	"trust_expired":   "the 30 days for which you trusted this browser are over",
	"required":        "your organisation requires it of everyone",
	"enabled":         "you turned two-factor sign-in on",
	"step_up":         "what you do has to be confirmed",
	"reset":           "your second factor was removed",
	"grace":           "your organisation lets you put off the set-up",
	"trusted_browser": "you trust this browser",
	"sso":             "you signed in with your company’s single sign-on",
	"not_required":    "your organisation doesn’t require it of you",
}

// The ways in which the application asks for a second factor: on Countersign's hosted pages, or on its own screens.
const (
	wayCookie = "demo_way"
	ownWay    = "own"
	hostedWay = "hosted"
)

// hosted reports whether hosted pages ask who signs in in this browser.
func hosted(r *http.Request) bool {
	cookie, err := r.Cookie(wayCookie)
	return err != nil || cookie.Value != ownWay
}

// page shows the page that fits the browser's session.
func (d *Demo) page(w http.ResponseWriter, r *http.Request) {
	switch way := r.URL.Query().Get("way"); {
	case way == ownWay || way == hostedWay:
		setCookie(w, wayCookie, way, knownKept)
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	case hosted(r) && "http://"+r.Host != d.o.Issuer:
		// Hosted pages lead back to the issuer's host, and cookies belong to one host.
		http.Redirect(w, r, d.o.Issuer+"/", http.StatusSeeOther)
		return
	}
	id, s := d.session(r)
	// While Countersign can't tell, the page is shown, but nothing that it offers is done.
	if still, err := d.ended(r.Context(), s); err == nil && still.in != s.in {
		d.keep(w, id, s, still)
		s = still
	}
	now := d.o.Now()
	sent := d.readOutbox(r.Context(), now)
	v := view{Title: "Sign in", Said: s.said, User: "ana", Issuer: d.o.Issuer, Mailbox: sent.Mailbox, Phone: d.readPhone(s, now)}
	v.Phone.Texts, v.Hosted, v.Orgs, v.Org = sent.Texts, hosted(r), organisations, Org
	if s.calls != nil {
		v.Calls = s.calls.made
	}
	switch {
	case s.codes != nil:
		v.Title, v.Codes = "Your recovery codes", s.codes.shown(s.in.user)
	case s.waiting != nil:
		v.Waiting = s.shownStep(now)
		v.Title = v.Waiting.title()
	case s.errand != nil:
		v.Title, v.Confirm = "Confirm it’s you", &confirmView{Step: s.step(), User: s.in.user, Confirm: s.errand.words()}
	case s.setup != nil:
		v.Title, v.Setup = "Set up your "+s.setup.noun(), s.setup.shown(now)
	case s.forced != nil:
		v.Title, v.Forced = "Set up a second factor", s.forced.shown(s.step(), now)
		if v.Forced.Proves {
			v.Title = "First, your address"
		}
	case s.in != nil:
		v.Title, v.In = "Signed in", s.in.shown(now)
		if !s.in.hosted {
			v.In.Account = d.readAccount(r.Context(), s, now)
		}
	}
	d.render(w, "page", v)
	d.heard(id, s)
}

func (d *Demo) render(w http.ResponseWriter, name string, v any) {
	var page bytes.Buffer
	if err := d.pages.ExecuteTemplate(&page, name, v); err != nil {
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(page.Bytes())
}

// shownStep returns what the page shows for the challenge of the session.
func (s session) shownStep(now time.Time) *stepView {
	w, c := s.waiting, &s.waiting.challenge
	m := w.method()
	v := &stepView{
		Step: s.step(), User: w.user, Why: why[w.reason], Kind: m.Kind, Label: m.Label, Hint: m.Hint, Sends: m.sends(), SendsLeft: 1,
		Until: clockTime(c.Expires, now), UntilS: secondsTo(c.Expires, now),
	}
	if s.errand != nil {
		v.Confirm = s.errand.words()
	}
	if w.way == byRecovery {
		v.Kind = byRecovery
	}
	if c.Trust != nil {
		v.TrustDays = c.Trust.Days
	}
	if c.Sent != nil { // all factors wait for each other
		v.ResendS, v.SendsLeft = secondsTo(c.Sent.ResendAfter, now), c.Sent.SendsLeft
	}
	if c.Sent != nil && c.Sent.Factor == w.way {
		v.Sent, v.Hint, v.Letter = true, c.Sent.Hint, c.Sent.Sequence
	}
	keyed := m.Kind == "webauthn" // the browser lets the user choose among all keys, so one way is enough for them
	for _, other := range c.Methods {
		if other.Factor == w.way || other.Kind == "webauthn" && keyed {
			continue
		}
		keyed = keyed || other.Kind == "webauthn"
		v.Ways = append(v.Ways, wayView{other.Factor, other.words()})
	}
	if _, ok := s.by(byRecovery); ok && w.way != byRecovery {
		v.Ways = append(v.Ways, wayView{byRecovery, "Use a recovery code"})
	}
	return v
}

func (m *method) words() string {
	switch m.Kind {
	case "email":
		return "Use an emailed code instead"
	case "totp":
		return "Use the code of “" + m.Label + "” instead"
	case "sms":
		return "Use a code by text message to " + m.Hint + " instead"
	}
	return "Use a security key or passkey instead"
}

func (v *stepView) title() string {
	switch {
	case v.Confirm != "":
		return "Confirm it’s you"
	case v.Kind == byRecovery:
		return "Use a recovery code"
	case v.Kind == "webauthn":
		return "Use your security key or passkey"
	}
	return "Enter your code"
}

func secondsTo(at, now time.Time) int {
	return max(0, int((at.Sub(now)+time.Second-1)/time.Second))
}
