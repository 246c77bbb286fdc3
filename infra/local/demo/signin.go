package demo

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"
)

var goodUser = regexp.MustCompile(`^[a-z0-9]+([._-][a-z0-9]+)*$`)

func wrong(format string, a ...any) remark { return remark{Text: fmt.Sprintf(format, a...), Bad: true} }

// signIn is the application's own login, which believes any password, and then asks Countersign.
func (d *Demo) signIn(w http.ResponseWriter, r *http.Request, _ session) session {
	user := strings.ToLower(strings.TrimSpace(r.PostFormValue("user")))
	if len(user) > 40 || !goodUser.MatchString(user) {
		return session{said: wrong("A user name here is letters and digits, with dots or dashes between them.")}
	}
	factor := map[string]any{"kind": "password", "at": d.o.Now()}
	switch {
	case r.PostFormValue("how") == "sso":
		factor = map[string]any{"kind": "sso", "at": d.o.Now(), "idp": "https://login.demo.example"}
	case r.PostFormValue("password") == "":
		return session{said: wrong("Type a password. Any will do.")}
	}
	nonce := rand.Text()
	ask := map[string]any{
		"org":          Org,
		"user":         map[string]any{"id": user, "email": user + "@demo.example", "name": strings.ToUpper(user[:1]) + user[1:]},
		"first_factor": factor,
		"nonce":        nonce,
		"context":      contextOf(r),
	}
	if cookie, err := r.Cookie(trustCookieOf(user)); err == nil {
		ask["trust_token"] = cookie.Value
	}
	var answer started
	err := d.call(r.Context(), request{method: "POST", path: "/v1/challenges", bearer: d.o.Key.Reveal(), body: ask}, &answer)
	if err != nil {
		return session{said: failed(err)}
	}
	if answer.Decision == "challenge" && answer.Challenge != nil {
		s := session{waiting: &waiting{user: user, nonce: nonce, reason: answer.Reason, challenge: *answer.Challenge}}
		s.said = notSent(answer.Challenge)
		return s
	}
	if answer.TrustToken != "" {
		setCookie(w, trustCookieOf(user), answer.TrustToken, trustKept)
	}
	return d.takeIn(r, signedIn{user: user, decision: answer.Decision, reason: answer.Reason}, answer.Token, nonce)
}

// takeIn lets somebody in, once the token says so.
func (d *Demo) takeIn(r *http.Request, in signedIn, token, nonce string) session {
	now := d.o.Now()
	var err error
	in.claims, err = d.checkToken(r.Context(), token, expected{
		issuer: d.o.Issuer, audience: d.o.Client, org: Org, user: in.user, nonce: nonce, decision: in.decision, now: now,
	})
	if err != nil {
		return session{said: wrong("Countersign's answer was not believed: %v.", err)}
	}
	in.ends = now.Add(sessionLife)
	return session{in: &in}
}

// enterCode hands the code on.
func (d *Demo) enterCode(w http.ResponseWriter, r *http.Request, s session) session {
	if s.waiting == nil {
		return s
	}
	wait := s.waiting
	answer := map[string]any{"code": strings.TrimSpace(r.PostFormValue("code"))}
	if r.PostFormValue("trust") != "" && wait.challenge.Trust != nil {
		answer["trust"] = map[string]any{"name": browserName(r.UserAgent())}
	}
	var done verified
	path := "/v1/challenges/" + wait.challenge.ID + "/verify"
	if err := d.call(r.Context(), request{method: "POST", path: path, bearer: wait.challenge.Token, body: answer}, &done); err != nil {
		return s.refused(err)
	}
	in := signedIn{user: wait.user, decision: "challenge", reason: wait.reason}
	if done.TrustToken != "" {
		setCookie(w, trustCookieOf(wait.user), done.TrustToken, trustKept)
		if done.TrustedBrowser != nil {
			in.trusted = &done.TrustedBrowser.Expires
		}
	}
	return d.takeIn(r, in, done.Token, wait.nonce)
}

// sendAgain asks for a fresh code.
func (d *Demo) sendAgain(_ http.ResponseWriter, r *http.Request, s session) session {
	if s.waiting == nil {
		return s
	}
	var answer struct{ Sent *sent }
	path := "/v1/challenges/" + s.waiting.challenge.ID + "/send"
	err := d.call(r.Context(), request{method: "POST", path: path, bearer: s.waiting.challenge.Token, body: map[string]any{}}, &answer)
	if err != nil {
		return s.refused(err)
	}
	next := *s.waiting
	next.challenge.Sent = answer.Sent
	return session{waiting: &next, said: remark{Text: "A new code is on its way. The earlier one no longer works."}}
}

func (d *Demo) signOut(http.ResponseWriter, *http.Request, session) session {
	return session{said: remark{Text: "You are signed out."}}
}

// moveClock lets time pass for Countersign, and so for the application.
func (d *Demo) moveClock(_ http.ResponseWriter, r *http.Request, s session) session {
	seconds, said := 15*60, "15 minutes have passed."
	if r.PostFormValue("by") == "days" {
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

// refused says what became of a sign-in whose answer or request for a code was not taken.
func (s session) refused(err error) session {
	var p *problem
	if !errors.As(err, &p) {
		s.said = failed(err)
		return s
	}
	switch p.Code {
	case "wrong_code":
		if p.AttemptsLeft != nil && *p.AttemptsLeft == 0 {
			return session{said: wrong("That code is not right, and it was the last attempt. Start again with your password.")}
		}
		s.said = wrong("That code is not right.")
		if p.AttemptsLeft != nil {
			s.said = wrong("That code is not right. %s left.", counted(*p.AttemptsLeft, "attempt"))
		}
	case "invalid_request":
		s.said = wrong("A code is exactly six digits. This one was not counted as an attempt.")
	case "challenge_invalid":
		return session{said: wrong("This sign-in is over. Start again with your password.")}
	case "locked":
		return session{said: failed(err)}
	case "too_many_sends":
		s.said = wrong("%s", waitToSend(p.RetryAfterS))
	default:
		s.said = failed(err)
	}
	return s
}

// notSent says why a challenge's first code didn't go out, if it didn't.
func notSent(c *challenge) remark {
	switch {
	case c.Sent != nil:
		return remark{}
	case c.SendError == "too_many_sends":
		return wrong("%s", waitToSend(c.RetryAfterS))
	}
	return wrong("The message with your code could not be sent. Ask for it again.")
}

func waitToSend(seconds int) string {
	if seconds == 0 {
		return "No further code can be sent for this sign-in. Start again with your password."
	}
	return "A new code can be sent in " + span(seconds) + ". Codes already sent go on working."
}

// failed says in words for people what went wrong with a call.
func failed(err error) remark {
	var p *problem
	if !errors.As(err, &p) {
		return wrong("Countersign could not be asked, so nobody gets in. Try again.")
	}
	switch p.Code {
	case "locked":
		if p.RetryAfterS > 0 {
			return wrong("Too many wrong codes. Wait %s, then sign in again.", span(p.RetryAfterS))
		}
		return wrong("Too many wrong codes. An administrator has to help.")
	case "delivery_failed":
		return wrong("The message with your code could not be sent. Ask for it again.")
	case "unavailable":
		return wrong("Countersign can’t answer right now, so nobody gets in. Try again.")
	}
	return wrong("Countersign refused: %s", p.Detail)
}

func counted(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}

// span says a wait in the unit that suits it, rounded up.
func span(seconds int) string {
	switch {
	case seconds < 120:
		return counted(seconds, "second")
	case seconds < 2*60*60:
		return counted((seconds+59)/60, "minute")
	}
	return counted((seconds+3599)/3600, "hour")
}

func contextOf(r *http.Request) map[string]any {
	said := map[string]any{"user_agent": strings.ToValidUTF8(r.UserAgent()[:min(len(r.UserAgent()), 512)], "")}
	if ip, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		said["ip"] = ip
	}
	return said
}

// browserName is a name by which a user may know the browser in a list.
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

// clockTime is a moment as the pages show it: the time alone if it is today, else with the day.
func clockTime(at, now time.Time) string {
	at = at.UTC()
	if at.Format(time.DateOnly) == now.UTC().Format(time.DateOnly) {
		return at.Format("15:04")
	}
	return at.Format("2 Jan 2006, 15:04")
}
