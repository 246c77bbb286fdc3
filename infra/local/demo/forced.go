package demo

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"countersign/pkg/seal"
)

// This file is about users who have to set up a factor before they are signed in, on the application's own screens.

// forced is a sign-in that is answered by setting up a factor.
type forced struct {
	user, nonce, reason string
	challenge           string      // the id of the challenge that the set-up answers
	token               seal.Secret // with which the user enrols
	kinds               []string    // that can be set up
	checked             time.Time   // when the password was checked; zero if it wasn't
	ends                time.Time
	errand              *errand // what is set up once the known address is proven; nil if no address is being proven
	sent                *sent   // the code to the known address; nil if it could not be sent
}

// forcedView is what the page shows while the user chooses what to set up, or proves the known address first.
type forcedView struct {
	Step, User, Why        string
	App, Key, Phone, Email bool // what can be set up
	Proves, Sent           bool // whether the known address is being proven, and whether a code was sent there
	Letter, Hint           string
	ResendS, SendsLeft     int
	Until                  *moment
	UntilS                 int
}

func (f *forced) shown(step string, now time.Time) *forcedView {
	has := func(kind string) bool { return slices.Contains(f.kinds, kind) }
	v := &forcedView{
		Step: step, User: f.user, Why: why[f.reason], App: has("totp"), Key: has("webauthn"), Phone: has("sms"), Email: has("email"),
		Proves: f.errand != nil, SendsLeft: 1, Until: clockTime(f.ends, now), UntilS: secondsTo(f.ends, now),
	}
	if f.sent != nil {
		v.Sent, v.Letter, v.Hint, v.ResendS, v.SendsLeft = true, f.sent.Sequence, f.sent.Hint, secondsTo(f.sent.ResendAfter, now), f.sent.SendsLeft
	}
	return v
}

// choosing returns the session in which the user chooses what to set up.
func (s session) choosing(said remark) session {
	s = s.over(said)
	next := *s.forced
	next.errand, next.sent = nil, nil
	s.forced = &next
	return s
}

// bearer returns the bearer with which a factor is enrolled.
func (d *Demo) bearer(s session) string {
	if s.forced != nil {
		return s.forced.token.Reveal()
	}
	return d.o.Key.Reveal()
}

const signInEnded = "This sign-in has ended. Start again with your password."

// beginForced begins to set up what e says. If the known address has to be proven first, Countersign has sent a code there, and
// the page asks for it.
func (d *Demo) beginForced(r *http.Request, s session, e *errand) session {
	if !slices.Contains(s.forced.kinds, e.kind()) {
		return s
	}
	was := s
	s.errand = e
	done, err := d.beginSetup(r, s)
	var p *problem
	switch {
	case err == nil:
		return done
	case errors.As(err, &p) && p.Code == "enrolment_invalid":
		return session{said: wrong(signInEnded)}
	case errors.As(err, &p) && (p.Code == "too_many_sends" || p.Code == "delivery_failed"):
		was.said = notSent(p.Code, p.RetryAfterS)
		return was
	case errors.As(err, &p) && (p.Code == "invalid_request" || p.Code == "already_exists" || p.Code == "nothing_to_send"):
		return was.choosing(wrong("%s", p.Detail))
	}
	was.said = failed(err)
	return was
}

// prove sends the code that went to the known address to Countersign, and then begins the set-up.
func (d *Demo) prove(_ http.ResponseWriter, r *http.Request, s session) session {
	if s.forced == nil || s.forced.errand == nil {
		return s
	}
	body := map[string]any{"code": typed(r.PostFormValue("code"))}
	err := d.call(r.Context(), request{method: "POST", path: "/v1/enrolments/prove", bearer: s.forced.token.Reveal(), body: body}, nil)
	if err == nil {
		e := s.forced.errand
		return d.beginForced(r, s.choosing(remark{}), e)
	}
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
			s.said.Text += " " + attemptsLeft(*p.AttemptsLeft)
		}
	case "invalid_request":
		s.said = wrong("A code has exactly six digits. What you typed was not counted as an attempt.")
	case "enrolment_invalid":
		return session{said: wrong(signInEnded)}
	case "locked":
		s.said = wrong("%s", lockedFor("There were too many wrong codes.", p.RetryAfterS))
	default:
		s.said = failed(err)
	}
	return s
}

// enrolled signs the user in whose set-up was finished, if the token says so.
func (d *Demo) enrolled(r *http.Request, s session, done finished) session {
	f := s.forced
	in := signedIn{org: Org, user: f.user, decision: "enrol", reason: f.reason, how: s.setup.kind, checked: f.checked, issued: done.IssuedAt}
	return d.takeIn(r, in, done.Token, f.nonce, f.challenge).showing(done.RecoveryCodes)
}
