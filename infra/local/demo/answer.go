package demo

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode"
)

// byRecovery is the way to answer with a recovery code instead of a factor.
const byRecovery = "recovery"

// asked returns the session that waits for an answer to w with its default factor.
func (s session) asked(w *waiting) session {
	c := &w.challenge
	s.waiting, s.said = w, remark{}
	switch w.way = c.Default; {
	case w.way == "":
		w.way = byRecovery
		s.said = wrong("There were too many wrong codes, so only a recovery code is accepted for now.")
	case w.method().sends() && c.Sent == nil:
		s.said = notSent(c.SendError, c.RetryAfterS)
	}
	return s
}

// method returns the factor that the page asks for. If the page asks for a recovery code, it is the zero method.
func (w *waiting) method() method {
	for _, m := range w.challenge.Methods {
		if m.Factor == w.way {
			return m
		}
	}
	return method{}
}

// by returns the challenge with another factor to ask for, or with a recovery code. It reports false if that isn't possible.
func (s session) by(way string) (*waiting, bool) {
	next := *s.waiting
	next.way = way
	return &next, way == byRecovery && s.takesRecovery() && next.challenge.Recovery || next.method().Factor != ""
}

// takesRecovery reports whether a recovery code can answer the challenge. It can at a sign-in. Of the changes of an account, it
// can confirm only that another factor is set up.
func (s session) takesRecovery() bool {
	return s.in == nil || s.errand != nil && s.errand.kind() != ""
}

// enterCode sends the code that the user typed to Countersign.
func (d *Demo) enterCode(w http.ResponseWriter, r *http.Request, s session) session {
	if s.waiting == nil {
		return s
	}
	return d.answer(w, r, s, map[string]any{"code": typed(r.PostFormValue("code")), "factor": s.waiting.way})
}

// answer sends the user's answer with a factor to Countersign.
func (d *Demo) answer(w http.ResponseWriter, r *http.Request, s session, answer map[string]any) session {
	wait := s.waiting
	if r.PostFormValue("trust") != "" && wait.challenge.Trust != nil {
		answer["trust"] = map[string]any{"name": browserName(r.UserAgent())}
	}
	var done verified
	path := "/v1/challenges/" + wait.challenge.ID + "/verify"
	if err := d.call(r.Context(), request{method: "POST", path: path, bearer: wait.challenge.Token, body: answer}, &done); err != nil {
		return s.refused(err)
	}
	if done.KnownToken != "" {
		setCookie(w, cookieOf(knownCookie, Org, wait.user), done.KnownToken, knownKept)
	}
	if s.in != nil {
		return d.confirmed(r, s, done.Token)
	}
	in := signedIn{org: Org, user: wait.user, decision: "challenge", reason: wait.reason, how: wait.method().Kind, checked: wait.checked, issued: done.IssuedAt}
	if done.TrustToken != "" {
		setCookie(w, cookieOf(trustCookie, Org, wait.user), done.TrustToken, trustKept)
		if done.TrustedBrowser != nil {
			in.trusted = &done.TrustedBrowser.Expires
		}
	}
	return d.takeIn(r, in, done.Token, wait.nonce, wait.challenge.ID).showing(done.RecoveryCodes)
}

// typed removes spaces and dashes from a code. Apps and messages may show a code with them, and people copy them. Countersign
// accepts only six digits.
func typed(code string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) || unicode.Is(unicode.Pd, c) {
			return -1
		}
		return c
	}, code)
}

// enterRecovery sends the recovery code that the user typed to Countersign.
func (d *Demo) enterRecovery(_ http.ResponseWriter, r *http.Request, s session) session {
	if s.waiting == nil || !s.takesRecovery() {
		return s
	}
	wait := s.waiting
	var done outcome
	path := "/v1/challenges/" + wait.challenge.ID + "/recover"
	body := map[string]any{"code": r.PostFormValue("code")}
	if err := d.call(r.Context(), request{method: "POST", path: path, bearer: wait.challenge.Token, body: body}, &done); err != nil {
		return s.refused(err)
	}
	if done.Token == "" && done.Enrolment != nil && s.in == nil {
		return session{calls: s.calls, said: remark{Text: "The recovery code is right. Now set up a new factor."}, forced: &forced{
			user: wait.user, nonce: wait.nonce, reason: wait.reason, challenge: wait.challenge.ID, token: done.Enrolment.Token, kinds: done.Enrolment.Kinds,
			checked: wait.checked, ends: done.Enrolment.Expires,
		}}
	}
	if s.in != nil {
		return d.confirmed(r, s, done.Token)
	}
	in := signedIn{org: Org, user: wait.user, decision: "challenge", reason: wait.reason, how: byRecovery, codesLeft: done.CodesLeft, checked: wait.checked, issued: done.IssuedAt}
	return d.takeIn(r, in, done.Token, wait.nonce, wait.challenge.ID)
}

// chooseWay makes the page ask for another factor, or for a recovery code. If the factor needs a code, it is sent.
func (d *Demo) chooseWay(w http.ResponseWriter, r *http.Request, s session) session {
	if s.waiting == nil {
		return s
	}
	next, ok := s.by(r.PostFormValue("way"))
	if !ok {
		return s
	}
	s.waiting = next
	if m := next.method(); !m.sends() || next.challenge.Sent != nil && next.challenge.Sent.Factor == m.Factor {
		return s
	}
	return d.sendAgain(w, r, s)
}

const newCode = "A new code is on its way. The earlier one no longer works."

// sendAgain asks Countersign to send a new code.
func (d *Demo) sendAgain(_ http.ResponseWriter, r *http.Request, s session) session {
	switch {
	case s.setup != nil:
		return d.sendToNew(r, s)
	case s.forced != nil && s.forced.errand != nil:
		return d.beginForced(r, s, s.forced.errand)
	}
	if s.waiting == nil {
		return s
	}
	var answer struct{ Sent *sent }
	next := *s.waiting
	path, body := "/v1/challenges/"+next.challenge.ID+"/send", map[string]any{"factor": next.way}
	err := d.call(r.Context(), request{method: "POST", path: path, bearer: next.challenge.Token, body: body}, &answer)
	if err != nil {
		return s.refused(err)
	}
	if next.challenge.Sent != nil {
		s.said = remark{Text: newCode}
	}
	next.challenge.Sent = answer.Sent
	s.waiting = &next
	return s
}

// refused returns the session after Countersign has refused an answer or a request for a code, with a remark that says why.
func (s session) refused(err error) session {
	var p *problem
	if !errors.As(err, &p) {
		s.said = failed(err)
		return s
	}
	again := "Start again with your password."
	if s.in != nil {
		again = "Nothing was changed."
	}
	recovering := s.waiting.way == byRecovery
	switch p.Code {
	case "wrong_code":
		return s.notRight(p, again)
	case "wrong_credential":
		return s.notAccepted(p, again)
	case "invalid_request":
		s.said = wrong("A code has exactly six digits. What you typed was not counted as an attempt.")
		if recovering {
			s.said = wrong("A recovery code has 24 letters and digits, in six groups of four. What you typed was not counted as an attempt.")
		}
	case "challenge_invalid":
		if s.in != nil {
			return s.over(wrong("This can no longer be confirmed. Nothing was changed."))
		}
		return s.over(wrong("This sign-in has ended. %s", again))
	case "locked":
		return s.locked(p)
	case "too_many_sends":
		s.said = notSent(p.Code, p.RetryAfterS)
		if sent := s.waiting.challenge.Sent; sent != nil && sent.Factor == s.waiting.way && p.RetryAfterS > 0 {
			s.said.Text += " The last code that was sent still works."
		}
	default:
		s.said = failed(err)
	}
	return s
}

// notRight says that a code was wrong, and how many attempts are left. After too many wrong recovery codes, the user can still
// answer with a factor.
func (s session) notRight(p *problem, again string) session {
	left := ""
	if p.AttemptsLeft != nil {
		left = " " + attemptsLeft(*p.AttemptsLeft)
	}
	none := p.AttemptsLeft != nil && *p.AttemptsLeft == 0
	switch {
	case s.waiting.way == byRecovery && none:
		return s.turned("That recovery code is not right, and no more recovery codes are accepted for now.")
	case s.waiting.way == byRecovery:
		s.said = wrong("That recovery code is not right, or it was used before.%s", left)
	case none:
		return s.over(wrong("That code is not right, and it was the last attempt. %s", again))
	case s.waiting.method().Kind == "totp":
		s.said = wrong("That code is not right.%s If you have used it already, wait for the app’s next one.", left)
	default:
		s.said = wrong("That code is not right.%s", left)
	}
	return s
}

// notAccepted says that Countersign has not accepted a key's answer, and how many attempts are left.
func (s session) notAccepted(p *problem, again string) session {
	const said = "This security key or passkey was not accepted."
	switch {
	case p.AttemptsLeft == nil:
		s.said = wrong("%s", said)
	case *p.AttemptsLeft == 0:
		return s.over(wrong("%s It was the last attempt. %s", said, again))
	default:
		s.said = wrong("%s %s", said, attemptsLeft(*p.AttemptsLeft))
	}
	return s
}

// locked says that no more codes of this sort are accepted for now. If the other sort or a key can still be used, the page asks for that.
func (s session) locked(p *problem) session {
	if s.waiting.way == byRecovery {
		return s.turned(lockedFor("There were too many wrong recovery codes.", p.RetryAfterS))
	}
	next := *s.waiting
	next.challenge.Methods = slices.DeleteFunc(slices.Clone(next.challenge.Methods), func(m method) bool { return m.Kind != "webauthn" })
	s.waiting = &next
	if len(next.challenge.Methods) > 0 {
		next.way = next.challenge.Methods[0].Factor
		s.said = wrong("%s You can still use your security key or passkey.", lockedFor("There were too many wrong codes.", p.RetryAfterS))
		return s
	}
	if next.challenge.Recovery && s.takesRecovery() {
		next.way = byRecovery
		s.said = wrong("%s You can also use a recovery code.", lockedFor("There were too many wrong codes.", p.RetryAfterS))
		return s
	}
	return s.over(wrong("%s", lockedFor("There were too many wrong codes.", p.RetryAfterS)))
}

// turned returns the session that goes on without recovery codes. If the challenge has no other method, it ends.
func (s session) turned(said string) session {
	next := *s.waiting
	next.challenge.Recovery, next.way = false, next.challenge.Default
	if len(next.challenge.Methods) == 0 {
		return s.over(wrong("%s", said))
	}
	if next.method().Factor == "" { // codes of the default are no longer accepted
		next.way = next.challenge.Methods[0].Factor
	}
	s.waiting, s.said = &next, wrong("%s", said)
	return s
}
