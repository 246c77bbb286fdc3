package pages

import (
	"bytes"
	"errors"
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// mostForm is how many bytes a form may have. A credential has a few thousand.
const mostForm = 64 << 10

// A visit is one request of a browser.
type visit struct {
	*site
	w        http.ResponseWriter
	r        *http.Request
	now      time.Time
	language *language
	brand    Brand  // how the page looks
	back     string // where the browser goes afterwards; empty if the client didn't say it
	page     *page
	values   map[string]string // of the path
	id       string            // what the bearer is for; empty if the path names nothing
	bearer   string            // empty on the page of a link
	portal   *portalLook       // once the API was asked for it

	said   *remark // what the page says about the form that was sent
	failed bool    // the form had the last wrong answer that could be given
	target string  // where the browser goes after the form; empty if to the page itself
	drawn  bool    // the act has answered
}

// A remark is what a page says at its top: what went wrong, or what was done.
type remark struct {
	Text   string
	Bad    bool
	Status int // of the answer
}

// serve finds the page and answers with it.
func (v *visit) serve(parts []string) {
	all := rows()
	for i := range all {
		found, fits := values(strings.Split(all[i].path, "/"), parts)
		if !fits {
			continue
		}
		v.page, v.values, v.id = &all[i], found, found["id"]
		switch v.r.Method {
		case http.MethodGet, http.MethodHead:
			v.open(v.read)
		case http.MethodPost:
			v.open(v.act)
		default:
			v.w.Header().Set("Allow", "GET, HEAD, POST")
			v.say(http.StatusMethodNotAllowed, "gone")
		}
		return
	}
	v.say(http.StatusNotFound, "gone")
}

// open goes on if the browser has the bearer that the page needs.
func (v *visit) open(next func()) {
	if v.page.session != "" {
		if v.id != "" && !goodID(v.id) {
			v.say(http.StatusNotFound, "gone")
			return
		}
		if v.bearer = bearerOf(v.r, v.page.session, v.id); v.bearer == "" {
			v.say(http.StatusForbidden, "no_session")
			return
		}
	}
	next()
}

// read answers with the page.
func (v *visit) read() {
	shown, err := v.page.show(v)
	if err != nil {
		v.over(err)
		return
	}
	if v.said == nil {
		v.said = v.word() // after the page's language is known
	}
	switch {
	case v.drawn:
		return
	case v.target != "":
		v.redirect()
		return
	}
	if v.said == nil {
		v.said = v.word() // in the language that the page has now
	}
	status := http.StatusOK
	if v.said != nil && v.said.Status != 0 {
		status = v.said.Status
	}
	v.draw(status, v.page.sheet, shown)
}

// word returns the remark that the address names, after a form that was done. An address can name only what was done, never a problem.
func (v *visit) word() *remark {
	key := "done." + v.r.URL.Query().Get("done")
	if key == "done." || !v.language.has(key) {
		return nil
	}
	return &remark{Text: v.T(key)}
}

// act handles a form and answers.
func (v *visit) act() {
	kind, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	switch {
	case !v.fromHere(v.r):
		v.say(http.StatusForbidden, "foreign")
		return
	case err != nil || kind != "application/x-www-form-urlencoded":
		v.say(http.StatusUnsupportedMediaType, "foreign")
		return
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, mostForm)
	if err := v.r.ParseForm(); err != nil {
		v.say(http.StatusBadRequest, "foreign")
		return
	}
	if v.bearer != "" && !sameText(v.r.PostForm.Get("token"), formToken(v.bearer)) {
		v.say(http.StatusForbidden, "foreign")
		return
	}
	v.takesForm() // what an act says is in the language of the page that the form was on
	do := v.page.acts[v.r.PostForm.Get("do")]
	if do == nil {
		v.say(http.StatusBadRequest, "foreign")
		return
	}
	if bearerOf(v.r, parkedCookie, v.id) != "" {
		v.forget(parkedCookie, v.id) // the form that has waited is sent now, or given up
	}
	if v.page.session == portalSession && v.field("stay") != "" {
		v.stay()
		return
	}
	err = do(v)
	if codeOf(err) == "step_up_required" && v.page.session == portalSession {
		v.said = nil
		err = v.stepUp()
	}
	switch {
	case v.drawn:
	case codeOf(err) == "reauthentication_required" && v.page.session == portalSession:
		v.passwordFirst()
	case err != nil:
		v.said = v.wrong(err)
		v.read()
	case v.said != nil:
		v.read()
	default:
		v.redirect()
	}
}

// field returns a field of the form.
func (v *visit) field(name string) string { return v.r.PostForm.Get(name) }

// remark makes the page say something about the form.
func (v *visit) remark(status int, text string) {
	v.said = &remark{Text: text, Bad: status >= 400, Status: status}
}

// goTo sends the browser to another page after the form. The path is below /pages/.
func (v *visit) goTo(path string) { v.target = Prefix + path }

// returning is the address by which the browser goes back to the application, with the id of the challenge. It is the return_url, which
// the API has checked against the origins of the client. It is empty if the page doesn't know it, or has no challenge.
func (v *visit) returning() string {
	back, err := url.Parse(v.back)
	if err != nil || v.back == "" || v.page.session == portalSession {
		return ""
	}
	said := back.Query()
	said.Set("challenge", v.id)
	back.RawQuery = said.Encode()
	return back.String()
}

func (v *visit) redirect() {
	to := v.target
	if to == "" {
		to = v.r.URL.Path
	}
	v.w.Header().Set("Location", to)
	v.w.WriteHeader(http.StatusSeeOther)
}

// over answers for a page that can't be shown any more.
func (v *visit) over(err error) {
	p := &problem{Status: http.StatusServiceUnavailable, Code: unavailable}
	errors.As(err, &p)
	switch p.Code {
	case "challenge_invalid", "enrolment_invalid", "not_found", "unauthenticated":
		if v.page.session == portalSession && p.Code == "not_found" { // the session lasts, but has no such page
			v.say(http.StatusNotFound, "gone")
			return
		}
		if v.page.session != "" {
			v.forget(v.page.session, v.id)
		}
		if v.page.session == portalSession {
			v.say(http.StatusGone, "portal_over")
			return
		}
		if id, locale := v.stepsUpFor(); id != "" { // the settings are open still
			v.speaks(locale)
			v.forget(stepUpCookie, v.id)
			what := notice{Title: v.T("notice.over.title"), Text: v.T("notice.step_over.text"), Back: Prefix + "go-on/" + id}
			if v.failed {
				what.Title, what.Text = v.T("notice.failed.title"), v.T("notice.step_failed.text")
			}
			v.draw(http.StatusGone, "notice", what)
			return
		}
		what := notice{Title: v.T("notice.over.title"), Text: v.T("notice.over.text"), Back: v.returning(), Away: true}
		if v.failed {
			what.Title, what.Text = v.T("notice.failed.title"), v.T("notice.failed.text")
		}
		v.draw(http.StatusGone, "notice", what)
	default:
		v.say(http.StatusServiceUnavailable, unavailable)
	}
}

// notice is what the template of a page gets that only says something.
type notice struct {
	Title, Text, Back string
	Away              bool // Back leads to the application
}

// say answers with a page that only says something.
func (v *visit) say(status int, what string) {
	v.said = nil
	v.draw(status, "notice", notice{Title: v.T("notice." + what + ".title"), Text: v.T("notice." + what + ".text")})
}

// sheet is what the templates get.
type sheet struct {
	*visit
	Page any
}

// draw answers with a page. It is made as a whole before anything of it is sent.
func (v *visit) draw(status int, name string, shown any) {
	v.drawn = true
	var out bytes.Buffer
	body := v.site.sheets.Lookup(name)
	if body == nil {
		body = v.site.sheets.Lookup("notice")
	}
	data := sheet{v, shown}
	if err := body.Execute(&out, data); err != nil {
		v.site.Log.ErrorContext(v.r.Context(), "a page could not be drawn", "page", name, "error", err)
		http.Error(v.w, "The page can’t be shown.", http.StatusInternalServerError)
		return
	}
	v.headers(v.Brand().Logo)
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	if v.r.Method != http.MethodHead {
		v.w.Write(out.Bytes())
	}
}

// formTargets is the origin that the browser goes back to after a form, which the page's policy has to allow.
func (v *visit) formTargets() string {
	if u, err := url.Parse(v.back); err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
		return " " + u.Scheme + "://" + u.Host
	}
	return ""
}

// headers sets the headers of every page. logo is the address of the image that the page shows; it may be empty.
func (v *visit) headers(logo string) {
	images := "'self' data:"
	if u, err := url.Parse(logo); err == nil && u.Scheme == "https" && u.Host != "" {
		images += " https://" + u.Host
	}
	h := v.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src "+images+
		"; connect-src 'self'; form-action 'self'"+v.formTargets()+"; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self), otp-credentials=(self), clipboard-write=(self)")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Robots-Tag", "noindex")
}

// The following are for the templates.

// T returns a text in the language of the page. pairs are names and values of what the text has in braces.
func (v *visit) T(key string, pairs ...any) string { return v.language.text(key, pairs...) }

// H is T for a text that has <b> in it. The values are escaped.
func (v *visit) H(key string, pairs ...any) template.HTML { return v.language.marked(key, pairs...) }

// Broken returns a text that may be an address for email, and that breaks before the @ where it doesn't fit into a line.
func (v *visit) Broken(text string) template.HTML {
	return template.HTML(strings.ReplaceAll(template.HTMLEscapeString(text), "@", "<wbr>@"))
}

// Language returns the page's language, for the attribute lang.
func (v *visit) Language() string { return v.language.code }

// Direction returns the direction of the page's language, for the attribute dir.
func (v *visit) Direction() string { return v.language.text("language.direction") }

// Asset returns the address of a style or a script.
func (v *visit) Asset(name string) (string, error) { return v.site.assets.address(name) }

// Said returns what the page says at its top; nil if there is nothing.
func (v *visit) Said() *remark { return v.said }

// Again returns the word of the form that was sent, so that sending it again goes on where it failed. It is a new one if none was.
func (v *visit) Again() string {
	if word := v.field("word"); word != "" {
		return word
	}
	return newWord()
}

// Word returns a new word for a form.
func (v *visit) Word() string { return newWord() }

// Token returns the token for a form. It is empty on the page of a link.
func (v *visit) Token() string {
	if v.bearer == "" {
		return ""
	}
	return formToken(v.bearer)
}

// Moment returns a time as the page shows it.
func (v *visit) Moment(at time.Time) *moment { return v.language.moment(at, v.now) }

// Day returns a day as the page shows it.
func (v *visit) Day(at time.Time) *moment { return v.language.day(at) }

// Here returns the address of the page, without what was chosen on it.
func (v *visit) Here() string { return v.r.URL.Path }
