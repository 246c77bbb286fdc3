// Package demo is a small web application, "Demo desk", that signs users in with Countersign. It has its own login, and uses
// Countersign's HTTP API with an API key to ask for the second factor. It is an example of both ways to do that, and a person chooses
// between them on its first page:
//
//   - Hosted pages: Countersign's pages ask, and the browser comes back. All that such an application has to do is in hosted.go. Its
//     users belong to several organisations, which have the policies of the five products, and an administrator in each.
//   - Own screens: the application asks on pages of its own (signin.go, answer.go), and lets a signed-in user set up authenticator
//     apps, phone numbers, security keys and passkeys, remove them, and make recovery codes (account.go, keys.go).
//
// Beside the application, the page shows the mailbox and the phone in which codes arrive, and which calls were made. The phone has an
// authenticator app, too, and the page can move the server's clock.
//
// The application does what every client of Countersign should do. It signs a user in, and believes a confirmation, only after
// it has verified the token that Countersign signed (token.go). It keeps challenge tokens on the server, and gives the browser only
// cookies that scripts can't read.
//
// It is a demo, not a real login: it accepts any password, and sessions and the phone end with the process.
package demo

import (
	"cmp"
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

	"countersign/pkg/apikey"
	"countersign/pkg/pages"
	"countersign/pkg/seal"
)

const (
	// Org is the organisation of the application's users.
	Org = "demo"
	// Prefix is the beginning of all paths of the demo, except its page at /.
	Prefix = "/demo/"
)

// Scopes are what the application's API key may do in its daily work.
var Scopes = []apikey.Scope{apikey.SignIn, apikey.Manage}

// Options say how the application reaches Countersign.
type Options struct {
	Countersign http.Handler     // the handler of Countersign's API
	Issuer      string           // the base URL of Countersign
	Key         seal.Secret      // an API key with Scopes
	AdminKey    seal.Secret      // an API key with the scope admin, for policies and the administrators' console
	Client      string           // the client to which the keys belong
	Now         func() time.Time // Countersign's time
}

// A Demo is an http.Handler for / and the paths under Prefix.
type Demo struct {
	o     Options
	http  *http.Client
	pages *template.Template
	mux   *http.ServeMux

	forms sync.Mutex // held while a form is handled, so that a second press of a button finds what the first has done

	mu       sync.Mutex
	sessions map[string]session
	keys     map[string]*ecdsa.PublicKey // Countersign's public keys, by their ids
	phone    []app                       // the oldest first
	prepared map[string]bool             // orgs that have a policy
}

//go:embed html static
var files embed.FS

// New makes the application. If its org has no policy of its own, New gives it one.
func New(ctx context.Context, o Options) (*Demo, error) {
	d := &Demo{o: o, http: &http.Client{Transport: inside{o.Countersign}}, sessions: map[string]session{}, prepared: map[string]bool{}}
	var err error
	if d.pages, err = template.ParseFS(files, "html/*.html"); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	static, err := fs.Sub(files, "static")
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if err := d.prepare(ctx, Org); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	sameOrigin := http.NewCrossOriginProtection()
	d.mux = http.NewServeMux()
	d.mux.HandleFunc("GET /{$}", d.page)
	d.mux.HandleFunc("GET /demo/base.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Write(pages.Style())
	})
	d.mux.HandleFunc("GET /demo/devices", d.devices)
	d.mux.Handle("GET "+returnPath, d.acting(d.comeBack))
	d.mux.HandleFunc("GET /demo/mailbox", d.mailbox)
	d.mux.HandleFunc("GET /demo/texts", d.texts)
	d.mux.HandleFunc("GET /demo/phone", d.phoneCodes)
	d.mux.Handle("GET /demo/static/", http.StripPrefix("/demo/static/", http.FileServerFS(static)))
	for path, act := range map[string]action{
		"/demo/sign-in": d.signIn, "/demo/sign-out": d.signOut, "/demo/clock": d.moveClock, "/demo/forget": d.forget, "/demo/type-key": d.typeKey,
		"/demo/hosted/sign-in": d.signInHosted, "/demo/hosted/transfer": d.inHosted(d.sendMoney),
		"/demo/hosted/settings": d.inHosted(d.opening(openSettings)), "/demo/hosted/console": d.inHosted(d.opening(openConsole)),
		"/demo/code": here(d.enterCode), "/demo/recover": here(d.enterRecovery), "/demo/way": here(d.chooseWay), "/demo/send": here(d.sendAgain),
		"/demo/credential": here(d.enterCredential), "/demo/finish-key": here(d.finishKey),
		"/demo/change": here(d.change), "/demo/password": here(d.enterPassword), "/demo/cancel": here(d.cancel),
		"/demo/prove": here(d.prove), "/demo/scan": here(d.scan), "/demo/finish": here(d.finishSetup), "/demo/kept": here(d.keptCodes),
	} {
		d.mux.Handle("POST "+path, sameOrigin.Handler(d.acting(act)))
	}
	d.mux.Handle("POST /demo/ceremony", sameOrigin.Handler(http.MaxBytesHandler(http.HandlerFunc(d.ceremony), mostForm)))
	return d, nil
}

// ServeHTTP implements http.Handler.
func (d *Demo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "+
		"form-action 'self' "+d.o.Issuer+"; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	d.mux.ServeHTTP(w, r)
}

const mostForm = 64 << 10 // bytes; a credential has a few thousand

// An action handles a form. It returns the session that the browser has from then on.
type action func(w http.ResponseWriter, r *http.Request, s session) session

// acting makes a handler that runs the action of a form and then redirects the browser to the page.
func (d *Demo) acting(act action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, mostForm)
		if err := r.ParseForm(); err != nil {
			http.Error(w, "The form could not be read.", http.StatusBadRequest)
			return
		}
		d.forms.Lock()
		defer d.forms.Unlock()
		id, s := d.session(r)
		ctx, made := noting(r.Context())
		next := act(w, r.WithContext(ctx), s)
		if next.calls = s.calls.and(made); next.in == nil && s.in != nil {
			next.calls = nil
		}
		to := cmp.Or(next.to, "/")
		if page := r.PostFormValue("page"); next.to == "" && page == devicesPath {
			to = page
		}
		d.keep(w, id, s, next)
		http.Redirect(w, r, to, http.StatusSeeOther)
	})
}

const (
	sessionCookie = "demo_session"
	trustCookie   = "demo_trust_"
	knownCookie   = "demo_known_"

	// A trust token lives for 30 days. For 30 more, Countersign can say that the trust has expired, so the cookie lasts 60 days.
	trustKept = 60 * 24 * time.Hour
	// A known token keeps somebody who has only the password from locking the user out of a browser that was used before.
	knownKept = 365 * 24 * time.Hour
)

func setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life / time.Second), HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// cookieOf returns the name of a user's cookie of some sort. Each user has their own, because several people may share a browser.
func cookieOf(sort, org, user string) string {
	sum := sha256.Sum256([]byte(org + "\n" + user))
	return sort + hex.EncodeToString(sum[:8])
}

// addKnown adds the browser's known token to the body of a start. The token says that this user has given a right answer in this
// browser before.
func addKnown(start map[string]any, r *http.Request, org, user string) {
	if cookie, err := r.Cookie(cookieOf(knownCookie, org, user)); err == nil {
		start["known_token"] = cookie.Value
	}
}
