package pages

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// The kinds of bearer, as the API names them.
const (
	challengeSession = "challenge"
	enrolmentSession = "enrolment"
	portalSession    = "portal"
)

// cookieName is the name of the cookie with the bearer of a challenge, an enrolment or a portal session. A browser sends a cookie whose
// name begins with __Host- only to the origin that has set it, and takes it only with Secure and for all paths (RFC 6265bis section
// 4.1.3.2). So no neighbouring origin can plant another bearer.
func cookieName(kind, id string) string { return "__Host-" + kind + "-" + id }

// goodID reports whether an id can be a part of a cookie's name and of a path.
func goodID(id string) bool {
	return id != "" && len(id) <= 128 && !strings.ContainsFunc(id, func(c rune) bool {
		return !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-')
	})
}

// keep gives the browser the bearer, for as long as the bearer is good.
func (v *visit) keep(kind, id, bearer string, ends time.Time) {
	left := int(ends.Sub(v.now) / time.Second)
	if left < 1 {
		left = 1
	}
	v.setCookie(cookieName(kind, id), bearer, left)
}

// forget takes the bearer away from the browser.
func (v *visit) forget(kind, id string) { v.setCookie(cookieName(kind, id), "", -1) }

func (v *visit) setCookie(name, value string, seconds int) {
	http.SetCookie(v.w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: seconds, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// bearerOf returns the bearer of that kind and for that id that the browser has. It is empty if the browser has none, or more than one.
func bearerOf(r *http.Request, kind, id string) string {
	sent := r.CookiesNamed(cookieName(kind, id))
	if len(sent) != 1 {
		return ""
	}
	return sent[0].Value
}

// formToken is the token that each form of a page has. Only who has the bearer can make it, and the bearer can't be computed from it.
func formToken(bearer string) string {
	mac := hmac.New(sha256.New, []byte(bearer))
	mac.Write([]byte("countersign form"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// newWord makes the word by which a form is known, so that it is done once if it is sent twice.
func newWord() string { return rand.Text() }

// repeatKey is the Idempotency-Key of a call that a form makes. It depends on all that the call says, because a form that was changed and
// sent again means another call.
func repeatKey(word, method, path string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(word))
	mac.Write([]byte(method + " " + path + "\n"))
	mac.Write(body)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// fromHere reports whether a browser says that a page of this deployment has sent the form. These two headers can't be set by scripts.
// A page that sends no referrer gives its origin as "null", so where Sec-Fetch-Site is there, that one counts (Fetch Metadata).
func (s *site) fromHere(r *http.Request) bool {
	origin, site := r.Header.Values("Origin"), r.Header.Values("Sec-Fetch-Site")
	if len(origin) > 1 || len(site) > 1 {
		return false
	}
	known := len(origin) == 1 && origin[0] == s.origin
	if len(site) == 1 {
		return site[0] == "same-origin" && (known || len(origin) == 0 || origin[0] == "null")
	}
	return known
}

// Back returns where the browser goes afterwards, for the forms of the page. BackSeal goes with it.
func (v *visit) Back() string { return v.back }

// BackSeal shows that the address in a form is the one that the API gave: nobody else can make a form that leads elsewhere.
func (v *visit) BackSeal() string {
	mac := hmac.New(sha256.New, []byte(v.bearer))
	mac.Write([]byte("countersign return " + v.back + "\n" + v.Language() + "\n" + v.Brand().Name + "\n" + v.Brand().Colour + "\n" + v.Brand().Logo))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// takesForm makes a page that follows a form look as the page of the form did, without asking the API again.
func (v *visit) takesForm() {
	if v.bearer == "" {
		return
	}
	if _, good := v.sealedBack(); !good && v.page.session == portalSession {
		v.look() // the form has waited for a step-up; without an answer the page has the deployment's own look
	}
}

// sealedBack returns where the form says that the browser goes afterwards, and whether a page of this bearer said so.
func (v *visit) sealedBack() (back string, good bool) {
	was := *v
	v.back = v.field("back")
	v.brand = Brand{v.field("brand"), v.field("colour"), v.field("logo")}
	if known := v.site.texts.of(v.field("language")); known != nil {
		v.language = known
	}
	if !sameText(v.BackSeal(), v.field("seal")) {
		v.back, v.brand, v.language = was.back, was.brand, was.language
		return "", false
	}
	return v.back, true
}
