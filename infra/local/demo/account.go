package demo

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign/pkg/seal"
)

// What somebody who is in can ask for. Countersign says what has to be confirmed first, and how.
const (
	addApp    = "app"
	removeApp = "remove"
	makeCodes = "codes"
)

// An errand is one of those, on its way.
type errand struct {
	what   string
	factor string // to be removed
	label  string // of what is set up
}

// setup is an authenticator app whose first code is still to come. Its secret stays here so that the page can be loaded
// again: Countersign shows it once.
type setup struct {
	id               string
	label            string
	secret, uri, svg seal.Secret
	expires          time.Time
}

// newCodes are recovery codes that are shown until somebody says that they are kept. Countersign shows them once.
type newCodes struct {
	id    string
	codes []seal.Secret
}

// showing is the session with new recovery codes to be shown, if there are any.
func (s session) showing(codes []seal.Secret) session {
	if s.in != nil && len(codes) > 0 {
		s.codes = &newCodes{id: rand.Text(), codes: codes}
	}
	return s
}

const mostLabel = 40 // characters

// change begins a change of the account.
func (d *Demo) change(_ http.ResponseWriter, r *http.Request, s session) session {
	if s.in == nil || s.codes != nil {
		return s
	}
	e := &errand{what: r.PostFormValue("what"), factor: r.PostFormValue("factor"), label: strings.TrimSpace(r.PostFormValue("label"))}
	if e.label == "" {
		e.label = "Authenticator app"
	}
	if len([]rune(e.label)) > mostLabel {
		s.said = wrong("A name here has at most %d characters.", mostLabel)
		return s
	}
	s = s.over(remark{})
	s.errand = e
	return d.carryOut(r, s)
}

// carryOut does what was asked for. If Countersign wants the person to be fresher, the session waits for that.
func (d *Demo) carryOut(r *http.Request, s session) session {
	done, err := d.try(r, s)
	var p *problem
	switch {
	case err == nil:
		return done
	case errors.As(err, &p) && p.Code == "reauthentication_required":
		s.waiting = nil // the page asks for the password
		return s
	case errors.As(err, &p) && p.Code == "step_up_required":
		return d.stepUp(r, s)
	case errors.As(err, &p) && p.Code == "last_factor":
		return s.over(wrong("The organisation asks everyone, and this is your only factor. Set up another one first."))
	case errors.As(err, &p) && p.Code == "not_found":
		return s.over(wrong("It is gone already."))
	}
	return s.over(failed(err))
}

// try makes the call of an errand.
func (d *Demo) try(r *http.Request, s session) (session, error) {
	q := request{method: "POST", bearer: d.o.Key.Reveal(), fresh: s.in}
	switch s.errand.what {
	case addApp:
		var answer begun
		q.path = "/v1/enrolments"
		q.body = map[string]any{"org": Org, "user": map[string]any{"id": s.in.user}, "kind": "totp", "label": s.errand.label}
		if err := d.call(r.Context(), q, &answer); err != nil {
			return s, err
		}
		label, t := s.errand.label, answer.TOTP
		s = s.over(remark{})
		s.setup = &setup{id: answer.ID, label: label, secret: t.Secret, uri: t.URI, svg: t.QRSVG, expires: answer.Expires}
		return s, nil
	case removeApp:
		q.method, q.path = "DELETE", accountPath(s.in.user)+"/factors/"+url.PathEscape(s.errand.factor)
		if err := d.call(r.Context(), q, nil); err != nil {
			return s, err
		}
		return s.over(remark{Text: "The app is removed, and no browser is trusted any more. Delete it from the phone, too: its codes are no good."}), nil
	case makeCodes:
		var answer struct {
			RecoveryCodes []seal.Secret `json:"recovery_codes"`
		}
		q.path = accountPath(s.in.user) + "/recovery-codes"
		if err := d.call(r.Context(), q, &answer); err != nil {
			return s, err
		}
		return s.over(remark{Text: "These are new. All earlier recovery codes are dead."}).showing(answer.RecoveryCodes), nil
	}
	return s.over(remark{}), nil
}

func accountPath(user string) string { return "/v1/orgs/" + Org + "/users/" + user }

// enterPassword is the application's own login once more, for who has been in for a while.
func (d *Demo) enterPassword(_ http.ResponseWriter, r *http.Request, s session) session {
	if s.in == nil || s.errand == nil || s.waiting != nil {
		return s
	}
	if r.PostFormValue("password") == "" {
		s.said = wrong("Type a password. Any will do.")
		return s
	}
	in := *s.in
	in.checked = d.o.Now()
	s.in = &in
	return d.carryOut(r, s)
}

// The step-up that is good for a change of the account.
const (
	stepUp        = "step_up"
	accountAction = "account"
)

// stepUp has who is in answer a challenge, to confirm the errand.
func (d *Demo) stepUp(r *http.Request, s session) session {
	nonce := rand.Text()
	ask := map[string]any{
		"org": Org, "user": map[string]any{"id": s.in.user}, "purpose": stepUp, "action": accountAction, "nonce": nonce,
		"first_factor": map[string]any{"kind": "password", "at": s.in.checked}, "context": contextOf(r),
	}
	addKnown(ask, r, s.in.user)
	var answer started
	err := d.call(r.Context(), request{method: "POST", path: "/v1/challenges", bearer: d.o.Key.Reveal(), body: ask}, &answer)
	switch {
	case err != nil:
		return s.over(failed(err))
	case answer.Challenge == nil || answer.Challenge.Default == "":
		return s.over(wrong("Too many wrong codes: for now nothing can be confirmed, and nothing was changed."))
	}
	answer.Challenge.Methods = confirming(answer.Challenge.Methods)
	return s.asked(&waiting{user: s.in.user, nonce: nonce, reason: answer.Reason, challenge: *answer.Challenge})
}

// confirming are the methods that are strong enough to confirm a change of the account. They come strongest first.
func confirming(methods []method) []method {
	return slices.DeleteFunc(methods, func(m method) bool { return m.Kind != methods[0].Kind && m.Kind != "totp" })
}

// confirmed goes on with the errand, once the token says that it was who is in that answered.
func (d *Demo) confirmed(r *http.Request, s session, token string) session {
	if s.errand == nil {
		return s.over(remark{})
	}
	_, err := d.checkToken(r.Context(), token, expected{
		issuer: d.o.Issuer, audience: d.o.Client, org: Org, user: s.in.user, nonce: s.waiting.nonce, challenge: s.waiting.challenge.ID,
		purpose: stepUp, action: accountAction, decision: "challenge", now: d.o.Now(),
	})
	if err != nil {
		return s.over(wrong("Countersign's answer was not believed: %v.", err))
	}
	in := *s.in
	in.proof = seal.NewSecret(token)
	s.in, s.waiting = &in, nil
	return d.carryOut(r, s)
}

// cancel leaves everything as it is.
func (d *Demo) cancel(_ http.ResponseWriter, _ *http.Request, s session) session {
	if s.in == nil || s.codes != nil {
		return s
	}
	return s.over(remark{Text: "Nothing was changed."})
}

// finishSetup hands the app's first code on.
func (d *Demo) finishSetup(_ http.ResponseWriter, r *http.Request, s session) session {
	if s.in == nil || s.setup == nil {
		return s
	}
	var answer finished
	path, body := "/v1/enrolments/"+s.setup.id+"/finish", map[string]any{"code": typed(r.PostFormValue("code"))}
	err := d.call(r.Context(), request{method: "POST", path: path, bearer: d.o.Key.Reveal(), body: body}, &answer)
	if err == nil {
		said := remark{Text: "“" + answer.Factor.Label + "” is set up. From now on a sign-in asks for its code."}
		return s.over(said).showing(answer.RecoveryCodes)
	}
	var p *problem
	if !errors.As(err, &p) {
		s.said = failed(err)
		return s
	}
	switch p.Code {
	case "wrong_code":
		if p.AttemptsLeft != nil && *p.AttemptsLeft == 0 {
			return s.over(wrong("That code is not right, and it was the last attempt. Begin again: the key you scanned is no good."))
		}
		s.said = wrong("That code is not right. %s", clockAdvice(p.ClockOffS))
		if p.AttemptsLeft != nil {
			s.said.Text += " " + counted(*p.AttemptsLeft, "attempt") + " left."
		}
	case "invalid_request":
		s.said = wrong("A code is exactly six digits. This one was not counted as an attempt.")
	case "enrolment_invalid":
		return s.over(wrong("This can no longer be finished: it was begun anew elsewhere, or its time is over. Begin again."))
	case "unavailable", "busy":
		s.said = failed(err)
	default:
		return s.over(failed(err))
	}
	return s
}

// clockAdvice is what helps after a wrong first code: Countersign says by how much the app's clock is off if that is all
// that is wrong.
func clockAdvice(offS int) string {
	way := "fast"
	switch {
	case offS == 0:
		return "Is this the newest entry in the app?"
	case offS < 0:
		way, offS = "slow", -offS
	}
	return "The phone’s clock is about " + span(offS) + " " + way + ". Let the phone set it by itself, and type its next code."
}

// keptCodes forgets the recovery codes that were shown.
func (d *Demo) keptCodes(_ http.ResponseWriter, _ *http.Request, s session) session {
	if s.codes == nil {
		return s
	}
	return s.over(remark{Text: "Good. Each of your recovery codes lets you in once, without the app."})
}
