package pages

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// portalPages are pages that every portal session has.
var portalPages = []page{
	{path: "go-on/{id}", session: portalSession, sheet: "go-on", show: showGoOn},
}

// The homes of portal sessions: what follows is the id of the session.
const (
	userHome          = "settings/"
	administratorHome = "console/"
)

// A portalLook is what the API says of a portal session to the holder of its token.
type portalLook struct {
	Org           string     `json:"org"`
	User          *string    `json:"user"`
	Administrator *person    `json:"administrator"`
	ReturnURL     *string    `json:"return_url"`
	Locale        *string    `json:"locale"`
	Brand         Brand      `json:"brand"`
	Expires       time.Time  `json:"expires"`
	Checked       *time.Time `json:"reauthenticated_at"`
	Account       *ownRoom   `json:"account"` // nil in an administrator's session
}

// A person is a user of an organisation.
type person struct {
	Org  string `json:"org"`
	User string `json:"user"`
}

// person is whose session it is.
func (l *portalLook) person() person {
	if l.Administrator != nil {
		return *l.Administrator
	}
	return person{l.Org, *l.User}
}

// home is where the session begins.
func (l *portalLook) home(id string) string {
	if l.Administrator != nil {
		return administratorHome + id
	}
	return userHome + id
}

// portalID is by what the pages know a portal session, since the API gives it no id. The token can't be computed from it.
func portalID(token string) string {
	sum := sha256.Sum256([]byte("countersign portal session\n" + token))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// look asks the API what the portal session is about, and makes the page look as its organisation does.
func (v *visit) look() (*portalLook, error) {
	if v.portal != nil {
		return v.portal, nil
	}
	var got portalLook
	if err := v.get("/v1/portal-sessions", &got); err != nil {
		return nil, err
	}
	if got.Administrator == nil && got.User == nil {
		return nil, &problem{Status: http.StatusServiceUnavailable, Code: unavailable}
	}
	f := facts{Brand: got.Brand}
	if got.Locale != nil {
		f.Locale = *got.Locale
	}
	back := ""
	if got.ReturnURL != nil {
		back = *got.ReturnURL
	}
	v.takes(f, back)
	v.portal = &got
	return &got, nil
}

// openPortal keeps the token of a portal session, and goes to its home.
func (v *visit) openPortal(got redeemed) error {
	id := portalID(got.Token)
	v.bearer = got.Token
	l, err := v.look()
	if err != nil {
		v.over(err)
		return nil
	}
	v.keep(portalSession, id, got.Token, got.Expires)
	v.goTo(l.home(id))
	return nil
}

// The cookies of a step-up in a portal session. None of them is a bearer of the API.
const (
	stepUpCookie = "step-up" // named after the challenge: for which portal session it is, and the language of that one's pages
	proofCookie  = "proof"   // named after the portal session: the token of the answer
	parkedCookie = "parked"  // named after the portal session: the form that waits for it
)

// proofFor is how long the API takes the answer of a step-up as a proof.
const proofFor = 10 * time.Minute

// change makes a call that writes, with the proof of the person's step-up, if there is one. If version isn't empty, it is the ETag of
// what is replaced. A call that the API refuses with step_up_required needs nothing more: return the error, and the browser
// goes to the challenge and comes back with the same form.
func (v *visit) change(method, path, version string, body, into any) error {
	c := call{method: method, path: path, bearer: v.bearer, body: body, header: v.proof()}
	if version != "" {
		c.header.Set("If-Match", version)
	}
	if method == http.MethodPost {
		c.word = v.field("word")
	}
	return v.do(c, into)
}

// proof returns the header with the proof of the person's step-up, which is empty without one.
func (v *visit) proof() http.Header {
	header := http.Header{}
	if v.page.session != portalSession {
		return header
	}
	if proof := bearerOf(v.r, proofCookie, v.id); proof != "" {
		header.Set("Countersign-Proof", proof)
	}
	return header
}

// stepUp begins a step-up of the person of the portal session, and goes to it. The form that needs it is kept, and is sent again
// afterwards.
func (v *visit) stepUp() error {
	l, err := v.look()
	if err != nil {
		return err
	}
	who := l.person()
	body := map[string]any{"org": who.Org, "user": map[string]string{"id": who.User}, "purpose": "step_up"}
	var got struct {
		ID        string `json:"id"` // of a challenge that only an enrolment answers
		Challenge struct {
			ID      string    `json:"id"`
			Token   string    `json:"token"`
			Expires time.Time `json:"expires"`
		} `json:"challenge"`
		Enrolment struct {
			Token   string    `json:"token"`
			Expires time.Time `json:"expires"`
		} `json:"enrolment"`
	}
	if err := v.do(call{method: http.MethodPost, path: "/v1/challenges", bearer: v.bearer, body: body}, &got); err != nil {
		return err
	}
	kind, id, token, expires := challengeSession, got.Challenge.ID, got.Challenge.Token, got.Challenge.Expires
	if got.Enrolment.Token != "" {
		kind, id, token, expires = enrolmentSession, got.ID, got.Enrolment.Token, got.Enrolment.Expires
	}
	if !goodID(id) {
		return &problem{Status: http.StatusServiceUnavailable, Code: unavailable}
	}
	v.park()
	v.forget(proofCookie, v.id)
	v.keep(stepUpCookie, id, v.id+stepUpLanguage+v.language.code, expires.Add(proofFor)) // the recovery codes may be shown after the end
	v.keep(kind, id, token, expires)
	to := firstPages[kind] + id
	if len(v.proof()) > 0 {
		to += "?done=stronger" // the answer before was not enough
	}
	v.goTo(to)
	return nil
}

// stepUpLanguage parts the id from the language in the cookie of a step-up. An id has no such character.
const stepUpLanguage = "."

// stepsUpFor returns the id of the portal session that the challenge is a step-up for, and the language of its pages. Both are empty if
// the challenge is for nothing of that sort.
func (v *visit) stepsUpFor() (id, locale string) {
	id, locale, _ = strings.Cut(bearerOf(v.r, stepUpCookie, v.id), stepUpLanguage)
	if !goodID(id) {
		return "", ""
	}
	return id, locale
}

// proven keeps the token of an answer, if the challenge was a step-up of a portal session.
func (v *visit) proven(token string) {
	if id, _ := v.stepsUpFor(); token != "" && id != "" {
		v.keep(proofCookie, id, token, v.now.Add(proofFor))
	}
}

// toPortal goes on in the portal session that the step-up was for. It returns false if the challenge was none.
func (v *visit) toPortal() bool {
	id, _ := v.stepsUpFor()
	if id == "" {
		return false
	}
	v.forget(stepUpCookie, v.id)
	to := "go-on/" + id
	if v.page.session == enrolmentSession {
		to += "?enrolled=yes"
	}
	v.goTo(to)
	return true
}

// mostParked is how many bytes a form that waits may have in its cookie. Browsers take cookies of 4,096 bytes (RFC 6265bis section 5.6).
const mostParked = 3800

// park keeps the form in a cookie. One that is too long is not kept: then its page is shown again after the step-up.
func (v *visit) park() {
	fields := url.Values{}
	for name, values := range v.r.PostForm {
		switch name {
		case "token", "seal", "back":
		default:
			fields[name] = values
		}
	}
	var packed bytes.Buffer
	into, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return
	}
	io.WriteString(into, v.r.URL.Path+"?"+fields.Encode())
	into.Close()
	text := base64.RawURLEncoding.EncodeToString(packed.Bytes())
	if len(text) > mostParked {
		text = ""
	}
	v.keep(parkedCookie, v.id, text, v.now.Add(2*proofFor))
}

// goOnView is what the template of a form that was kept gets.
type goOnView struct {
	Action string
	Do     string
	Fields []field
}

// A field is a field of a form, with its value.
type field struct{ Name, Value string }

// showGoOn shows the form that has waited for a step-up. Its button sends it, and a browser with scripts presses it by itself. After a
// step-up that was an enrolment there is no proof yet. Then the form leads to another step-up, with the new factor.
func showGoOn(v *visit) (any, error) {
	l, err := v.look()
	if err != nil {
		return nil, err
	}
	path, fields := v.parked(v.id)
	if path == "" || bearerOf(v.r, proofCookie, v.id) == "" && !v.r.URL.Query().Has("enrolled") {
		v.goTo(l.home(v.id))
		return nil, nil
	}
	return goOn(path, fields), nil
}

// goOn returns a form that was kept, as the templates get it.
func goOn(path string, kept url.Values) *goOnView {
	view := &goOnView{Action: path, Do: kept.Get("do")}
	for name, values := range kept {
		if name == "do" {
			continue
		}
		for _, value := range values {
			view.Fields = append(view.Fields, field{name, value})
		}
	}
	return view
}

// A stepUpView is what the template of a step-up gets that a portal session waits for.
type stepUpView struct {
	Form        *goOnView // that waits; nil if it wasn't kept
	PortalToken string
	Home        string // the address of the portal session
}

// StepUp returns what waits for the step-up that the page is about. It is nil if no portal session does.
func (v *visit) StepUp() *stepUpView {
	id, _ := v.stepsUpFor()
	if v.page.session == portalSession || id == "" {
		return nil
	}
	view := &stepUpView{Home: Prefix + "go-on/" + id}
	bearer := bearerOf(v.r, portalSession, id)
	if path, kept := v.parked(id); path != "" && bearer != "" {
		view.Form, view.PortalToken = goOn(path, kept), formToken(bearer)
	}
	return view
}

// stay shows the page of a form again whose step-up was cancelled, with what was typed.
func (v *visit) stay() {
	v.said = &remark{Text: v.T("portal.cancelled")}
	v.read()
}

// parked returns the form of a portal session that waits for a step-up, and the path of its page; empty if there is none.
func (v *visit) parked(id string) (path string, fields url.Values) {
	packed, err := base64.RawURLEncoding.DecodeString(bearerOf(v.r, parkedCookie, id))
	if err != nil || len(packed) == 0 {
		return "", nil
	}
	raw, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), mostForm))
	if err != nil {
		return "", nil
	}
	path, query, _ := strings.Cut(string(raw), "?")
	fields, err = url.ParseQuery(query)
	if err != nil || !ownPath(id, path) {
		return "", nil
	}
	return path, fields
}

// ownPath reports whether path is of a page of a portal session.
func ownPath(id, path string) bool {
	for _, home := range []string{userHome, administratorHome} {
		own := Prefix + home + id
		if path == own || strings.HasPrefix(path, own+"/") {
			return true
		}
	}
	return false
}
