package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// This file is the example for applications that let Countersign's hosted pages ask the second question. Such an application
// has no pages for factors at all. It makes these calls:
//
//	POST /v1/challenges        after the password, and before a transfer. If the user must be asked, the answer has a url,
//	                           and the browser goes there.
//	GET  /v1/challenges/{id}   when the browser has come back to the return_url. The answer has the token.
//	POST /v1/portal-sessions   for the user's security settings and for the administrators' console. The browser goes to the url.
//	POST /v1/introspect        with each page, because an organisation may have ended the session.
//
// client.go makes the calls, token.go verifies tokens, and session.go keeps what the application knows about a browser.

// returnPath is where hosted pages send the browser back to. It has to be under one of the origins that the API key is registered with.
const returnPath = "/demo/return"

// away is what the application remembers of a browser that it has sent to a hosted page.
type away struct {
	id        string // of the challenge
	org, user string
	decision  string // challenge or enrol
	reason    string
	nonce     string
	transfer  *transfer // what the user confirms; nil at a sign-in
	checked   time.Time // when the password was checked; zero if it wasn't
	ends      time.Time
}

// signInHosted is the application's own login, followed by the question whether Countersign asks for a second factor.
func (d *Demo) signInHosted(w http.ResponseWriter, r *http.Request, _ session) session {
	who, bad := d.login(r, r.PostFormValue("org"))
	if bad != (remark{}) {
		return session{said: bad}
	}
	if err := d.prepare(r.Context(), who.org); err != nil {
		return session{said: failed(err)}
	}
	a := &away{org: who.org, user: who.user, checked: who.checked, nonce: rand.Text()}
	answer, err := d.leave(r, a, startOf(r, who, a.nonce))
	switch {
	case err != nil:
		return session{said: failed(err)}
	case answer.Decision != "allow":
		return session{away: a, to: answer.page()}
	}
	// The trust token was replaced by its successor, and is of no more use.
	if answer.TrustToken != "" {
		setCookie(w, cookieOf(trustCookie, a.org, a.user), answer.TrustToken, trustKept)
	}
	in := signedIn{org: a.org, user: a.user, decision: answer.Decision, reason: answer.Reason, checked: a.checked, issued: answer.IssuedAt, hosted: true}
	s := d.takeIn(r, in, answer.Token, a.nonce, "")
	if s.in != nil && answer.Enrolment != nil {
		s.said = remark{Text: "Your organisation wants you to set up a second factor" + answer.Enrolment.by() + ". You can do it in your security settings."}
	}
	return s
}

// A transfer is what a user confirms with a second factor, whatever browser it is.
type transfer struct{ to, amount string }

// transferAction is the name under which transfers are confirmed.
const transferAction = "transfer"

// lines are shown where the user confirms, and stand in the token. So the user sees what is confirmed, and nothing else is confirmed.
func (t *transfer) lines() []string { return []string{"To: " + t.to, "Amount: " + t.amount} }

// sendMoney begins a transfer. It happens only once the user has confirmed it on the hosted page.
func (d *Demo) sendMoney(_ http.ResponseWriter, r *http.Request, s session) session {
	t := &transfer{to: strings.TrimSpace(r.PostFormValue("to")), amount: strings.TrimSpace(r.PostFormValue("amount"))}
	if !goodLine(t.to) || !goodLine(t.amount) {
		s.said = wrong("Type who gets the money, and how much, in a few words.")
		return s
	}
	a := &away{org: s.in.org, user: s.in.user, checked: s.in.checked, transfer: t, nonce: rand.Text()}
	start := map[string]any{
		"org": a.org, "user": map[string]any{"id": a.user}, "nonce": a.nonce, "context": contextOf(r),
		"purpose": stepUp, "action": map[string]any{"name": transferAction, "lines": t.lines()},
	}
	if !a.checked.IsZero() {
		start["first_factor"] = map[string]any{"kind": "password", "at": a.checked}
	}
	addKnown(start, r, a.org, a.user)
	answer, err := d.leave(r, a, start)
	if err != nil {
		return s.over(failed(err))
	}
	s = s.over(remark{})
	s.away, s.to = a, answer.page()
	return s
}

// leave starts a challenge whose hosted page leads back to the application, and notes in a what was begun.
func (d *Demo) leave(r *http.Request, a *away, start map[string]any) (started, error) {
	// The address comes from the configuration. The header Host is what the sender of a request has made it.
	start["return_url"] = d.o.Issuer + returnPath
	var answer started
	if err := d.call(r.Context(), request{method: "POST", path: "/v1/challenges", bearer: d.o.Key.Reveal(), body: start}, &answer); err != nil {
		return answer, err
	}
	a.decision, a.reason = answer.Decision, answer.Reason
	switch {
	case answer.Decision == "allow" && a.transfer == nil: // a step-up is never answered with allow
		return answer, nil
	case answer.Decision == "challenge" && answer.Challenge != nil:
		a.id, a.ends = answer.Challenge.ID, answer.Challenge.Expires
	case answer.Decision == "enrol" && answer.Enrolment != nil:
		a.id, a.ends = answer.ID, answer.Enrolment.Expires
	}
	if a.id == "" || answer.page() == "" {
		return answer, errors.New("the answer to the start has no page")
	}
	// A recovery code can lead to an enrolment, which has 15 minutes more, and the outcome can be fetched for 10 more after that.
	a.ends = a.ends.Add(25 * time.Minute)
	return answer, nil
}

// comeBack is where the browser arrives after a hosted page. Everybody can make a browser open this address, so nothing that the
// address says is believed: it only names the challenge.
func (d *Demo) comeBack(w http.ResponseWriter, r *http.Request, s session) session {
	a := s.away
	// Only this browser may use what it has begun. Otherwise somebody could answer a challenge of their own and make this browser come
	// back from it: it would be signed in as them, or a step-up of theirs would confirm what was begun here. The browser remembers one
	// challenge, the newest, so one that another tab has replaced by a later one is refused, too.
	if a == nil || r.URL.Query().Get("challenge") != a.id {
		s.said = remark{Text: "That link belongs to nothing that this browser has begun, or it was used already. Nothing was done."}
		return s
	}
	var state challengeState
	err := d.call(r.Context(), request{method: "GET", path: "/v1/challenges/" + url.PathEscape(a.id), bearer: d.o.Key.Reveal()}, &state)
	switch {
	case err != nil:
		s.said = failed(err) // what was begun is kept, so that the page can be loaded again
		return s
	case state.State == "pending":
		s.said = wrong("You came back before you answered. Start again.")
		return s
	}
	// From here on the browser has come back. A second visit with the same address finds nothing: the outcome can be fetched for ten
	// minutes, and the application has to see to it that it is used once.
	s = s.over(wrong("Countersign didn’t let you through (%s). Nothing was done.", state.State))
	if state.Outcome.Token == "" {
		return s
	}
	return d.arrived(w, r, s, a, state.Outcome)
}

// arrived goes on with what the user had begun, if the token says what it must say.
func (d *Demo) arrived(w http.ResponseWriter, r *http.Request, s session, a *away, outcome outcome) session {
	in := signedIn{org: a.org, user: a.user, decision: a.decision, reason: a.reason, checked: a.checked, issued: outcome.IssuedAt, hosted: true}
	if outcome.Effect != "" && outcome.Effect != "pass" {
		in.how, in.codesLeft = byRecovery, outcome.CodesLeft
	}
	if outcome.TrustedBrowser != nil {
		in.trusted = &outcome.TrustedBrowser.Expires
	}
	if outcome.Factor != nil {
		in.decision = "enrol" // a recovery code can turn a challenge into an enrolment
	}
	var next session
	if a.transfer == nil {
		next = d.takeIn(r, in, outcome.Token, a.nonce, a.id)
	} else {
		next = d.sent(r, s, a, in.decision, outcome.Token)
	}
	if next.said.Bad {
		return next
	}
	// Trust and knowledge of the browser belong to it, so they are cookies. They are sent with the next start.
	if outcome.TrustToken != "" {
		setCookie(w, cookieOf(trustCookie, a.org, a.user), outcome.TrustToken, trustKept)
	}
	if outcome.KnownToken != "" {
		setCookie(w, cookieOf(knownCookie, a.org, a.user), outcome.KnownToken, knownKept)
	}
	return next
}

// sent makes the transfer, if the token says that this user has confirmed exactly this one.
func (d *Demo) sent(r *http.Request, s session, a *away, decision, token string) session {
	if s.in == nil || s.in.org != a.org || s.in.user != a.user {
		return s.over(wrong("You were signed out in the meantime. Nothing was sent."))
	}
	c, err := d.checkToken(r.Context(), token, expected{
		issuer: d.o.Issuer, audience: d.o.Client, org: a.org, user: a.user, nonce: a.nonce, challenge: a.id,
		purpose: stepUp, action: transferAction, decision: decision, now: d.o.Now(),
	})
	if err == nil && !slices.Equal(c.ActionLines, a.transfer.lines()) {
		err = errors.New("the token's action_lines are not what was to be confirmed")
	}
	if err != nil {
		return s.over(wrong("Demo desk does not accept Countersign’s answer: %v. Nothing was sent.", err))
	}
	return s.over(remark{Text: "You have sent " + a.transfer.amount + " to " + a.transfer.to + "."})
}

// openPortal opens the hosted pages on which a user looks after the account, or an administrator after the organisation. They
// lead back to the application's first page.
func (d *Demo) openPortal(r *http.Request, s session) (session, error) {
	// Changes of an account need a password that was checked in the last ten minutes. Asking first spares the user a way back.
	if d.o.Now().Sub(s.in.checked) > 9*time.Minute {
		return s, &problem{Code: "reauthentication_required"}
	}
	body := map[string]any{"org": s.in.org, "user": s.in.user, "reauthenticated_at": s.in.checked, "return_url": d.o.Issuer + "/"}
	key := d.o.Key
	if s.errand.what == openConsole {
		// Who administers an organisation is the application's own knowledge. Countersign believes the key with the scope admin, so the
		// application has to check it here, each time.
		if !s.in.administers() {
			return s.over(wrong("Only an administrator can open these pages.")), nil
		}
		delete(body, "user")
		body["administrator"] = map[string]any{"org": s.in.org, "user": s.in.user}
		key = d.o.AdminKey
	}
	var answer struct{ URL string }
	if err := d.call(r.Context(), request{method: "POST", path: "/v1/portal-sessions", bearer: key.Reveal(), body: body}, &answer); err != nil {
		return s, err
	}
	s = s.over(remark{})
	s.to = answer.URL
	return s, nil
}

// ended returns the session as Countersign sees it. An administrator may have required a second factor of everyone, or have reset this
// user: then sessions that began before that are over.
func (d *Demo) ended(ctx context.Context, s session) (session, error) {
	if s.in == nil || s.in.issued.IsZero() {
		return s, nil
	}
	var answer struct {
		Active bool
		Reason string
	}
	body := map[string]any{"org": s.in.org, "user": s.in.user, "issued_at": s.in.issued}
	if err := d.call(ctx, request{method: "POST", path: "/v1/introspect", bearer: d.o.Key.Reveal(), body: body}, &answer); err != nil {
		return s, err
	}
	if !answer.Active {
		return session{said: wrong("You were signed out (%s). Sign in again.", answer.Reason)}, nil
	}
	return s, nil
}

// inHosted makes an action of a signed-in user. It does nothing for a session that has ended, nor while Countersign can't tell.
func (d *Demo) inHosted(act action) action {
	return func(w http.ResponseWriter, r *http.Request, s session) session {
		still, err := d.ended(r.Context(), s)
		switch {
		case err != nil:
			s.said = failed(err)
			return s
		case still.in == nil:
			return still
		}
		return act(w, r, still)
	}
}
