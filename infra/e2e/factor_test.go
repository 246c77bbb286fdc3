package main

import (
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// An app is an authenticator app that has a secret.
type app struct{ factor, secret string }

// code returns what the app shows at the time of the server. A code is accepted only once, so call this at most once a minute.
func (a app) code(t *testing.T, w *world) string {
	t.Helper()
	code, err := totp.GenerateCode(a.secret, w.now(t))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// next moves the clock until the app shows another code, and returns that code.
func (a app) next(t *testing.T, w *world) string {
	t.Helper()
	w.advance(t, time.Minute)
	return a.code(t, w)
}

// fresh returns the headers with which a client says that it has just checked the password. proof is empty if none is needed.
func (w *world) fresh(t *testing.T, proof string) map[string]string {
	t.Helper()
	header := map[string]string{"Countersign-Reauthenticated-At": w.now(t).UTC().Format(time.RFC3339)}
	if proof != "" {
		header["Countersign-Proof"] = proof
	}
	return header
}

// path returns the path of a person's account, followed by rest.
func (p person) path(rest string) string { return "/v1/orgs/" + p.org + "/users/" + p.id + rest }

// account gets a person's account.
func (w *world) account(t *testing.T, p person) answer {
	t.Helper()
	return w.do(t, call{method: "GET", path: p.path("")}).want(t, 200, "")
}

// begin begins to enrol a factor of a kind with the API key.
func (w *world) begin(t *testing.T, p person, kind, proof string) answer {
	t.Helper()
	body := p.signIn(doc{"kind": kind})
	return w.do(t, call{method: "POST", path: "/v1/enrolments", body: body, header: w.fresh(t, proof)})
}

func (w *world) finish(t *testing.T, bearer, id, code string) answer {
	t.Helper()
	return w.do(t, call{method: "POST", path: "/v1/enrolments/" + id + "/finish", bearer: bearer, body: doc{"code": code}})
}

// enrolApp enrols an authenticator app with the API key.
func (w *world) enrolApp(t *testing.T, p person, proof string) (app, answer) {
	t.Helper()
	begun := w.begin(t, p, "totp", proof).want(t, 201, "")
	a := app{secret: begun.text("totp", "secret")}
	done := w.finish(t, "", begun.text("id"), a.code(t, w)).want(t, 201, "")
	a.factor = done.text("factor", "id")
	return a, done
}

// enrolMail enrols a person's address with the API key.
func (w *world) enrolMail(t *testing.T, p person, proof string) answer {
	t.Helper()
	begun := w.begin(t, p, "email", proof).want(t, 201, "")
	return w.finish(t, "", begun.text("id"), w.code(t, p.email)).want(t, 201, "")
}

// stepUp answers a step-up with an app, and returns the token, which is a proof for ten minutes.
func (w *world) stepUp(t *testing.T, p person, a app, more doc) string {
	t.Helper()
	body := doc{"purpose": "step_up"}
	for name, value := range more {
		body[name] = value
	}
	id := w.start(t, p, body).want(t, 201, "").text("challenge", "id")
	return w.verify(t, id, doc{"factor": a.factor, "code": a.next(t, w)}).want(t, 200, "").text("token")
}

// recoverBy answers a challenge with a recovery code.
func (w *world) recoverBy(t *testing.T, id, code string) answer {
	t.Helper()
	return w.do(t, call{method: "POST", path: "/v1/challenges/" + id + "/recover", body: doc{"code": code}})
}
