package demo

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// This file is about security keys and passkeys. Countersign makes the options of each ceremony and checks the response. Between
// them stands the browser: the page's script, static/keys.js, passes the options to the browser, and puts the response into a
// form. The application understands neither.

// The variants of a key that a user can set up.
const (
	passkey     = "passkey"
	securityKey = "security_key"
)

// keyNames has the names of the variants.
var keyNames = map[string]string{passkey: "Passkey", securityKey: "Security key"}

// options are the options of a WebAuthn ceremony, and when Countersign made them.
type options struct {
	json json.RawMessage
	made time.Time
}

// fresh reports whether the user still has time enough to answer. Countersign accepts a response for 300 seconds.
func (o options) fresh(now time.Time) bool {
	return o.json != nil && now.Before(o.made.Add(150*time.Second))
}

// ceremony gives the page's script the options of the ceremony that the page is about.
func (d *Demo) ceremony(w http.ResponseWriter, r *http.Request) {
	d.forms.Lock()
	defer d.forms.Unlock()
	id, s := d.session(r)
	if step := s.step(); step == "" || step != r.FormValue("step") {
		answerScript(w, http.StatusConflict, map[string]any{"said": "This page is out of date. Load it again."})
		return
	}
	next, made, err := d.begin(r, s)
	var p *problem
	switch {
	case errors.As(err, &p) && (p.Code == "challenge_invalid" || p.Code == "enrolment_invalid"):
		answerScript(w, http.StatusConflict, map[string]any{"said": "This step is over. Start again."})
	case err != nil:
		answerScript(w, http.StatusBadGateway, map[string]any{"said": failed(err).Text})
	default:
		d.keep(w, id, s, next)
		answerScript(w, http.StatusOK, map[string]any{"options": made.json})
	}
}

// begin returns the options of the ceremony that the session is about. If they are too old, Countersign makes new ones.
func (d *Demo) begin(r *http.Request, s session) (session, options, error) {
	q := request{method: "POST"}
	switch {
	case s.waiting != nil:
		if s.waiting.options.fresh(d.o.Now()) {
			return s, s.waiting.options, nil
		}
		q.path, q.bearer = "/v1/challenges/"+s.waiting.challenge.ID+"/send", s.waiting.challenge.Token
		q.body = map[string]any{"factor": s.waiting.way}
	case s.setup != nil:
		if s.setup.options.fresh(d.o.Now()) {
			return s, s.setup.options, nil
		}
		q.path, q.bearer = "/v1/enrolments/"+s.setup.id+"/send", d.bearer(s)
	}
	var answer struct{ WebAuthn json.RawMessage }
	if err := d.call(r.Context(), q, &answer); err != nil {
		return s, options{}, err
	}
	made := options{answer.WebAuthn, d.o.Now()}
	if s.waiting != nil {
		next := *s.waiting
		next.options, s.waiting = made, &next
	} else {
		next := *s.setup
		next.options, s.setup = made, &next
	}
	return s, made, nil
}

func answerScript(w http.ResponseWriter, status int, answer map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(answer)
}

// enterCredential sends what the user's key has answered to Countersign.
func (d *Demo) enterCredential(w http.ResponseWriter, r *http.Request, s session) session {
	credential, ok := credentialIn(r)
	if s.waiting == nil || !ok {
		return s
	}
	return d.answer(w, r, s, map[string]any{"credential": credential, "factor": s.waiting.way})
}

// finishKey sends the first answer of a new key to Countersign.
func (d *Demo) finishKey(_ http.ResponseWriter, r *http.Request, s session) session {
	credential, ok := credentialIn(r)
	if s.setup == nil || !ok {
		return s
	}
	return d.finish(r, s, map[string]any{"credential": credential})
}

// credentialIn returns the credential in a form. It reports false if the form has none: the form can't be sent without the
// page's script.
func credentialIn(r *http.Request) (json.RawMessage, bool) {
	credential := json.RawMessage(r.PostFormValue("credential"))
	return credential, json.Valid(credential)
}
