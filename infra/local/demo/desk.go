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
	Org, User, Decision, Reason, Why string
	How                              string
	Left                             string  // how many recovery codes are left, if one was used
	Trusted                          *moment // until when the browser is trusted; nil if this sign-in did not make it a trusted one
	Claims                           string
	Asked                            bool
	Hosted                           bool // whether the account is looked after on hosted pages
	Administers                      bool
	Account                          *accountView // nil if the account can't be read
}

type accountView struct {
	Step     string
	Email    string // the address that gets codes without being set up; empty if there is none
	Factors  []factorView
	CanAdd   struct{ App, Key, Phone, Email bool }
	Places   string // the countries whose numbers can be set up
	Signal   string // what the browser's authenticators have to know, as JSON; empty for a user who has never had a key
	Issuer   string // the only origin at which keys can be used
	HasCodes bool   // whether the organisation has recovery codes
	Left     string
	None     bool
	Few      bool
}

type factorView struct {
	ID, Label, Kind string
	Name            string   // of the kind and variant
	Facts           []string // about a key, or where codes are sent
	LastUsed        *moment  // nil if it never was
}

// confirmView asks for the password again.
type confirmView struct{ Step, User, Confirm string }

// setupView shows what the user needs to set up a factor.
type setupView struct {
	Step, Kind string
	QR         template.URL // of an app
	Key        []string     // an app's key, in groups of four characters
	Noun       string       // what is set up
	Portable   bool         // whether a key is set up that can be carried about
	Letter     string       // of the code that was sent
	Hint       string       // of the number or address that it was sent to
	Sent       bool
	ResendS    int // after how many seconds a new code can be sent
	SendsLeft  int
	Until      *moment
	UntilS     int
}

type codesView struct {
	Step, User string
	Codes      []string
}

// kinds has the names of the kinds of factor, and of byRecovery.
var kinds = map[string]string{
	"totp": "Authenticator app", "email": "Emailed code", "sms": "Text message", "webauthn": "Security key or passkey", byRecovery: "Recovery code",
}

func (in *signedIn) shown(now time.Time) *desk {
	v := &desk{
		Org: organisationOf(in.org).Name, User: in.user, Decision: in.decision, Reason: in.reason, Why: why[in.reason], How: strings.ToLower(kinds[in.how]), Claims: in.claims.text,
		Asked: in.decision != "allow", Hosted: in.hosted, Administers: in.administers(),
	}
	switch {
	case in.how == byRecovery:
		v.Left = counted(in.codesLeft, "recovery code")
	case in.hosted && v.Asked: // which factor it was is between the user and Countersign
		v.How = strings.Join(in.claims.AMR, ", ")
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
	if d.call(ctx, request{method: "GET", path: accountPath(s.in.user), bearer: d.o.Key.Reveal()}, &a) != nil ||
		d.call(ctx, request{method: "GET", path: "/v1/orgs/" + Org + "/policy", bearer: d.o.AdminKey.Reveal()}, &p) != nil {
		return nil
	}
	v := &accountView{
		Step: s.step(), HasCodes: p.Recovery.Count > 0, Signal: string(a.WebAuthnSignal), Issuer: d.o.Issuer,
		Left: counted(a.Recovery.CodesLeft, "recovery code"), None: a.Recovery.CodesLeft == 0, Few: a.Recovery.FewLeft,
	}
	v.CanAdd.App, v.CanAdd.Key = p.Methods.TOTP == "allowed", p.Methods.WebAuthn == "allowed"
	v.CanAdd.Phone, v.CanAdd.Email = p.Methods.SMS == "allowed", p.Methods.Email == "enrolled"
	v.Places = strings.Join(p.SMS.Countries, ", ")
	if p.Methods.Email == "implicit" {
		v.Email = a.Email
	}
	for _, f := range a.Factors {
		v.Factors = append(v.Factors, f.shown(now))
	}
	return v
}

func (f *factor) shown(now time.Time) factorView {
	v := factorView{ID: f.ID, Label: f.Label, Kind: f.Kind, Name: kinds[f.Kind]}
	if f.LastUsed != nil {
		v.LastUsed = clockTime(*f.LastUsed, now)
	}
	if f.Kind != "webauthn" {
		if f.Hint != "" {
			v.Facts = []string{f.Hint}
		}
		return v
	}
	v.Name = keyNames[f.Variant]
	if f.Provider != "" {
		v.Facts = append(v.Facts, f.Provider)
	}
	if f.Synced {
		v.Facts = append(v.Facts, "synced to your other devices")
	} else {
		v.Facts = append(v.Facts, "not synced")
	}
	return v
}

func (s *setup) shown(now time.Time) *setupView {
	v := &setupView{
		Step: s.id, Kind: s.kind, Until: clockTime(s.expires, now), UntilS: secondsTo(s.expires, now), Noun: s.noun(), Portable: s.variant == securityKey,
	}
	v.SendsLeft = 1
	if s.sent != nil {
		v.Sent, v.Letter, v.Hint, v.ResendS, v.SendsLeft = true, s.sent.Sequence, s.sent.Hint, secondsTo(s.sent.ResendAfter, now), s.sent.SendsLeft
	}
	if s.kind == "totp" {
		// This is safe as the source of a picture: scripts in it don't run, and it loads nothing.
		v.QR = template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString([]byte(s.svg.Reveal())))
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
