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

// A use is one call of AWS, as IAM sees it. Resources of the template are written as in the template, such as ${Table.Arn}.
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

// A statement is a statement of an IAM policy.
type statement struct {
	in        string // the resource whose policy has it
	sid       string
	actions   []string
	resources []string // the resources on which it allows the actions; empty if except has those on which it doesn't allow them
	except    []string
	condition map[string]map[string][]string // values by operator and condition key
}

func (s statement) String() string { return s.in + "'s statement " + s.sid }

// statements returns all statements that allow a function something: those of its role, and those of the KMS key that name the
// role.
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
			// The role has some statements only under a condition. They are read as if it held.
			if sides, ok := template.Of(s, "Fn::If").([]any); ok && sides[2] == "${AWS::NoValue}" {
				s = sides[1]
			}
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
			use.resources = []string{"${" + name + ".Arn}"} // in the policy of a key the star stands for that key
			all = append(all, use)
		}
	}
	return all
}

func readStatement(tb testing.TB, in string, said any) statement {
	tb.Helper()
	s := statement{
		in: in, sid: fmt.Sprint(template.Of(said, "Sid")), actions: template.Several(template.Of(said, "Action")), resources: template.Several(template.Of(said, "Resource")),
		except:    template.Several(template.Of(said, "NotResource")),
		condition: map[string]map[string][]string{},
	}
	for part := range said.(object) {
		if !slices.Contains([]string{"Sid", "Effect", "Principal", "Action", "Resource", "NotResource", "Condition"}, part) {
			tb.Fatalf("%s: this test doesn't read %s", s, part)
		}
	}
	if (len(s.resources) == 0) == (len(s.except) == 0) {
		tb.Fatalf("%s: this test reads statements with either a Resource or a NotResource", s)
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

// allows reports whether the statement allows a call. It knows those rules of IAM that the template needs.
func (s statement) allows(tb testing.TB, u use) bool {
	tb.Helper()
	if !anyMatches(s.actions, u.action) || len(s.resources) > 0 && !anyMatches(s.resources, u.resource) || anyMatches(s.except, u.resource) {
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

// anyMatches reports whether one of the patterns, which can have the wildcards of IAM, matches a text.
func anyMatches(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		quoted := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
		return regexp.MustCompile(`(?s)^` + quoted + `$`).MatchString(text)
	})
}

// parts splits a statement into its smallest parts: one action on one resource and, if it names partitions, in one partition.
func (s statement) parts() (all []statement) {
	for _, action := range s.actions {
		each := slices.Collect(slices.Chunk(s.resources, 1))
		if len(s.except) > 0 {
			each = [][]string{nil} // exceptions don't split a statement
		}
		for _, resources := range each {
			one := s
			one.actions, one.resources = []string{action}, resources
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

// readOtherwise returns the part that allows BatchGetItem if s allows GetItem, and the other way round. Which of the two a
// function uses depends on what else it reads at the same time. So a function that uses both may use both in each of its
// partitions.
func (s statement) readOtherwise() statement {
	switch s.actions[0] {
	case "dynamodb:GetItem":
		s.actions = []string{"dynamodb:BatchGetItem"}
	case "dynamodb:BatchGetItem":
		s.actions = []string{"dynamodb:GetItem"}
	}
	return s
}

// only returns the statement with only one of its actions.
func (s statement) only(action string) statement {
	s.actions = []string{action}
	return s
}

const leadingKeys = "dynamodb:LeadingKeys"

// compare reports what was done but is not allowed, and what is allowed but was not done.
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
