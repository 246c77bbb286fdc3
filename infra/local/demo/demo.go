// Package demo is a small application that signs people in with Countersign, to be looked at in a browser: "Demo desk",
// which has a login of its own and asks Countersign, over its HTTP API and with an API key, for the second question.
// Who is in sets up an authenticator app, removes it, and makes recovery codes. Beside the login the demo shows the mailbox
// that a code arrives in and a phone that plays the app, and moves the server's clock.
//
// It is written as a client should be: it takes nobody in, and believes no confirmation, before it has verified the token
// that Countersign signed; it holds challenge tokens on its own side, and gives the browser nothing but cookies that
// scripts can't read.
//
// It refuses to be a login: any password will do, and sessions and the phone end with the process.
package demo

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"sync"
	"time"

	"countersign/pkg/seal"
)

const (
	// Org is the organisation that the application's users are in.
	Org = "demo"
	// Prefix is what all paths of the demo but its page, /, begin with.
	Prefix = "/demo/"
)

// Options say where Countersign is, and who the application is to it.
type Options struct {
	Countersign http.Handler     // what answers at Issuer
	Issuer      string           // base URL of Countersign
	Key         seal.Secret      // API key with the scopes sign_in, manage and admin
	Client      string           // the client that Key is of
	Now         func() time.Time // Countersign's time
}

// A Demo is an http.Handler for / and what is under Prefix.
type Demo struct {
	o     Options
	http  *http.Client
	pages *template.Template
	mux   *http.ServeMux

	forms sync.Mutex // one at a time: the second press of a button finds what the first has done

	mu       sync.Mutex
	sessions map[string]session
	keys     map[string]*ecdsa.PublicKey // of Countersign, by id
	phone    []app                       // oldest first
}

//go:embed html static
var files embed.FS

// New makes the application, and gives its org a policy if it has none.
func New(ctx context.Context, o Options) (*Demo, error) {
	d := &Demo{o: o, http: &http.Client{Transport: inside{o.Countersign}}, sessions: map[string]session{}}
	var err error
	if d.pages, err = template.ParseFS(files, "html/*.html"); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	static, err := fs.Sub(files, "static")
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if err := d.setPolicy(ctx); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	sameOrigin := http.NewCrossOriginProtection()
	d.mux = http.NewServeMux()
	d.mux.HandleFunc("GET /{$}", d.page)
	d.mux.HandleFunc("GET /demo/mailbox", d.mailbox)
	d.mux.HandleFunc("GET /demo/phone", d.phoneCodes)
	d.mux.Handle("GET /demo/static/", http.StripPrefix("/demo/static/", http.FileServerFS(static)))
	for path, act := range map[string]action{
		"/demo/sign-in": d.signIn, "/demo/sign-out": d.signOut, "/demo/clock": d.moveClock, "/demo/forget": d.forget,
		"/demo/code": here(d.enterCode), "/demo/recover": here(d.enterRecovery), "/demo/way": here(d.chooseWay), "/demo/send": here(d.sendAgain),
		"/demo/change": here(d.change), "/demo/password": here(d.enterPassword), "/demo/cancel": here(d.cancel),
		"/demo/scan": here(d.scan), "/demo/finish": here(d.finishSetup), "/demo/kept": here(d.keptCodes),
	} {
		d.mux.Handle("POST "+path, sameOrigin.Handler(d.acting(act)))
	}
	return d, nil
}

// ServeHTTP implements http.Handler.
func (d *Demo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	d.mux.ServeHTTP(w, r)
}

// An action is what a form does. It answers with the session that the browser has from then on.
type action func(w http.ResponseWriter, r *http.Request, s session) session

// acting carries out a form's action and sends the browser back to the page.
func (d *Demo) acting(act action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
		if err := r.ParseForm(); err != nil {
			http.Error(w, "The form could not be read.", http.StatusBadRequest)
			return
		}
		d.forms.Lock()
		defer d.forms.Unlock()
		id, s := d.session(r)
		d.keep(w, id, s, act(w, r, s))
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
}

const (
	sessionCookie = "demo_session"
	trustCookie   = "demo_trust_"
	knownCookie   = "demo_known_"

	// A browser's token is sent for as long as Countersign tells an ended trust from none: 30 days of trust and 30 more.
	trustKept = 60 * 24 * time.Hour
	// So that a stranger who only has the password can't lock the user out of a browser that was let in before.
	knownKept = 365 * 24 * time.Hour
)

func setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life / time.Second), HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// cookieOf is the cookie of a sort for one user: several people may share a browser.
func cookieOf(sort, user string) string {
	sum := sha256.Sum256([]byte(user))
	return sort + hex.EncodeToString(sum[:8])
}

// addKnown says in the body of a start that this user has answered rightly in this browser before, if that is so.
func addKnown(start map[string]any, r *http.Request, user string) {
	if cookie, err := r.Cookie(cookieOf(knownCookie, user)); err == nil {
		start["known_token"] = cookie.Value
	}
}
