package pages_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// An application is what users sign in to: it checks the password, asks Countersign whether that is enough, and sends the browser to the
// hosted page if it isn't. Each browser keeps the tokens of its users in cookies. It believes every password.
type application struct{ desk *desk }

// answered is what the application reads of Countersign's answers.
type answered struct {
	ID         string `json:"id"`
	Decision   string `json:"decision"`
	Reason     string `json:"reason"`
	State      string `json:"state"`
	URL        string `json:"url"`
	TrustToken string `json:"trust_token"`
	KnownToken string `json:"known_token"`
	Challenge  *struct {
		ID  string `json:"id"`
		URL string `json:"url"`
	} `json:"challenge"`
	Enrolment *struct {
		URL string `json:"url"`
	} `json:"enrolment"`
	Offer *struct {
		Kinds []string `json:"kinds"`
	} `json:"offer"`
	Outcome *answered `json:"outcome"`
}

var (
	passwordPage = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><title>Desk</title><h1>Your password</h1>
<form method="post" action="/app/sign-in"><input type="hidden" name="org" value="{{.Org}}"><input type="hidden" name="locale" value="{{.Locale}}"><input name="user" aria-label="User" autocomplete="username" autofocus><input name="password" type="password" autocomplete="current-password" aria-label="Password">
<button name="do" value="password">Sign in</button> <button name="do" value="sso">Sign in with your company</button></form>`))
	insidePage = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><title>Desk</title><h1>{{.Title}}</h1><p>{{.User}} {{.Why}}</p>
{{if .SetUp}}<p><a href="{{.SetUp}}">Set up two-step sign-in</a></p>{{end}}`))
)

// inside is what the application's page says after a sign-in.
type inside struct{ Title, User, Why, SetUp string }

// ServeHTTP implements http.Handler.
func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var err error
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	switch {
	case r.URL.Path == "/app/sign-in" && r.Method == http.MethodPost:
		err = a.signIn(w, r)
	case r.URL.Path == "/app/sign-in":
		said := r.URL.Query()
		err = passwordPage.Execute(w, struct{ Org, Locale string }{cmp.Or(said.Get("org"), org), said.Get("locale")})
	case r.URL.Path == "/app/settings":
		err = a.settings(w, r)
	case r.URL.Query().Get("challenge") != "":
		err = a.back(w, r)
	default:
		err = insidePage.Execute(w, inside{Title: "Desk"})
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// call makes a call of the API, with the application's key.
func (a *application) call(r *http.Request, method, path string, body any) (got answered, err error) {
	var text []byte
	if body != nil {
		if text, err = json.Marshal(body); err != nil {
			return got, err
		}
	}
	asked, err := http.NewRequestWithContext(r.Context(), method, a.desk.base+path, bytes.NewReader(text))
	if err != nil {
		return got, err
	}
	asked.Header.Set("Authorization", "Bearer "+a.desk.key)
	if body != nil {
		asked.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(asked)
	if err != nil {
		return got, err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return got, fmt.Errorf("%s %s: %s", method, path, answer.Status)
	}
	return got, json.NewDecoder(answer.Body).Decode(&got)
}

// clock is Countersign's time.
func (a *application) clock(r *http.Request) (string, error) {
	asked, err := http.NewRequestWithContext(r.Context(), "GET", a.desk.base+"/local/clock", nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(asked)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var got struct {
		Now time.Time `json:"now"`
	}
	err = json.NewDecoder(answer.Body).Decode(&got)
	return got.Now.Format(time.RFC3339), err
}

// keep gives the browser a cookie, which a script can't read.
func keep(w http.ResponseWriter, name, value string) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/app", MaxAge: 400 * 24 * 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func kept(r *http.Request, name string) any {
	c, err := r.Cookie(name)
	if err != nil {
		return nil
	}
	return c.Value
}

func (a *application) signIn(w http.ResponseWriter, r *http.Request) error {
	user, now := r.PostFormValue("user"), ""
	now, err := a.clock(r)
	if err != nil {
		return err
	}
	got, err := a.call(r, "POST", "/v1/challenges", map[string]any{
		"org": r.PostFormValue("org"), "user": map[string]any{"id": user, "email": user + "@acme.example", "locale": r.PostFormValue("locale")},
		"first_factor": map[string]any{"kind": r.PostFormValue("do"), "at": now},
		"trust_token":  kept(r, "trust-"+user), "known_token": kept(r, "known-"+user),
		"context": map[string]any{"user_agent": r.UserAgent()}, "return_url": a.desk.base + "/app",
	})
	if err != nil {
		return err
	}
	if got.TrustToken != "" {
		keep(w, "trust-"+user, got.TrustToken)
	}
	began := got.ID
	if got.Challenge != nil {
		began = got.Challenge.ID
	}
	if got.Decision != "allow" {
		keep(w, "began", began+" "+user) // so that only this browser gets what the user proves now
	}
	switch {
	case got.Decision == "allow" && got.Enrolment != nil: // in grace: the user is in, and may set something up on the way
		keep(w, "began", "skipped "+user)
		http.Redirect(w, r, got.Enrolment.URL, http.StatusSeeOther)
	case got.Challenge != nil:
		http.Redirect(w, r, got.Challenge.URL, http.StatusSeeOther)
	case got.Enrolment != nil:
		http.Redirect(w, r, got.Enrolment.URL, http.StatusSeeOther)
	default:
		in := inside{Title: "Signed in", User: user, Why: got.Reason}
		if got.Offer != nil {
			in.SetUp = "/app/settings?user=" + url.QueryEscape(user)
		}
		return insidePage.Execute(w, in)
	}
	return nil
}

// settings sends the browser to the hosted security settings.
func (a *application) settings(w http.ResponseWriter, r *http.Request) error {
	now, err := a.clock(r)
	if err != nil {
		return err
	}
	got, err := a.call(r, "POST", "/v1/portal-sessions", map[string]any{"org": org, "user": r.URL.Query().Get("user"), "reauthenticated_at": now, "return_url": a.desk.base + "/app"})
	if err != nil {
		return err
	}
	http.Redirect(w, r, got.URL, http.StatusSeeOther)
	return nil
}

// back is where the browser comes to from the hosted page.
func (a *application) back(w http.ResponseWriter, r *http.Request) error {
	id := r.URL.Query().Get("challenge")
	began, _ := kept(r, "began").(string)
	if user, found := strings.CutPrefix(began, "skipped "); found {
		return insidePage.Execute(w, inside{Title: "Signed in", User: user, Why: "grace"})
	}
	user, found := strings.CutPrefix(began, id+" ")
	if !found {
		return insidePage.Execute(w, inside{Title: "Not signed in"})
	}
	got, err := a.call(r, "GET", "/v1/challenges/"+id, nil)
	if err != nil {
		return err
	}
	if got.State != "verified" || got.Outcome == nil {
		return insidePage.Execute(w, inside{Title: "Not signed in", User: user, Why: got.State})
	}
	for name, token := range map[string]string{"trust-": got.Outcome.TrustToken, "known-": got.Outcome.KnownToken} {
		if token != "" {
			keep(w, name+user, token)
		}
	}
	return insidePage.Execute(w, inside{Title: "Signed in", User: user, Why: "verified"})
}
