package functions

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"countersign/infra/emulator/template"
)

// A use is one call to AWS as IAM sees it. Names of what the template makes stand as in the template: ${Table.Arn}.
type use struct {
	action   string
	resource string
	keys     map[string][]string // condition keys, and their values in this call
}

func (u use) String() string {
	said := u.action + " on " + u.resource
	for _, key := range slices.Sorted(maps.Keys(u.keys)) {
		said += fmt.Sprintf(" with %s %s", key, strings.Join(u.keys[key], ", "))
	}
	return said
}

// A statement is one of a policy that says who may do what.
type statement struct {
	in        string // the resource whose policy it stands in
	sid       string
	actions   []string
	resources []string
	condition map[string]map[string][]string // by operator and key
}

func (s statement) String() string { return s.in + "'s statement " + s.sid }

// statements are all those that let a function do something: its role's, and the key's that name the role.
func statements(tb testing.TB, t *template.Template, f *template.Function) (all []statement) {
	tb.Helper()
	role := t.Resources[f.Role]
	if role.Type != "AWS::IAM::Role" || role.Properties["ManagedPolicyArns"] != nil {
		tb.Fatalf("%s: its role is not one of the template with all its statements in it", f.Resource)
	}
	policies, _ := role.Properties["Policies"].([]any)
	for _, policy := range policies {
		said, _ := template.Of(policy, "PolicyDocument", "Statement").([]any)
		for _, s := range said {
			all = append(all, readStatement(tb, f.Role, s))
		}
	}
	for _, name := range t.Named("AWS::KMS::Key") {
		said, _ := template.Of(t.Resources[name].Properties, "KeyPolicy", "Statement").([]any)
		for _, s := range said {
			if !slices.Contains(template.Several(template.Of(s, "Principal", "AWS")), "${"+f.Role+".Arn}") {
				continue
			}
			use := readStatement(tb, name, s)
			use.resources = []string{"${" + name + ".Arn}"} // in a key's policy the star is the key
			all = append(all, use)
		}
	}
	return all
}

func readStatement(tb testing.TB, in string, said any) statement {
	tb.Helper()
	s := statement{
		in: in, sid: fmt.Sprint(template.Of(said, "Sid")), actions: template.Several(template.Of(said, "Action")), resources: template.Several(template.Of(said, "Resource")),
		condition: map[string]map[string][]string{},
	}
	for part := range said.(object) {
		if !slices.Contains([]string{"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}, part) {
			tb.Fatalf("%s: this test doesn't read %s", s, part)
		}
	}
	if template.Of(said, "Effect") != "Allow" {
		tb.Fatalf("%s: this test reads statements that allow", s)
	}
	operators, _ := template.Of(said, "Condition").(object)
	for operator, keys := range operators {
		s.condition[operator] = map[string][]string{}
		for key, values := range keys.(object) {
			s.condition[operator][key] = template.Several(values)
		}
	}
	return s
}

// allows reports whether the statement lets a call through, by IAM's rules for what the template says.
func (s statement) allows(tb testing.TB, u use) bool {
	tb.Helper()
	if !anyMatches(s.actions, u.action) || !anyMatches(s.resources, u.resource) {
		return false
	}
	for operator, keys := range s.condition {
		for key, want := range keys {
			got := u.keys[key]
			holds := false
			switch operator {
			case "ForAllValues:StringLike":
				holds = !slices.ContainsFunc(got, func(v string) bool { return !anyMatches(want, v) })
			case "StringEquals":
				holds = len(got) == 1 && slices.Contains(want, got[0])
			case "Null":
				holds = slices.Equal(want, []string{fmt.Sprint(len(got) == 0)})
			default:
				tb.Fatalf("%s: this test doesn't know the operator %s", s, operator)
			}
			if !holds {
				return false
			}
		}
	}
	return true
}

// anyMatches reports whether a text fits one of some patterns with IAM's wildcards.
func anyMatches(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		quoted := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
		return regexp.MustCompile(`(?s)^` + quoted + `$`).MatchString(text)
	})
}

// parts splits a statement into the least it could be: one action on one resource, in one partition where it names those.
func (s statement) parts() (all []statement) {
	for _, action := range s.actions {
		for _, resource := range s.resources {
			one := s
			one.actions, one.resources = []string{action}, []string{resource}
			partitions := s.condition["ForAllValues:StringLike"][leadingKeys]
			if len(partitions) == 0 {
				all = append(all, one)
			}
			for _, partition := range partitions {
				in := one
				in.condition = maps.Clone(s.condition)
				in.condition["ForAllValues:StringLike"] = map[string][]string{leadingKeys: {partition}}
				in.sid += ", " + action + " in " + partition
				all = append(all, in)
			}
		}
	}
	return all
}

// readOtherwise is a part that lets items be read alone where s lets them be read together, and the other way round. Which of
// the two it is depends on what else is read, so whoever does both somewhere may do both wherever it does one of them.
func (s statement) readOtherwise() statement {
	switch s.actions[0] {
	case "dynamodb:GetItem":
		s.actions = []string{"dynamodb:BatchGetItem"}
	case "dynamodb:BatchGetItem":
		s.actions = []string{"dynamodb:GetItem"}
	}
	return s
}

// only is s for one of its actions.
func (s statement) only(action string) statement {
	s.actions = []string{action}
	return s
}

const leadingKeys = "dynamodb:LeadingKeys"

// compare tells what was done without being allowed, and what is allowed without being done.
func compare(tb testing.TB, allowed []statement, done []use) (found []string) {
	tb.Helper()
	for _, u := range done {
		if !slices.ContainsFunc(allowed, func(s statement) bool { return s.allows(tb, u) }) {
			found = append(found, "uses, but isn't allowed: "+u.String())
		}
	}
	for _, s := range allowed {
		used := func(part statement) bool {
			return slices.ContainsFunc(done, func(u use) bool { return part.allows(tb, u) })
		}
		for _, part := range s.parts() {
			if !used(part) && !(used(part.readOtherwise()) && used(s.only(part.actions[0]))) {
				found = append(found, fmt.Sprintf("is allowed, but never uses: %s (%s on %s)", part, strings.Join(part.actions, ""), strings.Join(part.resources, "")))
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
