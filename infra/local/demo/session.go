package demo

import (
	"crypto/rand"
	"net/http"
	"time"

	"countersign/pkg/seal"
)

// A session is what the application knows of one browser. The zero session is nobody's. What it points to isn't changed
// once it is kept.
type session struct {
	in      *signedIn
	waiting *waiting // for an answer: at sign-in, or of who is in, to confirm errand
	errand  *errand  // what who is in asked for and has to confirm: with waiting nil, by the password
	setup   *setup
	codes   *newCodes
	said    remark // shown once
	used    time.Time
}

// waiting is a challenge that is still to be answered.
type waiting struct {
	user, nonce, reason string
	challenge           challenge
	checked             time.Time // when the password was; zero: it wasn't
	way                 string    // id of the factor that the page asks for, or byRecovery
}

// signedIn is somebody who is in.
type signedIn struct {
	user, decision, reason string
	how                    string // kind of the factor, or byRecovery; empty: none was asked for
	codesLeft              int    // recovery codes, after one was used
	claims                 claims
	trusted                *time.Time // until when; nil: this sign-in did not make the browser a trusted one
	ends                   time.Time
	checked                time.Time   // when the password was; zero: it wasn't
	proof                  seal.Secret // token of the last step-up
}

// A remark is what the application has to say about what was just done.
type remark struct {
	Text string
	Bad  bool // something is wrong, and it concerns the form on the page
}

const (
	sessionLife  = 8 * time.Hour
	mostSessions = 1000
)

// session finds a browser's session.
func (d *Demo) session(r *http.Request) (id string, s session) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return "", session{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.sessions[cookie.Value]
	if !ok {
		return "", session{}
	}
	return cookie.Value, s.at(d.o.Now())
}

// at is the session as it is at a time: what has ended is over.
func (s session) at(now time.Time) session {
	switch {
	case s.in != nil && !now.Before(s.in.ends):
		return session{said: remark{Text: "Your session at Demo desk has ended. Sign in again."}}
	case s.waiting != nil && !now.Before(s.waiting.challenge.Expires) && s.in != nil:
		return s.over(wrong("The time to confirm it is over. Nothing was changed."))
	case s.waiting != nil && !now.Before(s.waiting.challenge.Expires):
		return session{said: wrong("The time for this sign-in is over. Start again with your password.")}
	case s.setup != nil && !now.Before(s.setup.expires):
		return s.over(wrong("The time to set up the app is over. Begin again: the key you scanned is no good."))
	}
	return s
}

// over is the session after what was under way has ended: who is in stays in.
func (s session) over(said remark) session { return session{in: s.in, said: said} }

// step names what the browser's page is about, so that a form of an older page can be told.
func (s session) step() string {
	switch {
	case s.codes != nil:
		return s.codes.id
	case s.waiting != nil:
		return s.waiting.challenge.ID
	case s.setup != nil:
		return s.setup.id
	case s.in != nil:
		return "in " + s.in.claims.ID // which is the challenge's, too
	}
	return ""
}

// here keeps forms of older pages from an action: in another tab, the session may have moved on since.
func here(act action) action {
	return func(w http.ResponseWriter, r *http.Request, s session) session {
		switch s.step() {
		case "": // not even signing in
			return s
		case r.PostFormValue("step"):
			return act(w, r, s)
		}
		s.said = remark{Text: "That page was out of date, and nothing was done. This is where you are now."}
		return s
	}
}

// keep stores what has become of a session. Whoever signs in or out gets another id, so that no id from before is good
// for what comes after.
func (d *Demo) keep(w http.ResponseWriter, id string, was, s session) {
	if id == "" && s == (session{}) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if id == "" || (was.in == nil) != (s.in == nil) {
		delete(d.sessions, id)
		if len(d.sessions) >= mostSessions {
			d.forgetOldest()
		}
		id = rand.Text()
		setCookie(w, sessionCookie, id, 30*24*time.Hour)
	}
	s.used = d.o.Now()
	d.sessions[id] = s
}

func (d *Demo) forgetOldest() {
	var oldest string
	for id, s := range d.sessions {
		if oldest == "" || s.used.Before(d.sessions[oldest].used) {
			oldest = id
		}
	}
	delete(d.sessions, oldest)
}

// heard notes that a session's remark has been shown.
func (d *Demo) heard(id string, shown session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.sessions[id]; ok && s.said == shown.said {
		s.said = remark{}
		d.sessions[id] = s
	}
}
