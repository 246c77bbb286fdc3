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

// The changes of the account that a signed-in user can ask for. Countersign decides what the user has to confirm first.
const (
	addApp       = "app"
	addKey       = "key"
	addPhone     = "phone"
	addEmail     = "email"
	removeFactor = "remove"
	makeCodes    = "codes"
	openSettings = "settings" // hosted pages
	openConsole  = "console"
)

// An errand is a change that the user has asked for and that isn't done yet.
type errand struct {
	what    string
	label   string // the name of the factor to set up or to remove
	variant string // of the key to set up
	phone   string // the number to set up
	factor  string // the id of the factor to remove
	removed string // its kind
}

// kind returns the kind of the factor to set up. It is empty if the errand is another one.
func (e *errand) kind() string {
	switch e.what {
	case addApp:
		return "totp"
	case addKey:
		return "webauthn"
	case addPhone:
		return "sms"
	case addEmail:
		return "email"
	}
	return ""
}

// words says in words what the user has to confirm. They stand after "Before".
func (e *errand) words() string {
	switch e.what {
	case addApp:
		return "you set up an authenticator app"
	case addKey:
		return "you set up a " + strings.ToLower(keyNames[e.variant])
	case addPhone:
		return "you set up a phone number"
	case addEmail:
		return "you set up your email address"
	case removeFactor:
		return "“" + e.label + "” is removed"
	case openSettings:
		return "you see your security settings"
	case openConsole:
		return "you see the administrators’ console"
	}
	return "you get new recovery codes"
}

// setup is a factor that is being set up. The application keeps the secret of an app, because Countersign shows the secret only
// once and the user may load the page again.
type setup struct {
	id, kind         string
	secret, uri, svg seal.Secret // of an app
	variant          string      // of a key
	options          options     // for a key
	sent             *sent       // to a number or address; nil if no code could be sent
	expires          time.Time
}

func (s *setup) noun() string {
	switch s.kind {
	case "webauthn":
		return strings.ToLower(keyNames[s.variant])
	case "sms":
		return "phone number"
	case "email":
		return "email address"
	}
	return "app"
}

// onPhone reports whether the code to type is on the phone.
func (s *setup) onPhone() bool { return s.kind == "totp" || s.kind == "sms" }

// askedFor says what a sign-in asks for once the factor is set up.
func (s *setup) askedFor() string {
	switch s.kind {
	case "webauthn":
		return "it"
	case "totp":
		return "its code"
	}
	return "a code that is sent to it"
}

// beginAgain says what to do after the setup has failed.
func (s *setup) beginAgain() string {
	if s.kind == "totp" {
		return "Begin again, and delete the key that you scanned."
	}
	return "Begin again."
}

// newCodes are recovery codes that are shown until the user confirms that they are kept. Countersign shows them only once.
type newCodes struct {
	id    string
	codes []seal.Secret
}

// showing returns the session with these new recovery codes to show, if there are any.
func (s session) showing(codes []seal.Secret) session {
	if s.in != nil && len(codes) > 0 {
		s.codes = &newCodes{id: rand.Text(), codes: codes}
	}
	return s
}

const mostLabel = 40 // characters

// opening makes an action that opens hosted pages.
func (d *Demo) opening(what string) action {
	return func(_ http.ResponseWriter, r *http.Request, s session) session {
		s = s.over(remark{})
		s.errand = &errand{what: what}
		return d.carryOut(r, s)
	}
}

// change begins a change of the account.
func (d *Demo) change(_ http.ResponseWriter, r *http.Request, s session) session {
	if s.in == nil && s.forced == nil || s.codes != nil {
		return s
	}
	e := &errand{
		what: r.PostFormValue("what"), label: strings.TrimSpace(r.PostFormValue("label")), variant: r.PostFormValue("variant"),
		phone: strings.TrimSpace(r.PostFormValue("phone")), factor: r.PostFormValue("factor"), removed: r.PostFormValue("kind"),
	}
	if keyNames[e.variant] == "" {
		e.variant = passkey
	}
	if e.label == "" {
		e.label = e.standardLabel()
	}
	if len([]rune(e.label)) > mostLabel {
		s.said = wrong("The name can have at most %d characters.", mostLabel)
		return s
	}
	if s.forced != nil {
		return d.beginForced(r, s, e)
	}
	s = s.over(remark{})
	s.errand = e
	return d.carryOut(r, s)
}

// standardLabel returns the name of a factor for which the user has typed none.
func (e *errand) standardLabel() string {
	switch e.what {
	case addKey:
		return keyNames[e.variant]
	case addPhone:
		return "Phone number"
	case addEmail:
		return "Email address"
	}
	return "Authenticator app"
}

// carryOut makes the change that the user asked for. If Countersign first wants the password or a second factor, the session
// waits for that.
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
		return s.over(wrong("Your organisation requires a second factor, and this is your only one. Set up another one first."))
	case errors.As(err, &p) && (p.Code == "invalid_request" || p.Code == "already_exists"):
		return s.over(wrong("%s", p.Detail))
	case errors.As(err, &p) && p.Code == "not_found":
		return s.over(wrong("“%s” was removed already.", s.errand.label))
	}
	return s.over(failed(err))
}

// try makes the call of the API for an errand.
func (d *Demo) try(r *http.Request, s session) (session, error) {
	q := request{method: "POST", bearer: d.o.Key.Reveal(), fresh: s.in}
	switch e := s.errand; e.what {
	case addApp, addKey, addPhone, addEmail:
		return d.beginSetup(r, s)
	case openSettings, openConsole:
		return d.openPortal(r, s)
	case removeFactor:
		q.method, q.path = "DELETE", accountPath(s.in.user)+"/factors/"+url.PathEscape(e.factor)
		if err := d.call(r.Context(), q, nil); err != nil {
			return s, err
		}
		said := "“" + e.label + "” was removed, and no browser is trusted any more."
		if e.removed == "totp" {
			said += " Delete the entry from the phone, too: its codes no longer work."
		}
		return s.over(remark{Text: said}), nil
	case makeCodes:
		var answer struct {
			RecoveryCodes []seal.Secret `json:"recovery_codes"`
		}
		q.path = accountPath(s.in.user) + "/recovery-codes"
		if err := d.call(r.Context(), q, &answer); err != nil {
			return s, err
		}
		return s.over(remark{Text: "These are your new recovery codes. All earlier ones no longer work."}).showing(answer.RecoveryCodes), nil
	}
	return s.over(remark{}), nil
}

// beginSetup begins to set up the factor that the user has asked for.
func (d *Demo) beginSetup(r *http.Request, s session) (session, error) {
	e := s.errand
	body := map[string]any{"kind": e.kind(), "label": e.label}
	if s.in != nil { // an enrolment token says by itself who the user is
		body["org"], body["user"] = Org, map[string]any{"id": s.in.user}
	}
	switch e.what {
	case addKey:
		body["variant"] = e.variant
	case addPhone:
		body["phone"] = e.phone
	}
	var answer begun
	q := request{method: "POST", path: "/v1/enrolments", bearer: d.bearer(s), fresh: s.in, body: body}
	if err := d.call(r.Context(), q, &answer); err != nil {
		return s, err
	}
	if answer.Prove != nil && s.forced != nil {
		s = s.over(remark{})
		next := *s.forced
		next.errand, next.sent = e, answer.Prove.Sent
		s.forced = &next
		return s, nil
	}
	s, t := s.over(remark{}), answer.TOTP
	s.setup = &setup{
		id: answer.ID, kind: e.kind(), secret: t.Secret, uri: t.URI, svg: t.QRSVG, variant: e.variant,
		options: options{answer.WebAuthn, d.o.Now()}, sent: answer.Sent, expires: answer.Expires,
	}
	if (method{Kind: e.kind()}).sends() && answer.Sent == nil {
		s.said = notSent(answer.SendError, answer.RetryAfterS)
	}
	return s, nil
}

// sendToNew asks Countersign to send a new code to the number or address that is being set up.
func (d *Demo) sendToNew(r *http.Request, s session) session {
	var answer struct{ Sent *sent }
	path := "/v1/enrolments/" + s.setup.id + "/send"
	if err := d.call(r.Context(), request{method: "POST", path: path, bearer: d.bearer(s)}, &answer); err != nil {
		s.said = failed(err)
		return s
	}
	next := *s.setup
	if next.sent != nil {
		s.said = remark{Text: newCode}
	}
	next.sent, s.setup = answer.Sent, &next
	return s
}

func accountPath(user string) string { return "/v1/orgs/" + Org + "/users/" + user }

// enterPassword checks the user's password again, because Countersign wants a check that is at most 10 minutes old.
func (d *Demo) enterPassword(_ http.ResponseWriter, r *http.Request, s session) session {
	if s.in == nil || s.errand == nil || s.waiting != nil {
		return s
	}
	if r.PostFormValue("password") == "" {
		s.said = wrong("Type a password. Any password is accepted here.")
		return s
	}
	in := *s.in
	in.checked = d.o.Now()
	s.in = &in
	return d.carryOut(r, s)
}

// The purpose and action of the step-up that Countersign wants before a change of the account.
const (
	stepUp        = "step_up"
	accountAction = "account"
)

// stepUp starts a challenge with which the signed-in user confirms the errand.
func (d *Demo) stepUp(r *http.Request, s session) session {
	nonce := rand.Text()
	ask := map[string]any{
		"org": Org, "user": map[string]any{"id": s.in.user}, "purpose": stepUp, "action": accountAction, "nonce": nonce,
		"first_factor": map[string]any{"kind": "password", "at": s.in.checked}, "context": contextOf(r),
	}
	addKnown(ask, r, Org, s.in.user)
	var answer started
	err := d.call(r.Context(), request{method: "POST", path: "/v1/challenges", bearer: d.o.Key.Reveal(), body: ask}, &answer)
	switch {
	case err != nil:
		return s.over(failed(err))
	case answer.Challenge == nil || answer.Challenge.Default == "":
		return s.over(wrong("There were too many wrong codes, so nothing can be confirmed for now. Nothing was changed."))
	}
	answer.Challenge.Methods = confirming(answer.Challenge.Methods)
	return s.asked(&waiting{
		user: s.in.user, nonce: nonce, reason: answer.Reason, challenge: *answer.Challenge, options: options{answer.Challenge.WebAuthn, d.o.Now()},
	})
}

// confirming returns the methods that are strong enough to confirm a change of the account. The strongest stands first.
func confirming(methods []method) []method {
	return slices.DeleteFunc(methods, func(m method) bool { return m.Kind != methods[0].Kind && m.Kind != "totp" })
}

// confirmed goes on with the errand, if the token says that the signed-in user has answered the challenge.
func (d *Demo) confirmed(r *http.Request, s session, token string) session {
	if s.errand == nil {
		return s.over(remark{})
	}
	_, err := d.checkToken(r.Context(), token, expected{
		issuer: d.o.Issuer, audience: d.o.Client, org: Org, user: s.in.user, nonce: s.waiting.nonce, challenge: s.waiting.challenge.ID,
		purpose: stepUp, action: accountAction, decision: "challenge", now: d.o.Now(),
	})
	if err != nil {
		return s.over(wrong("Demo desk does not accept Countersign’s answer: %v.", err))
	}
	in := *s.in
	in.proof = seal.NewSecret(token)
	s.in, s.waiting = &in, nil
	return d.carryOut(r, s)
}

// cancel ends what was begun, without any change.
func (d *Demo) cancel(_ http.ResponseWriter, _ *http.Request, s session) session {
	switch {
	case s.codes != nil:
		return s
	case s.forced != nil:
		return s.choosing(remark{Text: "Nothing was set up. Choose again."})
	case s.in == nil:
		return s
	}
	return s.over(remark{Text: "Nothing was changed."})
}

// finishSetup sends the first code of a new factor to Countersign.
func (d *Demo) finishSetup(_ http.ResponseWriter, r *http.Request, s session) session {
	if s.setup == nil {
		return s
	}
	return d.finish(r, s, map[string]any{"code": typed(r.PostFormValue("code"))})
}

// finish sends the first answer of a new factor to Countersign.
func (d *Demo) finish(r *http.Request, s session, body map[string]any) session {
	var answer finished
	path := "/v1/enrolments/" + s.setup.id + "/finish"
	err := d.call(r.Context(), request{method: "POST", path: path, bearer: d.bearer(s), body: body}, &answer)
	if err == nil && s.forced != nil {
		return d.enrolled(r, s, answer)
	}
	if err == nil {
		said := remark{Text: "“" + answer.Factor.Label + "” is set up. From now on a sign-in asks for " + s.setup.askedFor() + "."}
		return s.over(said).showing(answer.RecoveryCodes)
	}
	var p *problem
	if !errors.As(err, &p) {
		s.said = failed(err)
		return s
	}
	switch p.Code {
	case "wrong_code", "wrong_credential":
		return s.notProven(p)
	case "already_exists":
		return s.over(wrong("%s", p.Detail))
	case "invalid_request":
		s.said = wrong("A code has exactly six digits. What you typed was not counted as an attempt.")
	case "enrolment_invalid":
		return s.over(wrong("This can no longer be finished: you have begun again in another place, or the time is over. Begin again."))
	case "unavailable", "busy":
		s.said = failed(err)
	default:
		return s.over(failed(err))
	}
	return s
}

// notProven says that the first answer of a new factor was not right, and how many attempts are left.
func (s session) notProven(p *problem) session {
	said := "That code is not right"
	if s.setup.kind == "webauthn" {
		said = "This " + s.setup.noun() + " was not accepted"
	}
	if p.AttemptsLeft != nil && *p.AttemptsLeft == 0 {
		return s.over(wrong("%s, and it was the last attempt. %s", said, s.setup.beginAgain()))
	}
	s.said = wrong("%s.", said)
	if s.setup.kind == "totp" {
		s.said.Text += " " + clockAdvice(p.ClockOffS)
	}
	if p.AttemptsLeft != nil {
		s.said.Text += " " + attemptsLeft(*p.AttemptsLeft)
	}
	return s
}

// clockAdvice says what may help after a wrong first code. If the code is right for a phone whose clock is wrong, Countersign
// says by how many seconds.
func clockAdvice(offS int) string {
	way := "fast"
	switch {
	case offS == 0:
		return "Did you use the newest entry in the app?"
	case offS < 0:
		way, offS = "slow", -offS
	}
	return "The phone’s clock is about " + span(offS) + " " + way + ". Let the phone set it by itself, and type its next code."
}

// keptCodes removes the recovery codes that were shown from the session.
func (d *Demo) keptCodes(_ http.ResponseWriter, _ *http.Request, s session) session {
	if s.codes == nil {
		return s
	}
	return s.over(remark{Text: "Good. Each of your recovery codes lets you in once when nothing else is at hand."})
}
