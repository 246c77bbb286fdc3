package pages

import (
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

var enrolPages = []page{
	{path: "set-up/{id}", session: enrolmentSession, sheet: "choose", show: showEnrolment, acts: map[string]act{
		"begin": beginEnrolment, "prove": proveAddress, "again": sendEnrolmentAgain, "finish": finishEnrolment, "kept": keptFirstCodes, "skip": leaveWithCodes,
	}},
}

// begunEnrolment is what the API says of an enrolment to the holder of its token.
type begunEnrolment struct {
	Reason    string   `json:"reason"`
	ReturnURL *string  `json:"return_url"`
	Page      facts    `json:"page"`
	Countries []string `json:"sms_countries"` // to whose numbers codes are sent
	Backup    *backup  `json:"backup"`        // what is offered once the sign-in was answered; nil before that
	Enrolment struct {
		Expires   time.Time  `json:"expires"`
		Kinds     []string   `json:"kinds"`
		Due       *time.Time `json:"due"`        // nil unless the user may put the set-up off until then
		SkipsLeft *int       `json:"skips_left"` // nil if only the time counts
	} `json:"enrolment"`
}

// chooseView is what the template gets where a kind of factor is chosen, or its details are.
type chooseView struct {
	begunEnrolment
	Kind  string    // the chosen kind; empty if none is chosen yet
	Phone string    // as it was typed
	From  []country // of which the number can be
	Label string
	Until *moment
	Due   *moment // until when the set-up can be put off; nil if it can't be
}

// Skips returns at how many more sign-ins the set-up can be put off; zero if only the time counts.
func (c *chooseView) Skips() int {
	if left := c.Enrolment.SkipsLeft; left != nil {
		return *left
	}
	return 0
}

// LastSkip reports whether the next sign-in needs the set-up, whatever the time is then.
func (c *chooseView) LastSkip() bool {
	return c.Enrolment.SkipsLeft != nil && *c.Enrolment.SkipsLeft == 0
}

func showEnrolment(v *visit) (any, error) {
	var got begunEnrolment
	if err := v.get("/v1/enrolments", &got); err != nil {
		return nil, err
	}
	back := ""
	if got.ReturnURL != nil {
		back = *got.ReturnURL
	}
	v.takes(got.Page, back)
	kind := v.r.URL.Query().Get("kind")
	if v.r.Method == http.MethodPost {
		kind = v.field("kind")
	}
	if len(got.Enrolment.Kinds) == 1 {
		kind = got.Enrolment.Kinds[0]
	}
	if !slices.Contains(got.Enrolment.Kinds, kind) {
		kind = ""
	}
	view := &chooseView{begunEnrolment: got, Kind: kind, From: v.countries(got.Countries), Phone: v.field("phone"), Label: v.field("label"), Until: v.Moment(got.Enrolment.Expires)}
	if got.Enrolment.Due != nil {
		view.Due = v.Moment(*got.Enrolment.Due)
	}
	return view, nil
}

// begunFactor is what the API answers to the beginning of an enrolment.
type begunFactor struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	Expires time.Time `json:"expires"`
	TOTP    struct {
		Secret string `json:"secret"`
		URI    string `json:"uri"`
		QRSVG  string `json:"qr_svg"`
	} `json:"totp"`
	WebAuthn json.RawMessage `json:"webauthn"`
	Sent     *sent           `json:"sent"`
	Proven   bool            `json:"proven"`
	Prove    *struct {
		Sent *sent `json:"sent"`
	} `json:"prove"`
}

// factorView is what the templates get where a new factor is proven.
type factorView struct {
	begunFactor
	Asked   asked
	QR      template.URL // the QR code as an image
	App     template.URL // the address that opens an authenticator app
	Key     string       // the secret in groups of four
	Options string
	WaitS   int
	Until   *moment
}

// asked is the form with which the enrolment was begun. The forms after it carry it on: to begin again with the same word changes
// nothing, and repeats what was shown, for as long as the enrolment can be finished.
type asked struct {
	Kind, Variant, Label, Phone, Word string
	Backup                            bool // it is the backup that was offered
}

func (v *visit) asked(word string) asked {
	return asked{v.field("kind"), v.field("variant"), strings.TrimSpace(v.field("label")), v.wholeNumber(), word, v.field("backup") != ""}
}

// begin begins the enrolment that was asked for, or repeats its answer.
func (v *visit) begin(a asked) (got begunFactor, err error) {
	body := map[string]string{"kind": a.Kind}
	if a.Variant != "" && a.Kind == "webauthn" {
		body["variant"] = a.Variant
	}
	if a.Label != "" {
		body["label"] = a.Label
	}
	if a.Kind == "sms" {
		body["phone"] = a.Phone
	}
	err = v.do(call{method: http.MethodPost, path: "/v1/enrolments", bearer: v.bearer, body: body, word: a.Word, header: v.proof()}, &got)
	return got, err
}

func beginEnrolment(v *visit) error {
	a := v.asked(v.field("word"))
	got, err := v.begin(a)
	if codeOf(err) == "invalid_request" && a.Kind == "sms" {
		said := v.T("wrong.phone")
		if v.field("country") == "" && !strings.HasPrefix(a.Phone, "+") {
			said = v.T("wrong.phone_country")
		}
		v.remark(http.StatusUnprocessableEntity, said)
		return nil
	}
	if v.backupIsOver(err) {
		return nil
	}
	if err != nil {
		return err
	}
	v.showFactor(http.StatusOK, a, got)
	return nil
}

// showFactor shows what the user needs to prove a new factor, or the known address before it.
func (v *visit) showFactor(status int, a asked, got begunFactor) {
	view := factorView{begunFactor: got, Asked: a, Options: string(got.WebAuthn), Until: v.Moment(got.Expires)}
	if got.Prove != nil {
		view.Sent = got.Prove.Sent
		v.draw(status, "prove", view)
		return
	}
	if view.Sent != nil {
		view.WaitS = max(0, int(view.Sent.ResendAfter.Sub(v.now)/time.Second))
	}
	if got.TOTP.Secret != "" {
		view.QR = template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString([]byte(got.TOTP.QRSVG)))
		view.App = template.URL(got.TOTP.URI)
		view.Key = grouped(got.TOTP.Secret)
	}
	v.draw(status, "factor", view)
}

// again shows the page of the new factor again, with a remark. After the last wrong answer there is nothing to answer any more, so it
// shows the page on which the enrolment is begun.
func (v *visit) again(said *remark) error { return v.againAfter(said, v.field("letter")) }

// unsent stands in a form for the letter of a code, if the newest code could not be sent.
const unsent = "-"

// againAfter is again for a page whose newest code has that letter. The API repeats what it said at the beginning, which is of the first
// code. letter is empty if the form had none.
func (v *visit) againAfter(said *remark, letter string) error {
	if v.failed {
		v.said = said
		v.read()
		return nil
	}
	a := v.asked(v.field("began"))
	got, err := v.begin(a)
	if err != nil {
		return err
	}
	if letter == unsent {
		got.Sent = nil
	} else if got.Sent != nil && len(letter) == 1 {
		got.Sent.Sequence = letter
	}
	v.said = said
	status := http.StatusOK
	if said != nil && said.Status != 0 {
		status = said.Status
	}
	v.showFactor(status, a, got)
	return nil
}

// proveAddress checks the code that went to the known address, and then begins the enrolment.
func proveAddress(v *visit) error {
	code := digits(v.field("code"))
	if len(code) != 6 {
		return v.again(&remark{Text: v.T("wrong.six_digits"), Bad: true, Status: http.StatusUnprocessableEntity})
	}
	err := v.post("/v1/enrolments/prove", map[string]string{"code": code}, nil)
	if said := v.wrong(err); err != nil && said != nil {
		return v.again(said)
	}
	if err != nil {
		return err
	}
	a := v.asked(v.field("word") + "-proven")
	got, err := v.begin(a)
	if err != nil {
		return err
	}
	v.showFactor(http.StatusOK, a, got)
	return nil
}

// sendEnrolmentAgain sends another code to the new number or address.
func sendEnrolmentAgain(v *visit) error {
	var got struct {
		Sent *sent `json:"sent"`
	}
	err := v.post("/v1/enrolments/"+url.PathEscape(v.field("enrolment"))+"/send", map[string]string{}, &got)
	if v.backupIsOver(err) {
		return nil
	}
	if err != nil {
		said, letter := v.wrong(err), v.field("letter")
		if codeOf(err) == "delivery_failed" {
			letter = unsent // and the earlier code is dead
		}
		if said != nil {
			return v.againAfter(said, letter)
		}
		return err
	}
	a := v.asked(v.field("began"))
	begun, err := v.begin(a)
	if err != nil {
		return err
	}
	begun.Sent = got.Sent
	v.said = &remark{Text: v.T("done.sent")}
	v.showFactor(http.StatusOK, a, begun)
	return nil
}

// finished is the answer to a right first code.
type finished struct {
	RecoveryCodes []string  `json:"recovery_codes"`
	Offer         *struct{} `json:"offer"` // nil if no other kind could be enrolled as a backup
}

func finishEnrolment(v *visit) error {
	body := map[string]any{}
	if credential := v.field("credential"); credential != "" && json.Valid([]byte(credential)) {
		body["credential"] = json.RawMessage(credential)
	} else if v.field("proven") == "" {
		code := digits(v.field("code"))
		if len(code) != 6 {
			return v.again(&remark{Text: v.T("wrong.six_digits"), Bad: true, Status: http.StatusUnprocessableEntity})
		}
		body["code"] = code
	}
	var got finished
	if err := v.post("/v1/enrolments/"+url.PathEscape(v.field("enrolment"))+"/finish", body, &got); err != nil {
		if v.backupIsOver(err) {
			return nil
		}
		if said := v.wrong(err); said != nil {
			return v.again(said)
		}
		return err
	}
	if len(got.RecoveryCodes) > 0 {
		v.draw(http.StatusOK, "codes", codesView{Codes: got.RecoveryCodes, Offers: got.Offer != nil})
		return nil
	}
	v.enrolled(got.Offer != nil)
	return nil
}

// grouped writes a secret in groups of four, which are easier to type.
func grouped(secret string) string {
	var out strings.Builder
	for i, c := range secret {
		if i > 0 && i%4 == 0 {
			out.WriteByte(' ')
		}
		out.WriteRune(c)
	}
	return out.String()
}
