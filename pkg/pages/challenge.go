package pages

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

var challengePages = []page{
	{path: "sign-in/{id}", session: challengeSession, sheet: "challenge", show: showChallenge, acts: map[string]act{
		"choose": chooseMethod, "send": sendAgain, "code": enterCode, "credential": enterCredential,
		"recover": enterRecovery, "reset": askForReset, "kept": leaveWithCodes,
	}},
}

// facts are what the API says to a page besides what was begun.
type facts struct {
	Brand          Brand      `json:"brand"`
	Locale         string     `json:"locale"`
	AttemptsLeft   int        `json:"attempts_left"`
	LockedUntil    *time.Time `json:"locked_until"`
	RecoveryEffect string     `json:"recovery_effect"`
	ResetByUser    string     `json:"reset_by_user"`
	ProveAddress   string     `json:"prove_address"`
}

// takes makes the page look as its organisation does, in the language of its user.
func (v *visit) takes(f facts, back string) {
	v.brand = f.Brand
	if known := v.site.texts.of(f.Locale); known != nil {
		v.language = known
	}
	if _, locale := v.stepsUpFor(); locale != "" {
		v.speaks(locale) // the page goes on in the language of the settings or of the console
	}
	v.back = back
}

// A method is a factor that a challenge can be answered with.
type method struct {
	Factor     string `json:"factor"`
	Kind       string `json:"kind"`
	Label      string `json:"label"`
	Hint       string `json:"hint"`
	Restricted bool   `json:"restricted"`
}

// Sends reports whether a code has to be sent.
func (m method) Sends() bool { return m.Kind == "email" || m.Kind == "sms" }

// A sent is a code that was sent.
type sent struct {
	Factor      string    `json:"factor"`
	Kind        string    `json:"kind"`
	Hint        string    `json:"hint"`
	Sequence    string    `json:"sequence"`
	Expires     time.Time `json:"expires"`
	ResendAfter time.Time `json:"resend_after"`
	SendsLeft   int       `json:"sends_left"`
}

// begunChallenge is what the API says of a challenge to the holder of its token.
type begunChallenge struct {
	Reason    string  `json:"reason"`
	ReturnURL *string `json:"return_url"`
	Page      facts   `json:"page"`
	Challenge struct {
		ID          string              `json:"id"`
		Expires     time.Time           `json:"expires"`
		Methods     []method            `json:"methods"`
		Default     *string             `json:"default"`
		Sent        *sent               `json:"sent"`
		WebAuthn    json.RawMessage     `json:"webauthn"`
		Recovery    bool                `json:"recovery"`
		Trust       *struct{ Days int } `json:"trust"`
		Action      *string             `json:"action"`
		ActionLines []string            `json:"action_lines"`
	} `json:"challenge"`
}

// The ways to answer that aren't a factor.
const (
	byRecovery = "recovery"
	byReset    = "reset"
)

// challengeView is what the template of a challenge gets.
type challengeView struct {
	begunChallenge
	By      string // the chosen way: a factor, or one of the ways that aren't a factor; empty if nothing is left
	Method  method // the chosen factor
	Others  []method
	Sent    *sent  // the newest code, if it is for the chosen factor
	Options string // of the ceremony that is under way, as JSON
	Tries   int    // how many wrong codes were given on this page
	WaitS   int    // how long until a code can be sent again, in seconds
	Locked  *moment
	Until   *moment
	Trusted *moment // until when the browser would be trusted; nil if it can't be
	Clock   string  // the server's time, once codes of an app were wrong twice
}

func showChallenge(v *visit) (any, error) {
	var got begunChallenge
	if err := v.get("/v1/challenges/"+v.id, &got); err != nil {
		return nil, err
	}
	back := ""
	if got.ReturnURL != nil {
		back = *got.ReturnURL
	}
	v.takes(got.Page, back)
	c := &got.Challenge
	view := &challengeView{begunChallenge: got, By: v.by(), Until: v.Moment(c.Expires), Tries: len(v.field("tries"))}
	if v.said != nil && v.said.Bad && v.field("do") == "code" {
		view.Tries++
	}
	chosen, fallback := -1, 0
	for i, m := range c.Methods {
		if m.Factor == view.By {
			chosen = i
		}
		if c.Default != nil && m.Factor == *c.Default {
			fallback = i
		}
	}
	switch {
	case view.By == byRecovery && c.Recovery, view.By == byReset && view.CanAskForReset():
	case chosen < 0 && len(c.Methods) > 0:
		chosen = fallback
		view.By = c.Methods[chosen].Factor
	case chosen < 0 && c.Recovery:
		view.By = byRecovery
	case chosen < 0:
		view.By = ""
	}
	for i, m := range c.Methods {
		if i == chosen {
			view.Method = m
		} else {
			view.Others = append(view.Others, m)
		}
	}
	if c.Sent != nil && chosen >= 0 && c.Sent.Factor == view.Method.Factor {
		view.Sent = c.Sent
		view.WaitS = max(0, int(c.Sent.ResendAfter.Sub(v.now)/time.Second))
	}
	if view.Method.Kind == "webauthn" {
		view.Options = string(c.WebAuthn)
	}
	if c.Trust != nil {
		view.Trusted = v.Day(v.now.Add(time.Duration(c.Trust.Days) * 24 * time.Hour))
	}
	if got.Page.LockedUntil != nil {
		view.Locked = v.Moment(*got.Page.LockedUntil)
	}
	if view.Method.Kind == "totp" && view.Tries >= 2 {
		view.Clock = v.now.UTC().Format("15:04:05")
	}
	return view, nil
}

// CanAskForReset reports whether the user may ask for a reset.
func (c *challengeView) CanAskForReset() bool {
	return c.Page.ResetByUser == "approve" || c.Page.ResetByUser == "hold"
}

// Stroke is the field that counts wrong codes on this page.
func (c *challengeView) Stroke() string { return strings.Repeat("x", min(c.Tries, 9)) }

// Single reports whether the page says nothing but what is confirmed.
func (c *challengeView) StepUp() bool { return c.Reason == "step_up" }

// by is the way to answer that the user has chosen, in the form or in the address.
func (v *visit) by() string {
	if v.r.Method == http.MethodPost {
		return v.field("by")
	}
	return v.r.URL.Query().Get("by")
}

func (v *visit) challengePath(rest string) string { return "/v1/challenges/" + v.id + rest }

// chooseMethod makes another factor the one that the page asks for, and sends its code.
func chooseMethod(v *visit) error {
	by := v.field("by")
	if kind := v.field("kind"); kind == "email" || kind == "sms" || kind == "webauthn" {
		if err := v.post(v.challengePath("/send"), map[string]string{"factor": by}, nil); err != nil && codeOf(err) != "too_many_sends" {
			return err
		}
	}
	v.goTo("sign-in/" + v.id + "?by=" + url.QueryEscape(by))
	return nil
}

// sendAgain sends another code.
func sendAgain(v *visit) error {
	by := v.field("by")
	if err := v.post(v.challengePath("/send"), map[string]string{"factor": by}, nil); err != nil {
		return err
	}
	v.goTo("sign-in/" + v.id + "?done=sent&by=" + url.QueryEscape(by))
	return nil
}

// verified is the answer to a right code.
type verified struct {
	Token         string   `json:"token"`
	RecoveryCodes []string `json:"recovery_codes"`
}

func enterCode(v *visit) error {
	code := digits(v.field("code"))
	if len(code) != 6 {
		v.remark(http.StatusUnprocessableEntity, v.T("wrong.six_digits"))
		return nil
	}
	return v.verify(map[string]any{"factor": v.field("by"), "code": code})
}

func enterCredential(v *visit) error {
	credential := v.field("credential")
	if !json.Valid([]byte(credential)) {
		v.remark(http.StatusUnprocessableEntity, v.T("wrong.credential"))
		return nil
	}
	return v.verify(map[string]any{"factor": v.field("by"), "credential": json.RawMessage(credential)})
}

func (v *visit) verify(answer map[string]any) error {
	if v.field("trust") != "" {
		answer["trust"] = map[string]string{"name": browserName(v.r.UserAgent())}
	}
	var got verified
	if err := v.post(v.challengePath("/verify"), answer, &got); err != nil {
		return err
	}
	v.proven(got.Token)
	v.ended(got.RecoveryCodes)
	return nil
}

// ended goes back to the application, or to the portal session, after the user has been shown new recovery codes.
func (v *visit) ended(codes []string) {
	if len(codes) > 0 {
		v.draw(http.StatusOK, "codes", codesView{Codes: codes})
		return
	}
	if v.page.session == portalSession {
		v.homeWith("added")
		return
	}
	v.forget(v.page.session, v.id)
	if v.toPortal() {
		return
	}
	if v.target = v.returning(); v.target == "" {
		v.say(http.StatusOK, "done")
	}
}

// codesView is what the template of new recovery codes gets.
type codesView struct {
	Codes  []string
	Offers bool // a backup of the first factor may be offered next
}

// leaveWithCodes goes back to the application, once the user says that the recovery codes are kept.
func leaveWithCodes(v *visit) error {
	v.ended(nil)
	return nil
}

// recovered is the answer to a right recovery code or pass.
type recovered struct {
	Token     string `json:"token"`
	Effect    string `json:"effect"`
	CodesLeft int    `json:"codes_left"`
	Enrolment *struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires"`
	} `json:"enrolment"`
}

func enterRecovery(v *visit) error {
	var got recovered
	err := v.post(v.challengePath("/recover"), map[string]string{"code": strings.TrimSpace(v.field("code"))}, &got)
	switch codeOf(err) {
	case "invalid_request":
		v.remark(http.StatusUnprocessableEntity, v.T("wrong.recovery_form"))
		return nil
	case "wrong_code":
		v.said = v.wrong(err)
		v.said.Text = strings.Replace(v.said.Text, v.T("wrong.code"), v.T("wrong.recovery"), 1)
		return nil
	}
	if err != nil {
		return err
	}
	if got.Enrolment != nil {
		v.keep(enrolmentSession, v.id, got.Enrolment.Token, got.Enrolment.Expires)
		v.forget(challengeSession, v.id)
		v.goTo("set-up/" + v.id)
		return nil
	}
	v.proven(got.Token)
	v.ended(nil)
	return nil
}

// askForReset asks for a reset of the user's account.
func askForReset(v *visit) error {
	reason := strings.TrimSpace(v.field("reason"))
	if reason == "" {
		v.remark(http.StatusUnprocessableEntity, v.T("wrong.reason"))
		return nil
	}
	var asked struct {
		Due *time.Time `json:"due"`
	}
	switch err := v.post(v.challengePath("/reset-request"), map[string]string{"reason": reason}, &asked); {
	case codeOf(err) == "already_exists":
		v.remark(http.StatusConflict, v.T("wrong.reset_waits"))
		return nil
	case err != nil:
		return err
	}
	what := notice{Title: v.T("notice.reset_asked.title"), Text: v.T("notice.reset_asked.approve")}
	if asked.Due != nil {
		what.Text = v.T("notice.reset_asked.hold")
	}
	v.draw(http.StatusAccepted, "notice", what)
	return nil
}

// digits takes spaces and dashes out of a code.
func digits(code string) string {
	kept := strings.Map(func(c rune) rune {
		if c == '-' || c == '\u00a0' || c == '\u202f' || strings.ContainsRune(" \t\r\n", c) {
			return -1
		}
		return c
	}, code)
	if strings.ContainsFunc(kept, func(c rune) bool { return c < '0' || c > '9' }) {
		return ""
	}
	return kept
}

// browserName is what a browser is called in the list of trusted browsers: what people call it, and the system that it runs on.
func browserName(agent string) string {
	name, system := "Browser", ""
	for _, known := range [][2]string{{"Firefox/", "Firefox"}, {"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}} {
		if strings.Contains(agent, known[0]) {
			name = known[1]
			break
		}
	}
	for _, known := range [][2]string{{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"Mac OS X", "Mac"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"}} {
		if strings.Contains(agent, known[0]) {
			system = known[1]
			break
		}
	}
	if system == "" {
		return name
	}
	return name + ", " + system
}
