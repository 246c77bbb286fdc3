package pages

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// How a setting is written in a form.
const (
	byChoice = "choice" // one of some words
	bySwitch = "switch" // yes or no
	byNumber = "number"
	bySpan   = "span" // a number of seconds
	byMoment = "moment"
	byLines  = "lines" // a list, each value on a line of its own
	byWords  = "words" // a list, with spaces or commas between the values
)

// A settingRow is one setting that the console shows.
type settingRow struct {
	path        string
	by          string
	of          string // the words of a choice, with spaces between them
	least, most int    // of a number
	empty       bool   // a number may be left out
}

// A settingGroup is some settings that belong together.
type settingGroup struct {
	name string
	rows []settingRow
}

// settingGroups are all settings of a policy, in the order of the page. A test compares them with what the API has.
var settingGroups = []settingGroup{
	{"demand", []settingRow{
		{path: "require", by: byChoice, of: "nobody everyone"},
		{path: "effect", by: byChoice, of: "next_sign_in sign_out_now"},
		{path: "grace_until", by: byMoment},
		{path: "max_skips", by: byNumber, most: 1000, empty: true},
	}},
	{"methods", []settingRow{
		{path: "methods.totp", by: byChoice, of: "allowed forbidden"},
		{path: "methods.webauthn", by: byChoice, of: "allowed forbidden"},
		{path: "methods.email", by: byChoice, of: "implicit enrolled forbidden"},
		{path: "methods.sms", by: byChoice, of: "allowed forbidden"},
		{path: "email_backup", by: byChoice, of: "pinned allowed forbidden"},
		{path: "enrolment_proof", by: byChoice, of: "email none"},
		{path: "webauthn.user_verification", by: byChoice, of: "discouraged preferred required"},
		{path: "totp.skew", by: byNumber, most: 1},
	}},
	{"trust", []settingRow{
		{path: "trust.days", by: byNumber, most: 90},
		{path: "trust.cap", by: byNumber, least: 1, most: 50},
		{path: "trust.rotate", by: bySwitch},
		{path: "risk.high", by: byChoice, of: "ask ignore"},
		{path: "sso", by: byChoice, of: "bypass ask proven"},
		{path: "sso_amr", by: byLines},
		{path: "sso_acr", by: byLines},
		{path: "sso_max_age_s", by: bySpan, least: 60, most: 86400},
	}},
	{"challenge", []settingRow{
		{path: "challenge.window_s", by: bySpan, least: 300, most: 900},
		{path: "challenge.email_code_s", by: bySpan, least: 60, most: 900},
		{path: "challenge.sms_code_s", by: bySpan, least: 60, most: 600},
		{path: "challenge.attempts", by: byNumber, least: 3, most: 10},
		{path: "challenge.sends", by: byNumber, least: 1, most: 10},
		{path: "challenge.resend_after_s", by: bySpan, least: 10, most: 300},
	}},
	{"recovery", []settingRow{
		{path: "recovery.count", by: byNumber, most: 20},
		{path: "recovery.effect", by: byChoice, of: "sign_in reset reenrol"},
		{path: "reset.second_approver", by: bySwitch},
		{path: "reset.hold_s", by: bySpan, most: 604800},
		{path: "reset.self_service", by: byChoice, of: "off approve hold"},
		{path: "pass.max_s", by: bySpan, most: 86400},
	}},
	{"sms", []settingRow{
		{path: "sms.countries", by: byWords},
		{path: "sms.daily_cap", by: byNumber, most: 1_000_000},
		{path: "sms.user_daily_cap", by: byNumber, most: 1000},
		{path: "sms.hourly_prefix_cap", by: byNumber, most: 1_000_000},
		{path: "sms.min_conversion", by: byNumber, most: 100},
	}},
	{"others", []settingRow{
		{path: "notify", by: byLines},
		{path: "locale", by: byChoice, of: "en fr"},
	}},
}

// key is the part of the keys of a setting's texts that stands for the setting.
func (r *settingRow) key() string { return strings.ReplaceAll(r.path, ".", "_") }

// written returns a setting's value as the field of the form has it.
func (r *settingRow) written(value any) string {
	switch value := value.(type) {
	case string:
		if r.by == byMoment {
			if at, err := time.Parse(time.RFC3339, value); err == nil {
				return at.UTC().Format(inField)
			}
		}
		return value
	case bool:
		return map[bool]string{true: "yes", false: "no"}[value]
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	case []any:
		between := "\n"
		if r.by == byWords {
			between = " "
		}
		var all []string
		for _, each := range value {
			word, _ := each.(string)
			all = append(all, word)
		}
		return strings.Join(all, between)
	}
	return ""
}

// read returns the value that a field of the form stands for. was is the value that the page had: if nothing was typed, it stays, because
// a field shows a moment less exactly than it is.
func (r *settingRow) read(typed string, was any) (value any, good bool) {
	typed = strings.TrimSpace(strings.ReplaceAll(typed, "\r", ""))
	if typed == r.written(was) {
		return was, true
	}
	switch r.by {
	case byChoice:
		return typed, slices.Contains(strings.Fields(r.of), typed)
	case bySwitch:
		return typed == "yes", typed == "yes" || typed == "no"
	case byMoment:
		if typed == "" {
			return nil, true
		}
		at, err := time.Parse(inField, typed)
		return at.Format(time.RFC3339), err == nil
	case byLines:
		return list(strings.Split(typed, "\n")), true
	case byWords:
		return list(strings.FieldsFunc(strings.ToUpper(typed), func(c rune) bool { return c == ' ' || c == ',' || c == ';' || c == '\n' })), true
	}
	if typed == "" && r.empty {
		return nil, true
	}
	n, err := strconv.Atoi(typed)
	return float64(n), err == nil && n >= r.least && n <= r.most
}

func list(of []string) []any {
	all := []any{}
	for _, each := range of {
		if each = strings.TrimSpace(each); each != "" {
			all = append(all, each)
		}
	}
	return all
}
