package demo

import (
	"crypto/rand"
	"net/http"
	"time"
)

// A session is what the application knows of one browser. The zero session is nobody's.
type session struct {
	waiting *waiting
	in      *signedIn
	said    remark // shown once
	used    time.Time
}

// waiting is a sign-in whose code is still to come.
type waiting struct {
	user, nonce, reason string
	challenge           challenge
}

// signedIn is somebody who is in.
type signedIn struct {
	user, decision, reason string
	claims                 claims
	trusted                *time.Time // until when; nil: this sign-in did not make the browser a trusted one
	ends                   time.Time
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
	case s.waiting != nil && !now.Before(s.waiting.challenge.Expires):
		return session{said: remark{Text: "The time for this sign-in is over. Start again with your password.", Bad: true}}
	}
	return s
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
