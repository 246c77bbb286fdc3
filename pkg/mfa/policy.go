package mfa

import (
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/pkg/message"
)

// The words that a policy's settings use.
const (
	Allowed    = "allowed"
	NotAllowed = "forbidden"
	Implicit   = "implicit" // the account's address is a factor without an enrolment
	Enrolled   = "enrolled"
	Pinned     = "pinned"
	Everyone   = "everyone"
	Nobody     = "nobody"
	Bypass     = "bypass"
	Proven     = "proven" // the identity provider has to say that it asked for a second factor
)

// A Policy is what an org demands. It is data: nothing in this module asks which profile it came from. Settings whose names
// end in S or _s are in whole seconds, and trust is in days of 24 hours. pkg/api/openapi/openapi.yaml says what each setting
// means, and check says which values it can have.
type Policy struct {
	Methods struct {
		TOTP     string `json:"totp" record:"1"`
		WebAuthn string `json:"webauthn" record:"2"`
		SMS      string `json:"sms" record:"3"`
		Email    string `json:"email" record:"4"`
	} `json:"methods" record:"1"`
	EmailBackup string     `json:"email_backup" record:"2"`
	Require     string     `json:"require" record:"3"`
	Effect      string     `json:"effect" record:"4"`
	GraceUntil  *time.Time `json:"grace_until" record:"5"`
	MaxSkips    *int       `json:"max_skips" record:"6"`
	Challenge   struct {
		WindowS      int `json:"window_s" record:"1"`
		EmailCodeS   int `json:"email_code_s" record:"2"`
		SMSCodeS     int `json:"sms_code_s" record:"3"`
		Attempts     int `json:"attempts" record:"4"`
		Sends        int `json:"sends" record:"5"`
		ResendAfterS int `json:"resend_after_s" record:"6"`
	} `json:"challenge" record:"7"`
	Trust struct {
		Days   int  `json:"days" record:"1"`
		Cap    int  `json:"cap" record:"2"`
		Rotate bool `json:"rotate" record:"3"`
	} `json:"trust" record:"8"`
	Recovery struct {
		Count  int    `json:"count" record:"1"`
		Effect string `json:"effect" record:"2"`
	} `json:"recovery" record:"9"`
	SSO            string   `json:"sso" record:"10"`
	SSOAMR         []string `json:"sso_amr" record:"11"`
	SSOACR         []string `json:"sso_acr" record:"12"`
	SSOMaxAgeS     int      `json:"sso_max_age_s" record:"13"`
	EnrolmentProof string   `json:"enrolment_proof" record:"14"`
	WebAuthn       struct {
		UserVerification string `json:"user_verification" record:"1"`
	} `json:"webauthn" record:"15"`
	TOTP struct {
		Skew int `json:"skew" record:"1"`
	} `json:"totp" record:"16"`
	SMS struct {
		Countries    []string `json:"countries" record:"1"` // ISO 3166-1 alpha-2
		DailyCap     int      `json:"daily_cap" record:"2"`
		UserDailyCap int      `json:"user_daily_cap" record:"3"`

		HourlyPrefixCap int `json:"hourly_prefix_cap" record:"4"`
		MinConversion   int `json:"min_conversion" record:"5"` // per cent
	} `json:"sms" record:"17"`
	Reset struct {
		Reason         string `json:"reason" record:"1"`
		SecondApprover bool   `json:"second_approver" record:"2"`
		HoldS          int    `json:"hold_s" record:"3"`
		SelfService    string `json:"self_service" record:"4"`
	} `json:"reset" record:"18"`
	Locale string `json:"locale" record:"19"`
	Risk   struct {
		High string `json:"high" record:"1"`
	} `json:"risk" record:"20"`
	Pass struct {
		MaxS int `json:"max_s" record:"1"`
	} `json:"pass" record:"21"`
	Notify []string `json:"notify" record:"22"`
}

// mostNotified is how many addresses are told of what concerns administrators.
const mostNotified = 5

// leastHold is how long a reset has to wait at least, in seconds, that users ask for and nobody approves.
const leastHold = 86400

//go:embed profiles/*.json
var profiles embed.FS

// DefaultPolicy returns the policy of an org whose policy was never set.
func DefaultPolicy() Policy {
	p, err := ProfilePolicy("default")
	if err != nil {
		panic(err) // the file is part of the program
	}
	return p
}

// ProfilePolicy returns the policy that a named profile stands for: the default policy, with the settings that the profile's
// file changes. It returns InvalidRequest if there is no such profile.
func ProfilePolicy(name string) (Policy, error) {
	var p Policy
	if name != "default" {
		p = DefaultPolicy()
	}
	body, err := profiles.ReadFile("profiles/" + name + ".json")
	if err != nil || !goodLocale(name) {
		return Policy{}, invalid("profile", "There is no such profile.")
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return Policy{}, fmt.Errorf("profile %s: %w", name, err)
	}
	return p, nil
}

// implicitKind returns the kind of which the account's own contact can be a factor without being enrolled, and whether it is
// one.
func (p *Policy) implicitKind() (k Kind, implicit bool) { return Email, p.Methods.Email == Implicit }

// pinned reports whether a factor of kind k can't be removed by itself.
func (p *Policy) pinned(k Kind) bool { return k == Email && p.EmailBackup == Pinned }

// backsUp reports whether a factor of kind k may be used by a user who has a stronger one.
func (p *Policy) backsUp(k Kind) bool { return k != Email || p.EmailBackup != NotAllowed }

// offered returns the kinds that a user is offered as a backup after enrolling a factor of another kind.
func (p *Policy) offered() []Kind { return []Kind{Email} }

// methodWords returns the words that a policy can have for a kind.
func methodWords(k Kind) []string {
	if k == Email {
		return []string{Implicit, Enrolled, NotAllowed}
	}
	return []string{Allowed, NotAllowed}
}

// method returns the policy's word for a kind. A kind without a setting is forbidden.
func (p *Policy) method(k Kind) string {
	switch k {
	case WebAuthn:
		return p.Methods.WebAuthn
	case TOTP:
		return p.Methods.TOTP
	case SMS:
		return p.Methods.SMS
	case Email:
		return p.Methods.Email
	}
	return NotAllowed
}

// textCountries returns the countries to whose numbers codes are sent. There are none where the policy forbids text messages.
func (p *Policy) textCountries() []string {
	if p.method(SMS) == NotAllowed || p.SMS.Countries == nil {
		return []string{}
	}
	return p.SMS.Countries
}

// reaches reports whether p allows text messages to the number of a factor.
func (p *Policy) reaches(f *factorRecord) bool {
	return p.method(f.Kind) != NotAllowed && p.texts(f.Country)
}

// texts reports whether p allows text messages to the numbers of a country.
func (p *Policy) texts(country string) bool { return slices.Contains(p.SMS.Countries, country) }

// check returns InvalidRequest for the first setting that is out of its range. A setting is never accepted and then ignored.
func (p *Policy) check() error {
	type word struct {
		param, value string
		of           []string
	}
	words := []word{
		{"email_backup", p.EmailBackup, []string{Pinned, Allowed, NotAllowed}},
		{"require", p.Require, []string{Nobody, Everyone}},
		{"effect", p.Effect, []string{NextSignIn, SignOutNow}},
		{"recovery.effect", p.Recovery.Effect, []string{"sign_in", "reset", "reenrol"}},
		{"sso", p.SSO, []string{Bypass, "ask", Proven}},
		{"enrolment_proof", p.EnrolmentProof, []string{"email", "none"}},
		{"webauthn.user_verification", p.WebAuthn.UserVerification, []string{"discouraged", "preferred", verificationRequired}},
		{"reset.reason", p.Reset.Reason, []string{"required"}},
		{"reset.self_service", p.Reset.SelfService, []string{SelfServiceOff, SelfServiceApprove, SelfServiceHold}},
		{"risk.high", p.Risk.High, []string{"ask", "ignore"}},
		{"locale", p.Locale, message.Languages()},
	}
	for _, row := range kinds {
		words = append(words, word{"methods." + string(row.kind), p.method(row.kind), methodWords(row.kind)})
	}
	for _, w := range words {
		if !slices.Contains(w.of, w.value) {
			return invalid(w.param, "The value must be %s.", oneOf(w.of))
		}
	}
	numbers := []struct {
		param              string
		value, least, most int
	}{
		{"challenge.window_s", p.Challenge.WindowS, 300, 900},
		{"challenge.email_code_s", p.Challenge.EmailCodeS, 60, 900},
		{"challenge.sms_code_s", p.Challenge.SMSCodeS, 60, 600},
		{"challenge.attempts", p.Challenge.Attempts, 3, 10},
		{"challenge.sends", p.Challenge.Sends, 1, 10},
		{"challenge.resend_after_s", p.Challenge.ResendAfterS, 10, 300},
		{"trust.days", p.Trust.Days, 0, 90},
		{"trust.cap", p.Trust.Cap, 1, 50},
		{"recovery.count", p.Recovery.Count, 0, 20},
		{"sso_max_age_s", p.SSOMaxAgeS, 60, 86400},
		{"totp.skew", p.TOTP.Skew, 0, 1},
		{"sms.daily_cap", p.SMS.DailyCap, 0, 1_000_000},
		{"sms.user_daily_cap", p.SMS.UserDailyCap, 0, 1000},
		{"sms.hourly_prefix_cap", p.SMS.HourlyPrefixCap, 0, 1_000_000},
		{"sms.min_conversion", p.SMS.MinConversion, 0, 100},
		{"reset.hold_s", p.Reset.HoldS, 0, 604800},
		{"pass.max_s", p.Pass.MaxS, 0, 86400},
	}
	for _, n := range numbers {
		if n.value < n.least || n.value > n.most {
			return invalid(n.param, "The value must be from %d to %d.", n.least, n.most)
		}
	}
	switch {
	case p.Reset.SelfService == SelfServiceHold && p.Reset.HoldS < leastHold:
		return invalid("reset.hold_s", "If users may ask for a reset that happens by itself, the value must be at least %d.", leastHold)
	case p.MaxSkips != nil && (*p.MaxSkips < 0 || *p.MaxSkips > 1000):
		return invalid("max_skips", "The value must be from 0 to 1000, or null.")
	case p.MaxSkips != nil && p.GraceUntil == nil:
		return invalid("max_skips", "A number of skips needs a date until which users may skip, in grace_until.")
	}
	if err := p.checkLists(); err != nil {
		return err
	}
	if p.Require == Everyone && !p.leavesKind() {
		return invalid("require", "The policy allows no kind of factor that users could enrol, so it can't require one.")
	}
	return nil
}

func (p *Policy) checkLists() error {
	for param, list := range map[string][]string{"sso_amr": p.SSOAMR, "sso_acr": p.SSOACR} {
		if len(list) > 32 {
			return invalid(param, "The list can have at most 32 values.")
		}
		for _, v := range list {
			if err := checkText(param, v, 128); err != nil || v == "" {
				return invalid(param, "Each value must have 1 to 128 bytes.")
			}
		}
	}
	if len(p.Notify) > mostNotified {
		return invalid("notify", "The list can have at most %d addresses.", mostNotified)
	}
	for i, address := range p.Notify {
		if !goodEmail(address) || slices.Contains(p.Notify[:i], address) {
			return invalid("notify", "Each value must be an email address, and stand in the list once.")
		}
	}
	if len(p.SMS.Countries) > 300 {
		return invalid("sms.countries", "The list can have at most 300 countries.")
	}
	for _, c := range p.SMS.Countries {
		if !isCountry(c) {
			return invalid("sms.countries", "Each country must be an ISO 3166-1 code of two capital letters, such as FR or GB.")
		}
	}
	return nil
}

// leavesKind reports whether p allows a kind of which users can enrol a factor.
func (p *Policy) leavesKind() bool {
	return slices.ContainsFunc(kinds, func(row kindRow) bool {
		return p.method(row.kind) != NotAllowed && (row.kind != SMS || len(p.SMS.Countries) > 0)
	})
}

// language returns the language that a locale asks for by its first subtag (RFC 5646), if package message has it. Otherwise
// it returns the policy's language.
func (p *Policy) language(locale string) string {
	for _, l := range []string{locale, p.Locale} {
		first, _, _ := strings.Cut(strings.ToLower(l), "-")
		if slices.Contains(message.Languages(), first) {
			return first
		}
	}
	return "en"
}
