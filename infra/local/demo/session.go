package demo

import (
	"crypto/rand"
	"net/http"
	"time"

	"countersign/pkg/seal"
)

// A session is what the application knows about one browser. In the zero session nobody is signed in. What a stored session
// points to is never changed.
type session struct {
	in      *signedIn
	waiting *waiting // the challenge that the user has to answer, to sign in or to confirm the errand
	errand  *errand  // the change that the user has to confirm; if waiting is nil, with the password
	setup   *setup
	forced  *forced // the sign-in that a set-up answers
	codes   *newCodes
	away    *away  // the challenge for which the browser is at a hosted page
	calls   *calls // what the application has asked Countersign for
	to      string // where the browser goes after the form; empty if to the page
	said    remark // is shown once
	used    time.Time
}

// waiting is a challenge that the user hasn't answered yet.
type waiting struct {
	user, nonce, reason string
	challenge           challenge
	checked             time.Time // when the password was checked; zero if it wasn't
	way                 string    // the id of the factor that the page asks for, or byRecovery
	options             options   // for the user's keys; zero if Countersign has made none yet
}

// signedIn is a signed-in user.
type signedIn struct {
	org                    string
	user, decision, reason string
	how                    string // the kind of the factor, or byRecovery; empty if the user wasn't asked
	codesLeft              int    // how many recovery codes are left, if one was used
	claims                 claims
	trusted                *time.Time // until when the browser is trusted; nil if this sign-in did not make it a trusted one
	ends                   time.Time
	checked                time.Time   // when the password was checked; zero if it wasn't
	proof                  seal.Secret // the token of the last step-up
	issued                 time.Time   // when the session began, by Countersign
	hosted                 bool        // whether hosted pages ask this user
}

// A remark is what the page says about what the user just did.
type remark struct {
	Text string
	Bad  bool // whether something is wrong that concerns the form on the page
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

// at returns the session as it is at a time. It removes what has ended by then.
func (s session) at(now time.Time) session {
	switch {
	case s.in != nil && !now.Before(s.in.ends):
		return session{said: remark{Text: "Your session at Demo desk has ended. Sign in again."}}
	case s.waiting != nil && !now.Before(s.waiting.challenge.Expires) && s.in != nil:
		return s.over(wrong("The time to confirm the change is over. Nothing was changed."))
	case s.waiting != nil && !now.Before(s.waiting.challenge.Expires):
		return session{said: wrong("The time for this sign-in is over. Start again with your password.")}
	case s.away != nil && !now.Before(s.away.ends):
		return s.over(wrong("The time to answer is over. Nothing was done."))
	case s.forced != nil && !now.Before(s.forced.ends):
		return session{said: wrong("The time for this sign-in is over. Start again with your password.")}
	case s.setup != nil && !now.Before(s.setup.expires):
		return s.over(wrong("The time to set up the %s is over. %s", s.setup.noun(), s.setup.beginAgain()))
	}
	return s
}

// over returns the session after what the user had begun has ended. A signed-in user stays signed in, and a user who has to set up
// a factor still has to.
func (s session) over(said remark) session {
	return session{in: s.in, forced: s.forced, calls: s.calls, said: said}
}

// step returns a name for what the page is about. A form of an older page has another name, and so it is recognised.
func (s session) step() string {
	switch {
	case s.codes != nil:
		return s.codes.id
	case s.waiting != nil:
		return s.waiting.challenge.ID
	case s.setup != nil:
		return s.setup.id
	case s.forced != nil && s.forced.errand != nil:
		return "prove " + s.forced.challenge
	case s.forced != nil:
		return "set up " + s.forced.challenge
	case s.in != nil:
		return "in " + s.in.claims.ID // the challenge has the same id, so the name needs a prefix
	}
	return ""
}

// here wraps an action so that a form of an older page does nothing. The user may have gone on in another tab since.
func here(act action) action {
	return func(w http.ResponseWriter, r *http.Request, s session) session {
		switch s.step() {
		case "": // the browser has not begun to sign in
			return s
		case r.PostFormValue("step"):
			return act(w, r, s)
		}
		s.said = remark{Text: "That page was out of date, so nothing was done. This is the current page."}
		return s
	}
}

// keep stores a session. A browser that signs in or out, or leaves for a hosted page, gets a new session id. An earlier id, which
// somebody else may have planted in the browser, is of no use afterwards.
func (d *Demo) keep(w http.ResponseWriter, id string, was, s session) {
	if id == "" && s == (session{}) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s.to = ""
	if id == "" || (was.in == nil) != (s.in == nil) || s.away != nil && s.away != was.away {
		delete(d.sessions, id)
		if len(d.sessions) >= mostSessions {
			d.forgetOldest()
		}
		id = rand.Text()
		// The browser comes back from a hosted page of another site, and a cookie that is SameSite=Strict would stay away then.
		http.SetCookie(w, &http.Cookie{
			Name: sessionCookie, Value: id, Path: "/", MaxAge: int(30 * 24 * time.Hour / time.Second), HttpOnly: true, SameSite: http.SameSiteLaxMode,
		})
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

// heard removes the remark of a session once it was shown.
func (d *Demo) heard(id string, shown session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.sessions[id]; ok && s.said == shown.said {
		s.said = remark{}
		d.sessions[id] = s
	}
}
