package pages

import (
	"encoding/json"
	"net/http"
	"reflect"
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

// A settingView is one setting as the template gets it.
type settingView struct {
	Key, Path, By string
	Value         string
	Choices       []string
	Least, Most   int
	Empty, Bad    bool
	Words         string // the value as people say it
	Span          bool   // it is a number of seconds, which the words say in hours or minutes
}

// A groupView is a group of settings as the template gets it.
type groupView struct {
	Name string
	Rows []settingView
}

// policyView is what the template of the policy gets.
type policyView struct {
	console
	Version  string
	Updated  *moment // when it was saved; nil if it never was
	Profiles []string
	Groups   []groupView // all of them, to be read
	Group    *groupView  // the one that is changed; nil if none is
	Proposal string      // what was changed before, in other groups
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
	view := &policyView{console: c, Version: version, Profiles: policyProfiles}
	if from := v.field("version"); from != "" {
		view.Version = from // what was typed was typed from that version, so a save finds out whether there is a newer one
	}
	if at, err := time.Parse(time.RFC3339, textAt(now, "updated")); err == nil && version != "0" {
		view.Updated = v.Moment(at)
	}
	group := groupNamed(v.chosenGroup())
	if group == nil {
		for i := range settingGroups {
			view.Groups = append(view.Groups, v.group(&settingGroups[i], now, nil))
		}
		return view, nil
	}
	shown, bad := now, map[string]bool{}
	if proposed, is := v.proposal(); is {
		shown, view.Proposal = proposed, v.field("proposal")
	}
	if v.r.Method == http.MethodPost && v.field("do") == "preview" { // what was typed stays
		shown, bad = readSettings(group, v.field, shown)
	}
	changed := v.group(group, shown, bad)
	view.Group = &changed
	return view, nil
}

// chosenGroup is the group of settings that is being changed, by the form or by the address.
func (v *visit) chosenGroup() string {
	if v.r.Method == http.MethodPost {
		return v.field("group")
	}
	return v.r.URL.Query().Get("group")
}

// groupNamed returns the group of settings with that name; nil if there is none.
func groupNamed(name string) *settingGroup {
	for i := range settingGroups {
		if settingGroups[i].name == name {
			return &settingGroups[i]
		}
	}
	return nil
}

func textAt(s settings, path string) string {
	text, _ := s.at(path).(string)
	return text
}

func (v *visit) group(g *settingGroup, shown settings, bad map[string]bool) groupView {
	view := groupView{Name: g.name}
	for _, r := range g.rows {
		value := shown.at(r.path)
		row := settingView{
			Key: r.key(), Path: r.path, By: r.by, Value: r.written(value), Choices: strings.Fields(r.of), Words: v.inWords(&r, value),
			Least: r.least, Most: r.most, Empty: r.empty, Bad: bad[r.path], Span: r.by == bySpan,
		}
		if row.Bad {
			row.Value = v.field(r.path)
		}
		view.Rows = append(view.Rows, row)
	}
	return view
}

// readSettings returns a policy with what the fields of a form say about a group, and the paths of those that can't be read.
func readSettings(g *settingGroup, fields func(string) string, from settings) (settings, map[string]bool) {
	read, bad := settings{}, map[string]bool{}
	raw, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(raw, &read)
	}
	for _, r := range g.rows {
		value, good := r.read(fields(r.path), from.at(r.path))
		if !good || err != nil {
			bad[r.path] = true
			continue
		}
		read.put(r.path, value)
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
	group := groupNamed(v.field("group"))
	if group == nil {
		return nil
	}
	from := now
	if proposed, is := v.proposal(); is {
		from = proposed
	}
	proposed, bad := readSettings(group, v.field, from)
	if len(bad) > 0 {
		v.remark(http.StatusUnprocessableEntity, v.T("console.wrong.settings"))
		return nil
	}
	for _, name := range []string{"org", "version", "updated"} { // the API ignores them
		delete(proposed, name)
	}
	return v.preview(c, now, proposed, v.field("version"))
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
	return v.preview(c, now, settings{"profile": v.field("profile")}, version)
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
	Group    string   // of settings, that was changed last
	Groups   []string // that can be changed, too
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
func (v *visit) preview(c console, now, proposed settings, version string) error {
	view := previewView{console: c, Version: version, Group: v.field("group")}
	view.Profile = oneOf(textAt(proposed, "profile"), policyProfiles)
	if view.Profile == "" {
		view.Changes = v.changes(now, proposed)
		for _, g := range settingGroups {
			view.Groups = append(view.Groups, g.name)
		}
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
	case text == "", r.by == bySpan && text == "0":
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
		if _, profile := proposed["profile"]; !profile && len(v.changes(now, proposed)) == 0 {
			return v.done("policy_saved") // the form was sent twice
		}
		v.remark(http.StatusPreconditionFailed, v.T("console.wrong.conflict", "version", version))
		return v.preview(c, now, proposed, version)
	case "acknowledgement_required":
		now, version, err := v.policy(c)
		if err != nil {
			return err
		}
		v.remark(http.StatusConflict, v.T("console.wrong.acknowledge"))
		return v.preview(c, now, proposed, version)
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
