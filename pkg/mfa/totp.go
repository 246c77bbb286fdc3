package mfa

import (
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"countersign/pkg/seal"
	"countersign/pkg/text"
)

// app is the authenticator of the kind totp. The user's authenticator app shows a code for each 30 seconds (RFC 6238).
type app struct{ sixDigits }

func (app) room(*account, *Policy) error { return nil }

func (app) begin(q *question, answer *EnrolAnswer) error {
	g := q.v.a.guard
	raw, shown, err := newTOTP(q.u.s.sender(q.v.p.known(q.u.client)), g.account(), q.v.p.language(g.Profile.Locale))
	if err != nil {
		return err
	}
	q.f.Secret = q.u.ring.Seal("totp", q.v.a.totpFields(q.f.ID), raw)
	answer.TOTP = shown
	return nil
}

// ask has nothing to send, because the user's own app shows the code.
func (app) ask(*question) (*SendAnswer, error) { return nil, nil }

// check compares the code with those of the time steps around now, and notes the step that it belongs to. No code of that
// step or of an earlier one is accepted again.
func (app) check(q *question, given Answer) (bool, error) {
	raw, err := q.u.ring.Open("totp", q.v.a.totpFields(q.f.ID), q.f.Secret)
	if err != nil {
		return false, err
	}
	step, err := q.f.App.stepOf(raw, given.Code, q.u.now, q.v.p.TOTP.Skew, q.enrolled.Step)
	if err != nil || step == 0 {
		return false, err
	}
	q.enrolled.Step = step
	return true, nil
}

// explain says how far the app's clock is off, if nothing else is wrong with the answer. This is said at an enrolment only,
// where the person has the secret anyway: at a sign-in it would help an attacker who guesses codes.
func (app) explain(q *question, given Answer, refused *Error) error {
	raw, err := q.u.ring.Open("totp", q.v.a.totpFields(q.f.ID), q.f.Secret)
	if err != nil {
		return err
	}
	refused.ClockOff, err = clockOff(raw, given.Code, q.u.now)
	return err
}

// hint is empty, because only the label of an app tells it from another one.
func (app) hint(string) string { return "" }

// The parameters that every authenticator app supports (RFC 6238; RFC 4226 section 4, R6 recommends the length of the
// secret).
const (
	totpStep   = 30 // seconds
	totpSecret = 20 // bytes
)

// A TOTPSecret is what an authenticator app needs. It is shown once, to the person who enrols the app.
type TOTPSecret struct {
	Secret seal.Secret `json:"secret"` // base32, without padding
	URI    seal.Secret `json:"uri"`    // begins with otpauth://totp/
	QRSVG  seal.Secret `json:"qr_svg"` // a whole SVG document that shows the URI as a QR code
}

func newTOTPSecret() []byte {
	raw := make([]byte, totpSecret)
	rand.Read(raw)
	return raw
}

// newTOTP makes a secret for account at issuer, and what shows it to a person who reads that language.
func newTOTP(issuer, account, language string) (raw []byte, shown *TOTPSecret, err error) {
	raw = newTOTPSecret()
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
	uri := otpauth(issuer, account, secret)
	picture, err := qrSVG(uri, language)
	if err != nil {
		return nil, nil, err
	}
	return raw, &TOTPSecret{Secret: seal.NewSecret(secret), URI: seal.NewSecret(uri), QRSVG: seal.NewSecret(picture)}, nil
}

// otpauth writes the URI that authenticator apps read (the key URI format of Google Authenticator). It escapes every part,
// which pquerna/otp does not: an "&" in a name would begin another parameter. A space becomes %20, because apps show a "+"
// as it is.
func otpauth(issuer, account, secret string) string {
	// A colon would end the issuer in the label.
	issuer = cmp.Or(text.Line(strings.ReplaceAll(issuer, ":", " ")), "Countersign")
	said := url.Values{
		"secret": {secret}, "issuer": {issuer},
		"algorithm": {otp.AlgorithmSHA1.String()}, "digits": {otp.DigitsSix.String()}, "period": {strconv.Itoa(totpStep)},
	}
	u := url.URL{
		Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + account,
		RawQuery: strings.ReplaceAll(said.Encode(), "+", "%20"),
	}
	return u.String()
}

// account returns the name under which an app lists the user.
func (g *guard) account() string {
	return cmp.Or(text.Line(g.Profile.Email), text.Line(g.User), "user")
}

// totpFields returns the user and the factor that a sealed secret is bound to.
func (a *account) totpFields(id string) []string { return []string{a.guard.Org, a.guard.User, id} }

// An appCodes is how an app that was imported makes its codes, where that isn't the way that every app supports.
type appCodes struct {
	Algorithm string `json:"algorithm" record:"1"` // SHA1, SHA256 or SHA512, as the URI of an app writes it
	Period    int    `json:"period" record:"2"`    // how long a code is shown, in seconds: 30 or 60
}

// The algorithms of HMAC that an app can have (RFC 6238 section 1.2), by the names that its URI has for them.
var appAlgorithms = map[string]otp.Algorithm{"SHA1": otp.AlgorithmSHA1, "SHA256": otp.AlgorithmSHA256, "SHA512": otp.AlgorithmSHA512}

// stepOf returns the time step whose code this is, or zero if there is none. It considers the steps that skew allows
// around now, and of them those after last. It takes the same time whichever step it is. A nil c is the way that every app
// supports.
func (c *appCodes) stepOf(raw []byte, code seal.Secret, now time.Time, skew int, last int64) (int64, error) {
	algorithm, period := otp.AlgorithmSHA1, int64(totpStep)
	if c != nil {
		known := false
		if algorithm, known = appAlgorithms[c.Algorithm]; !known || c.Period <= 0 {
			return 0, errors.New("an app makes its codes in an unknown way")
		}
		period = int64(c.Period)
	}
	secret := base32.StdEncoding.EncodeToString(raw)
	given := []byte(code.Reveal())
	step, found := now.Unix()/period, 0
	for at := step - int64(skew); at <= step+int64(skew); at++ {
		want, err := hotp.GenerateCodeCustom(secret, uint64(at), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: algorithm})
		if err != nil {
			return 0, fmt.Errorf("compute a TOTP code: %w", err)
		}
		fresh := 1 - subtle.ConstantTimeLessOrEq(int(at), int(last))
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(given, []byte(want))&fresh, int(at), found)
	}
	return int64(found), nil
}

// What a secret that is imported may have. RFC 4226 section 4, R6, requires 16 bytes. Many services have given their users 10, and
// such apps have to go on working.
const (
	leastImportedSecret = 10
	mostImportedSecret  = 128
)

// importedApp reads the URI of an app that was enrolled elsewhere. place is its place on the line.
func importedApp(place int, uri seal.Secret) (importedFactor, error) {
	param := "totp_uris." + strconv.Itoa(place)
	raw, codes, problem := readOtpauth(uri.Reveal())
	if problem != "" {
		return importedFactor{}, invalid(param, "%s", problem)
	}
	return importedFactor{kind: TOTP, mark: raw, fill: func(q *question) error {
		q.f.Secret = q.u.ring.Seal("totp", q.v.a.totpFields(q.f.ID), raw)
		q.f.App = codes
		return nil
	}}, nil
}

// readOtpauth reads the URI of an app. codes is nil if the app makes its codes in the way that every app supports. problem says what
// is wrong with the URI, and never repeats any of it.
func readOtpauth(uri string) (raw []byte, codes *appCodes, problem string) {
	u, err := url.Parse(uri)
	if err != nil || !strings.EqualFold(u.Scheme, "otpauth") || !strings.EqualFold(u.Host, "totp") {
		return nil, nil, "The value must be a URI that begins with otpauth://totp/."
	}
	said, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, nil, "The parameters of the URI can't be read."
	}
	for _, name := range []string{"secret", "algorithm", "digits", "period"} {
		if len(said[name]) > 1 {
			return nil, nil, "The URI has a parameter twice."
		}
	}
	secret := strings.ToUpper(strings.TrimRight(said.Get("secret"), "="))
	raw, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil || len(raw) < leastImportedSecret || len(raw) > mostImportedSecret {
		return nil, nil, "The secret must be base32 of 10 to 128 bytes."
	}
	if digits := cmp.Or(said.Get("digits"), "6"); digits != "6" {
		return nil, nil, "Only codes of 6 digits are supported."
	}
	algorithm := cmp.Or(strings.ToUpper(strings.ReplaceAll(said.Get("algorithm"), "-", "")), "SHA1")
	if _, known := appAlgorithms[algorithm]; !known {
		return nil, nil, "The algorithm must be SHA1, SHA256 or SHA512."
	}
	period := cmp.Or(said.Get("period"), "30")
	if period != "30" && period != "60" {
		return nil, nil, "The period must be 30 or 60 seconds."
	}
	codes = &appCodes{Algorithm: algorithm, Period: totpStep}
	if period == "60" {
		codes.Period = 60
	}
	if *codes == (appCodes{Algorithm: "SHA1", Period: totpStep}) {
		codes = nil
	}
	return raw, codes, ""
}

// totpStepOf is stepOf for an app that was enrolled here.
func totpStepOf(raw []byte, code seal.Secret, now time.Time, skew int, last int64) (int64, error) {
	return (*appCodes)(nil).stepOf(raw, code, now, skew, last)
}

// mostClockOff is the largest error of an app's clock that its user is told about.
const mostClockOff = 10 * time.Minute

// clockOff returns how far ahead an app's clock is if the app shows this code now, in whole time steps. The result is
// negative if the clock is behind, and zero if no clock that is off by mostClockOff or less shows the code. If several
// clocks would show it, clockOff returns the smallest error. It always takes the same time.
func clockOff(raw []byte, code seal.Secret, now time.Time) (off time.Duration, err error) {
	for step := time.Duration(totpStep) * time.Second; step <= mostClockOff; step += totpStep * time.Second {
		for _, away := range []time.Duration{step, -step} {
			found, err := totpStepOf(raw, code, now.Add(away), 0, 0)
			if err != nil {
				return 0, err
			}
			if found != 0 && off == 0 {
				off = away
			}
		}
	}
	return off, nil
}
