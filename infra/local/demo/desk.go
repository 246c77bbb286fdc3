package demo

import (
	"context"
	"encoding/base64"
	"html/template"
	"strings"
	"time"
)

// desk is what a signed-in user sees.
type desk struct {
	User, Decision, Reason, Why string
	How                         string
	Trusted                     *moment // until when the browser is trusted; nil if this sign-in did not make it a trusted one
	Claims                      string
	Asked                       bool
	Account                     *accountView // nil if the account can't be read
}

type accountView struct {
	Step     string
	Email    string // the address that gets codes without being set up; empty if there is none
	Factors  []factorView
	CanAdd   bool
	HasCodes bool // whether the organisation has recovery codes
	Left     string
	None     bool
	Few      bool
}

type factorView struct {
	ID, Label, Kind string
	LastUsed        *moment // nil if it never was
}

// confirmView asks for the password again.
type confirmView struct{ Step, User, Confirm string }

// setupView shows the secret that an app has to scan.
type setupView struct {
	Step   string
	QR     template.URL
	Key    []string // in groups of four characters
	Until  *moment
	UntilS int
}

type codesView struct {
	Step, User string
	Codes      []string
}

// confirms says in words what the user has to confirm. Each text stands after "Before".
var confirms = map[string]string{
	addApp:    "you set up an authenticator app",
	removeApp: "the authenticator app is removed",
	makeCodes: "you get new recovery codes",
}

// kinds has the names of the kinds of factor, and of byRecovery.
var kinds = map[string]string{
	"totp": "Authenticator app", "email": "Emailed code", "sms": "Text message", "webauthn": "Security key", byRecovery: "Recovery code",
}

func (in *signedIn) shown(now time.Time) *desk {
	v := &desk{
		User: in.user, Decision: in.decision, Reason: in.reason, Why: why[in.reason], How: strings.ToLower(kinds[in.how]), Claims: in.claims.text,
		Asked: in.decision == "challenge",
	}
	if in.trusted != nil {
		v.Trusted = clockTime(*in.trusted, now)
	}
	return v
}

// readAccount gets the user's account and the organisation's policy from Countersign.
func (d *Demo) readAccount(ctx context.Context, s session, now time.Time) *accountView {
	var a account
	var p policy
	key := d.o.Key.Reveal()
	if d.call(ctx, request{method: "GET", path: accountPath(s.in.user), bearer: key}, &a) != nil ||
		d.call(ctx, request{method: "GET", path: "/v1/orgs/" + Org + "/policy", bearer: key}, &p) != nil {
		return nil
	}
	v := &accountView{
		Step: s.step(), CanAdd: p.Methods.TOTP == "allowed", HasCodes: p.Recovery.Count > 0,
		Left: counted(a.Recovery.CodesLeft, "recovery code"), None: a.Recovery.CodesLeft == 0, Few: a.Recovery.FewLeft,
	}
	if p.Methods.Email == "implicit" {
		v.Email = a.Email
	}
	for _, f := range a.Factors {
		shown := factorView{ID: f.ID, Label: f.Label, Kind: kinds[f.Kind]}
		if f.LastUsed != nil {
			shown.LastUsed = clockTime(*f.LastUsed, now)
		}
		v.Factors = append(v.Factors, shown)
	}
	return v
}

func (s *setup) shown(now time.Time) *setupView {
	v := &setupView{
		Step: s.id, Until: clockTime(s.expires, now), UntilS: secondsTo(s.expires, now),
		// This is safe as the source of a picture: scripts in it don't run, and it loads nothing.
		QR: template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString([]byte(s.svg.Reveal()))),
	}
	for key := s.secret.Reveal(); key != ""; {
		n := min(4, len(key))
		v.Key = append(v.Key, key[:n])
		key = key[n:]
	}
	return v
}

func (n *newCodes) shown(user string) *codesView {
	v := &codesView{Step: n.id, User: user}
	for _, code := range n.codes {
		v.Codes = append(v.Codes, code.Reveal())
	}
	return v
}
