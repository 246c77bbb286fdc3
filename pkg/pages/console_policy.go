package pages

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A settings is a whole policy as the API shows it. The console keeps settings that it doesn't know as they are.
type settings map[string]any

// at returns the setting with that path, such as trust.days.
func (s settings) at(path string) any {
	group, name, inGroup := strings.Cut(path, ".")
	if !inGroup {
		return s[path]
	}
	in, _ := s[group].(map[string]any)
	return in[name]
}

// put changes a setting.
func (s settings) put(path string, value any) {
	group, name, inGroup := strings.Cut(path, ".")
	if !inGroup {
		s[path] = value
		return
	}
	in, _ := s[group].(map[string]any)
	if in == nil {
		in = map[string]any{}
		s[group] = in
	}
	in[name] = value
}

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

// A settingView is one setting as the template gets it.
type settingView struct {
	Key, Path, By string
	Value         string
	Choices       []string
	Least, Most   int
	Empty, Bad    bool
	Span          string // a number of seconds in words
}

// A groupView is a group of settings as the template gets it.
type groupView struct {
	Name string
	Open bool
	Rows []settingView
}

// policyView is what the template of the policy gets.
type policyView struct {
	console
	Version  string
	Updated  *moment // when it was saved; nil if it never was
	Profiles []string
	Groups   []groupView
}

// policyProfiles are the names of the profiles that a policy can be taken from.
var policyProfiles = []string{"kls", "salto", "talkdesk", "karbon", "helpdesk", "nist"}

// policy asks the API for the policy, and returns it with its version.
func (v *visit) policy(c console) (settings, string, error) {
	var got settings
	if err := v.get(c.orgPath("/policy"), &got); err != nil {
		return nil, "", err
	}
	version, _ := got["version"].(float64)
	return got, strconv.Itoa(int(version)), nil
}

func showPolicy(v *visit) (any, error) {
	c, err := v.console("policy")
	if err != nil {
		return nil, err
	}
	now, version, err := v.policy(c)
	if err != nil {
		return nil, err
	}
	shown, bad := now, map[string]bool{}
	if proposed, is := v.proposal(); is { // what was typed stays
		shown = proposed
	} else if v.r.Method == http.MethodPost && v.field("do") == "preview" {
		shown, bad = readSettings(v.field, now)
	}
	view := &policyView{console: c, Version: version, Profiles: policyProfiles, Groups: v.groups(shown, bad)}
	if from := v.field("version"); from != "" {
		view.Version = from // what was typed was typed from that version, so a save finds out whether there is a newer one
	}
	if at, err := time.Parse(time.RFC3339, textAt(now, "updated")); err == nil && version != "0" {
		view.Updated = v.Moment(at)
	}
	return view, nil
}

func textAt(s settings, path string) string {
	text, _ := s.at(path).(string)
	return text
}

func (v *visit) groups(shown settings, bad map[string]bool) (groups []groupView) {
	for i, g := range settingGroups {
		view := groupView{Name: g.name, Open: i == 0}
		for _, r := range g.rows {
			row := settingView{
				Key: r.key(), Path: r.path, By: r.by, Value: r.written(shown.at(r.path)), Choices: strings.Fields(r.of),
				Least: r.least, Most: r.most, Empty: r.empty, Bad: bad[r.path],
			}
			if bad[r.path] {
				row.Value, view.Open = v.field(r.path), true
			}
			if n, is := shown.at(r.path).(float64); is && r.by == bySpan && n > 0 {
				row.Span = v.language.span(int(n))
			}
			view.Rows = append(view.Rows, row)
		}
		groups = append(groups, view)
	}
	return groups
}

// readSettings returns the policy with what the fields of a form say, and the paths of those that can't be read.
func readSettings(fields func(string) string, now settings) (settings, map[string]bool) {
	read, bad := settings{}, map[string]bool{}
	raw, err := json.Marshal(now)
	if err == nil {
		err = json.Unmarshal(raw, &read)
	}
	for _, g := range settingGroups {
		for _, r := range g.rows {
			value, good := r.read(fields(r.path), now.at(r.path))
			if !good || err != nil {
				bad[r.path] = true
				continue
			}
			read.put(r.path, value)
		}
	}
	return read, bad
}

// proposal returns the policy that a form of the preview carries. A form of the policy itself carries none.
func (v *visit) proposal() (settings, bool) {
	var s settings
	if v.r.Method != http.MethodPost || json.Unmarshal([]byte(v.field("proposal")), &s) != nil || s == nil {
		return nil, false
	}
	if _, profile := s["profile"]; profile {
		return nil, false
	}
	return s, true
}

// previewPolicy shows what the settings of the form would do.
func previewPolicy(v *visit) error {
	c, err := v.console("policy")
	if err != nil {
		return err
	}
	now, _, err := v.policy(c)
	if err != nil {
		return err
	}
	proposed, bad := readSettings(v.field, now)
	if len(bad) > 0 {
		v.remark(http.StatusUnprocessableEntity, v.T("console.wrong.settings"))
		return nil
	}
	for _, name := range []string{"org", "version", "updated"} { // the API ignores them
		delete(proposed, name)
	}
	return v.preview(c, now, proposed, v.field("version"), false)
}

// previewProfile shows what the policy of a profile would do.
func previewProfile(v *visit) error {
	c, err := v.console("policy")
	if err != nil {
		return err
	}
	now, version, err := v.policy(c)
	if err != nil {
		return err
	}
	return v.preview(c, now, settings{"profile": v.field("profile")}, version, false)
}

// A settingChange is a setting that a proposal changes, with its values in words.
type settingChange struct{ Key, From, To string }

// previewView is what the template of a preview gets.
type previewView struct {
	console
	Profile  string // the profile that is proposed; empty if it is settings
	Changes  []settingChange
	Version  string
	Proposal string
	Again    bool // somebody else has saved a policy since
	Preview  struct {
		Users          int      `json:"users"`
		WithoutFactor  int      `json:"without_factor"`
		SignedOut      int      `json:"signed_out"`
		MustEnrol      int      `json:"must_enrol"`
		LosingOnlyKind int      `json:"losing_only_kind"`
		Sample         []string `json:"sample"`
	}
}

// Acknowledge reports whether the administrator has to say that they know what the change does. The API asks for it if the change signs
// somebody out, or asks somebody who wasn't asked before: those are in the sample.
func (p *previewView) Acknowledge() bool { return len(p.Preview.Sample) > 0 }

// Nothing reports whether the proposal changes nothing.
func (p *previewView) Nothing() bool { return p.Profile == "" && len(p.Changes) == 0 }

// preview shows what a proposal would do. version is that of the policy that it was made from.
func (v *visit) preview(c console, now, proposed settings, version string, again bool) error {
	view := previewView{console: c, Version: version, Again: again}
	view.Profile = oneOf(textAt(proposed, "profile"), policyProfiles)
	if view.Profile == "" {
		view.Changes = v.changes(now, proposed)
	}
	raw, err := json.Marshal(proposed)
	if err != nil {
		return err
	}
	view.Proposal = string(raw)
	err = v.do(call{method: http.MethodPost, path: c.orgPath("/policy/preview"), bearer: v.bearer, body: proposed}, &view.Preview)
	if codeOf(err) == "invalid_request" {
		v.remark(http.StatusUnprocessableEntity, v.settingWrong(err.(*problem)))
		return nil
	}
	if err != nil {
		return err
	}
	said := v.said
	if said != nil && said.Status != 0 {
		v.draw(said.Status, "console-preview", &view)
		return nil
	}
	v.draw(http.StatusOK, "console-preview", &view)
	return nil
}

// settingWrong says which setting the API doesn't take.
func (v *visit) settingWrong(p *problem) string {
	for _, g := range settingGroups {
		for _, r := range g.rows {
			if r.path == p.Param {
				return v.T("console.wrong.setting", "setting", v.T("console.set."+r.key()))
			}
		}
	}
	return v.T("console.wrong.settings")
}

// changes returns what a proposal changes of the policy.
func (v *visit) changes(now, proposed settings) (all []settingChange) {
	for _, g := range settingGroups {
		for _, r := range g.rows {
			from, to := now.at(r.path), proposed.at(r.path)
			if !reflect.DeepEqual(from, to) {
				all = append(all, settingChange{r.key(), v.inWords(&r, from), v.inWords(&r, to)})
			}
		}
	}
	return all
}

// inWords returns the value of a setting as people say it.
func (v *visit) inWords(r *settingRow, value any) string {
	text := r.written(value)
	switch n, number := value.(float64); {
	case text == "":
		return v.T("console.none")
	case r.by == byChoice:
		return v.T("console.set." + r.key() + ".is_" + text)
	case r.by == bySwitch:
		return v.T("console.switch." + text)
	case r.by == bySpan && number:
		return v.language.span(int(n))
	case r.by == byMoment:
		if at, err := time.Parse(inField, text); err == nil {
			return v.language.moment(at, time.Time{}).Text
		}
	}
	return strings.ReplaceAll(text, "\n", ", ")
}

// savePolicy saves what a preview has shown.
func savePolicy(v *visit) error {
	c, err := v.console("policy")
	if err != nil {
		return err
	}
	var proposed settings
	if err := json.Unmarshal([]byte(v.field("proposal")), &proposed); err != nil || proposed == nil {
		v.remark(http.StatusUnprocessableEntity, v.T("console.wrong.settings"))
		return nil
	}
	delete(proposed, "acknowledge")
	body := settings{}
	for name, value := range proposed {
		body[name] = value
	}
	if v.field("acknowledge") != "" {
		body["acknowledge"] = true
	}
	err = v.change(http.MethodPut, c.orgPath("/policy"), `"`+v.field("version")+`"`, body, nil)
	switch codeOf(err) {
	case "version_mismatch":
		now, version, err := v.policy(c)
		if err != nil {
			return err
		}
		v.remark(http.StatusPreconditionFailed, v.T("console.wrong.conflict", "version", version))
		return v.preview(c, now, proposed, version, true)
	case "acknowledgement_required":
		now, version, err := v.policy(c)
		if err != nil {
			return err
		}
		v.remark(http.StatusConflict, v.T("console.wrong.acknowledge"))
		return v.preview(c, now, proposed, version, false)
	case "invalid_request":
		v.remark(http.StatusUnprocessableEntity, v.settingWrong(err.(*problem)))
		return nil
	}
	if err != nil {
		return err
	}
	return v.done("policy_saved")
}

// editPolicy goes back from a preview to the form, with what was proposed.
func editPolicy(v *visit) error {
	v.said = &remark{Text: v.T("console.policy.not_saved"), Status: http.StatusOK}
	return nil
}
