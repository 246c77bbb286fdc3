package demo

import (
	"crypto/rand"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"
)

var goodUser = regexp.MustCompile(`^[a-z0-9]+([._-][a-z0-9]+)*$`)

// A login is what the application's own login has found out.
type login struct {
	org, user string
	factor    map[string]any // what Countersign hears of it
	checked   time.Time      // when the password was checked; zero if it wasn't
}

// login is the application's own login. It accepts any password.
func (d *Demo) login(r *http.Request, org string) (login, remark) {
	who := login{org: org, user: strings.ToLower(strings.TrimSpace(r.PostFormValue("user")))}
	switch {
	case organisationOf(org) == nil:
		return who, wrong("There is no such organisation.")
	case len(who.user) > 40 || !goodUser.MatchString(who.user):
		return who, wrong("A user name must be made of letters and digits. There can be single dots, dashes and underscores between them.")
	case r.PostFormValue("how") == "sso":
		who.factor = map[string]any{"kind": "sso", "at": d.o.Now(), "idp": "https://login.demo.example"}
	case r.PostFormValue("password") == "":
		return who, wrong("Type a password. Any password is accepted here.")
	default:
		who.checked = d.o.Now()
		who.factor = map[string]any{"kind": "password", "at": who.checked}
	}
	return who, remark{}
}

// startOf returns the body of the start of a sign-in, with what this browser has kept of the user's earlier ones.
func startOf(r *http.Request, who login, nonce string) map[string]any {
	start := map[string]any{
		"org": who.org,
		"user": map[string]any{
			"id": who.user, "email": who.user + "@" + who.org + ".example", "name": strings.ToUpper(who.user[:1]) + who.user[1:],
			"locale": organisationOf(who.org).Locale,
		},
		"first_factor": who.factor,
		"nonce":        nonce,
		"context":      contextOf(r),
	}
	if cookie, err := r.Cookie(cookieOf(trustCookie, who.org, who.user)); err == nil {
		start["trust_token"] = cookie.Value
	}
	addKnown(start, r, who.org, who.user)
	return start
}

// signIn asks Countersign, after the login, whether a second factor is needed.
func (d *Demo) signIn(w http.ResponseWriter, r *http.Request, _ session) session {
	who, bad := d.login(r, Org)
	if bad != (remark{}) {
		return session{said: bad}
	}
	user, nonce := who.user, rand.Text()
	var answer started
	err := d.call(r.Context(), request{method: "POST", path: "/v1/challenges", bearer: d.o.Key.Reveal(), body: startOf(r, who, nonce)}, &answer)
	if err != nil {
		return session{said: failed(err)}
	}
	switch {
	case answer.Decision == "challenge" && answer.Challenge != nil:
		return session{}.asked(&waiting{user: user, nonce: nonce, reason: answer.Reason, checked: who.checked, challenge: *answer.Challenge, options: options{answer.Challenge.WebAuthn, d.o.Now()}})
	case answer.Decision == "enrol" && answer.Enrolment != nil:
		return session{forced: &forced{
			user: user, nonce: nonce, reason: answer.Reason, challenge: answer.ID, token: answer.Enrolment.Token, kinds: answer.Enrolment.Kinds,
			checked: who.checked, ends: answer.Enrolment.Expires,
		}}
	}
	if answer.TrustToken != "" {
		setCookie(w, cookieOf(trustCookie, Org, user), answer.TrustToken, trustKept)
	}
	in := signedIn{org: Org, user: user, decision: answer.Decision, reason: answer.Reason, checked: who.checked, issued: answer.IssuedAt}
	return d.takeIn(r, in, answer.Token, nonce, "")
}

// takeIn signs a user in, if the token says so. challenge is the id of the challenge that was answered. It is empty if the user
// wasn't asked.
func (d *Demo) takeIn(r *http.Request, in signedIn, token, nonce, challenge string) session {
	now := d.o.Now()
	var err error
	in.claims, err = d.checkToken(r.Context(), token, expected{
		issuer: d.o.Issuer, audience: d.o.Client, org: in.org, user: in.user, nonce: nonce, challenge: challenge,
		purpose: "sign_in", decision: in.decision, now: now,
	})
	if err != nil {
		return session{said: wrong("Demo desk does not accept Countersign’s answer: %v.", err)}
	}
	in.ends = now.Add(sessionLife)
	return session{in: &in}
}

func (d *Demo) signOut(http.ResponseWriter, *http.Request, session) session {
	return session{said: remark{Text: "You are signed out."}}
}

// moveClock moves Countersign's clock forward. The application uses the same clock.
func (d *Demo) moveClock(_ http.ResponseWriter, r *http.Request, s session) session {
	seconds, said := 15*60, "15 minutes have passed."
	switch r.PostFormValue("by") {
	case "seconds":
		seconds, said = 30, "30 seconds have passed."
	case "days":
		seconds, said = 30*24*60*60, "30 days have passed."
	}
	if err := d.call(r.Context(), request{method: "POST", path: "/local/clock", body: map[string]any{"advance_s": seconds}}, nil); err != nil {
		s.said = failed(err)
		return s
	}
	if s = s.at(d.o.Now()); s.said.Text == "" {
		s.said.Text = said
	} else {
		s.said.Text = said + " " + s.said.Text
	}
	return s
}

func contextOf(r *http.Request) map[string]any {
	said := map[string]any{"user_agent": strings.ToValidUTF8(r.UserAgent()[:min(len(r.UserAgent()), 512)], "")}
	if ip, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		said["ip"] = ip
	}
	return said
}

// browserName returns a name by which the user can recognise the browser in a list.
func browserName(userAgent string) string {
	name, system := "A browser", ""
	for _, known := range [][2]string{{"Firefox/", "Firefox"}, {"Edg/", "Edge"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}} {
		if strings.Contains(userAgent, known[0]) {
			name = known[1]
			break
		}
	}
	for _, known := range [][2]string{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"Mac OS", "Mac"}, {"Linux", "Linux"},
	} {
		if strings.Contains(userAgent, known[0]) {
			system = " on " + known[1]
			break
		}
	}
	return name + system
}
