package pages

import (
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An administered account is a user's, as the API shows it to an administrator.
type administered struct {
	ID       string `json:"id"`
	Email    string `json:"email"`
	Phone    string `json:"phone"`
	Name     string `json:"name"`
	Enabled  bool   `json:"enabled"`
	Enforced bool   `json:"enforced"`
	Required bool   `json:"required"`
	Status   string `json:"status"`
	Factors  []struct {
		ID       string     `json:"id"`
		Kind     string     `json:"kind"`
		Label    string     `json:"label"`
		Hint     string     `json:"hint"`
		Provider string     `json:"provider"`
		Created  time.Time  `json:"created"`
		LastUsed *time.Time `json:"last_used"`
	} `json:"factors"`
	Recovery struct {
		CodesLeft int `json:"codes_left"`
	} `json:"recovery"`
	TrustedBrowsers []struct {
		ID string `json:"id"`
	} `json:"trusted_browsers"`
	GraceUntil  *time.Time `json:"grace_until"`
	LockedUntil *time.Time `json:"locked_until"`
}

// userView is what the template of one user's page gets.
type userView struct {
	console
	Account administered
	Grace   string         // the date of the field
	Kinds   []string       // that an administrator can set up for the user
	Keys    bool           // the policy allows security keys and passkeys, which only the user can set up
	From    []country      // of which a phone number can be
	PassMax int            // how long a pass may live, in seconds; zero if there are none
	Waiting []resetRequest // requests for a reset of this user that wait
	Own     bool           // it is the administrator's own account
	Typed   url.Values     // what was typed into the form that was sent
}

// Browsers returns how many browsers the user trusts.
func (u *userView) Browsers() int { return len(u.Account.TrustedBrowsers) }

// Called returns how the page calls the user.
func (u *userView) Called() string {
	return (&listedUser{ID: u.Account.ID, Email: u.Account.Email, Name: u.Account.Name}).Called()
}

// Value returns what was typed into a field of the form that was sent. do says which form it was.
func (u *userView) Value(do, name string) string {
	if u.Typed.Get("do") != do {
		return ""
	}
	return u.Typed.Get(name)
}

// Has reports whether an administrator can set up that kind.
func (u *userView) Has(kind string) bool { return slices.Contains(u.Kinds, kind) }

// PassMinutes returns how long a pass may live, in minutes.
func (u *userView) PassMinutes() int { return max(1, u.PassMax/60) }

// policyOfUser is what a user's page asks of the policy.
type policyOfUser struct {
	Methods map[string]string `json:"methods"`
	SMS     struct {
		Countries []string `json:"countries"`
	} `json:"sms"`
	Pass struct {
		MaxS int `json:"max_s"`
	} `json:"pass"`
}

func (v *visit) user() string { return idFromPath(v.values["user"]) }

func showUser(v *visit) (any, error) {
	c, err := v.console("users")
	if err != nil {
		return nil, err
	}
	view := &userView{console: c, Typed: v.r.PostForm}
	switch err := v.get(c.userPath(v.user(), ""), &view.Account); codeOf(err) {
	case "":
	case "not_found", "invalid_request":
		v.draw(http.StatusNotFound, "console-nobody", c)
		return nil, nil
	default:
		return nil, err
	}
	var p policyOfUser
	if err := v.get(c.orgPath("/policy"), &p); err != nil {
		return nil, err
	}
	for _, kind := range []string{"totp", "email", "sms"} { // a security key needs the user's own hands
		if p.Methods[kind] == "allowed" || p.Methods[kind] == "enrolled" {
			view.Kinds = append(view.Kinds, kind)
		}
	}
	view.Keys, view.From = p.Methods["webauthn"] == "allowed", v.countries(p.SMS.Countries)
	view.PassMax = p.Pass.MaxS
	view.Own = c.Session.person() == person{c.Session.Org, view.Account.ID}
	if until := view.Account.GraceUntil; until != nil {
		view.Grace = until.UTC().Format(inField)
	}
	view.Waiting, err = v.waiting(c, view.Account.ID)
	return view, err
}

// inField is the form of a time in a field of the type datetime-local. It is in UTC.
const inField = "2006-01-02T15:04"

func (c console) userPath(user, rest string) string {
	return c.orgPath("/users/" + idInPath(user) + rest)
}

// waiting returns the requests for a reset of a user that wait.
func (v *visit) waiting(c console, user string) ([]resetRequest, error) {
	all, err := v.allWaiting(c)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(r resetRequest) bool { return r.User != user }), nil
}

// done goes to the page again, which then says what was done.
func (v *visit) done(what string) error {
	v.target = v.r.URL.Path + "?done=" + what
	return nil
}

// refusedBecause makes the page say why the API refused a form, if it is one of those codes. Otherwise it returns the error.
func (v *visit) refusedBecause(err error, texts map[string]string) error {
	if text, known := texts[codeOf(err)]; known {
		p := err.(*problem)
		v.remark(p.Status, v.T("console.wrong."+text))
		return nil
	}
	return err
}

// reason returns the reason of a form. Without one, the page asks for it.
func (v *visit) reason() (reason string, given bool) {
	reason = strings.TrimSpace(v.field("reason"))
	if reason == "" || len(reason) > 500 {
		v.remark(http.StatusUnprocessableEntity, v.T("console.wrong.reason"))
		return "", false
	}
	return reason, true
}

func enforceUser(v *visit) error {
	c, err := v.console("users")
	if err != nil {
		return err
	}
	if err := v.change(http.MethodPatch, c.userPath(v.user(), ""), "", map[string]bool{"enforced": v.field("enforced") == "yes"}, nil); err != nil {
		return err
	}
	return v.done("enforced")
}

func changeGrace(v *visit) error {
	c, err := v.console("users")
	if err != nil {
		return err
	}
	body := map[string]any{"grace_until": nil}
	if typed := v.field("grace"); typed != "" && v.field("forever") == "" {
		until, err := time.Parse(inField, typed)
		if err != nil {
			v.remark(http.StatusUnprocessableEntity, v.T("console.wrong.date"))
			return nil
		}
		body["grace_until"] = until.Format(time.RFC3339)
	}
	if err := v.change(http.MethodPatch, c.userPath(v.user(), ""), "", body, nil); err != nil {
		return err
	}
	return v.done("grace")
}

// intervene makes a call that an administrator gives a reason for.
func (v *visit) intervene(rest string, more map[string]any, into any) (done bool, err error) {
	c, err := v.console("users")
	if err != nil {
		return false, err
	}
	reason, given := v.reason()
	if !given {
		return false, nil
	}
	body := map[string]any{"reason": reason}
	for name, value := range more {
		body[name] = value
	}
	return true, v.change(http.MethodPost, c.userPath(v.user(), rest), "", body, into)
}

func unlockUser(v *visit) error {
	if done, err := v.intervene("/unlock", nil, nil); !done || err != nil {
		return err
	}
	return v.done("unlocked")
}

func resetUser(v *visit) error {
	var got struct {
		State string `json:"state"` // of the request, if the reset has to wait
	}
	done, err := v.intervene("/reset", nil, &got)
	switch {
	case err != nil:
		return v.refusedBecause(err, map[string]string{"forbidden": "own", "already_exists": "waits"})
	case !done:
		return nil
	case got.State != "":
		return v.done("reset_asked")
	}
	return v.done("reset")
}

// passView is what the template of a new pass gets.
type passView struct {
	console
	ID, Called, Pass string
	Expires          *moment
}

func issuePass(v *visit) error {
	minutes, err := strconv.Atoi(v.field("minutes"))
	if err != nil || minutes < 1 || minutes > 1440 {
		v.remark(http.StatusUnprocessableEntity, v.T("console.wrong.minutes"))
		return nil
	}
	var got struct {
		Pass    string    `json:"pass"`
		Expires time.Time `json:"expires"`
	}
	done, err := v.intervene("/passes", map[string]any{"expires_s": minutes * 60}, &got)
	switch {
	case err != nil:
		return v.refusedBecause(err, map[string]string{"forbidden": "own", "method_forbidden": "no_passes", "invalid_request": "minutes"})
	case !done:
		return nil
	}
	c, err := v.console("users")
	if err != nil {
		return err
	}
	v.draw(http.StatusOK, "console-pass", passView{console: c, ID: v.user(), Called: v.field("called"), Pass: got.Pass, Expires: v.Moment(got.Expires)})
	return nil
}

func takePassBack(v *visit) error {
	c, err := v.console("users")
	if err != nil {
		return err
	}
	if err := v.change(http.MethodDelete, c.userPath(v.user(), "/passes"), "", nil, nil); err != nil {
		return err
	}
	return v.done("pass_taken")
}

// handOverView is what the template gets where an administrator sets a factor up for a user.
type handOverView struct {
	console
	begunFactor
	ID, Called string
	Asked      asked
	Reason     string
	QR         template.URL
	Key        string
	Until      *moment
}

// Enrolment returns the id of the enrolment that is under way.
func (h handOverView) Enrolment() string { return h.begunFactor.ID }

// beginForUser begins the enrolment that the form asks for. With the same word it repeats the answer.
func (v *visit) beginForUser(c console, a asked, reason string) (got begunFactor, err error) {
	body := map[string]any{
		"org": c.Session.Org, "user": map[string]string{"id": v.user()}, "kind": a.Kind, "on_behalf": map[string]string{"reason": reason},
	}
	if a.Label != "" {
		body["label"] = a.Label
	}
	if a.Kind == "sms" && a.Phone != "" {
		body["phone"] = phoneNumber(a.Phone)
	}
	err = v.do(call{method: http.MethodPost, path: "/v1/enrolments", bearer: v.bearer, body: body, word: a.Word, header: v.proof()}, &got)
	return got, err
}

func setUpForUser(v *visit) error { return v.handOver(http.StatusOK, v.field("word"), nil) }

// handOver shows what the user needs to set a factor up, which the administrator hands over. word is that of the form that began it.
func (v *visit) handOver(status int, word string, newer *sent) error {
	c, err := v.console("users")
	if err != nil {
		return err
	}
	reason, given := v.reason()
	if !given {
		return nil
	}
	a := v.asked(word)
	said := v.said
	got, err := v.beginForUser(c, a, reason)
	if err != nil {
		v.said = nil
		return v.refusedBecause(err, map[string]string{
			"invalid_request": "set_up", "nothing_to_send": "no_address", "too_many_requests": "begins", "forbidden": "gone_user",
		})
	}
	if newer != nil {
		got.Sent = newer
	}
	v.said = said
	view := handOverView{console: c, begunFactor: got, ID: v.user(), Called: v.field("called"), Asked: a, Reason: reason, Until: v.Moment(got.Expires)}
	if got.TOTP.Secret != "" {
		view.QR = template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString([]byte(got.TOTP.QRSVG)))
		view.Key = grouped(got.TOTP.Secret)
	}
	v.draw(status, "console-hand-over", view)
	return nil
}

func finishForUser(v *visit) error {
	code := digits(v.field("code"))
	if len(code) != 6 {
		v.remark(http.StatusUnprocessableEntity, v.T("wrong.six_digits"))
		return v.handOver(v.said.Status, v.field("began"), nil)
	}
	err := v.change(http.MethodPost, "/v1/enrolments/"+url.PathEscape(v.field("enrolment"))+"/finish", "", map[string]string{"code": code}, nil)
	switch codeOf(err) {
	case "":
		if err != nil {
			return err
		}
		return v.done("set_up")
	case "enrolment_invalid":
		v.remark(http.StatusGone, v.T("console.wrong.set_up_over"))
		return nil
	case "wrong_code", "locked":
		v.said = v.wrong(err)
		return v.handOver(v.said.Status, v.field("began"), nil)
	}
	return err
}

func sendForUser(v *visit) error {
	var got struct {
		Sent *sent `json:"sent"`
	}
	err := v.change(http.MethodPost, "/v1/enrolments/"+url.PathEscape(v.field("enrolment"))+"/send", "", map[string]string{}, &got)
	switch codeOf(err) {
	case "":
		if err != nil {
			return err
		}
		v.remark(http.StatusOK, v.T("done.sent"))
		return v.handOver(http.StatusOK, v.field("began"), got.Sent)
	case "enrolment_invalid":
		v.remark(http.StatusGone, v.T("console.wrong.set_up_over"))
		return nil
	case "step_up_required":
		return err
	}
	v.said = v.wrong(err)
	return v.handOver(v.said.Status, v.field("began"), nil)
}
