package functions

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"countersign/infra/emulator/template"
)

func TestEveryFunctionMayDoWhatItDoesAndNothingElse(t *testing.T) {
	deployed, functions := readTemplate(t)
	d := deploy(t, functions)
	d.story()
	if t.Failed() {
		t.Log("what the functions logged:\n" + d.logs())
		t.FailNow()
	}
	for _, step := range slices.Sorted(maps.Keys(functions)) {
		t.Run(step, func(t *testing.T) {
			allowed := statements(t, deployed, functions[step])
			done := append(slices.Clone(d.account.done[step]), inItsName(functions[step].Properties)...)
			for _, difference := range compare(t, allowed, done) {
				t.Error(difference)
			}
			for i, s := range allowed {
				if len(compare(t, slices.Delete(slices.Clone(allowed), i, i+1), done)) == 0 {
					t.Errorf("nothing is missed without %s", s)
				}
			}
			for _, more := range []statement{
				{in: "a mistake", actions: []string{"dynamodb:Scan"}, resources: []string{"${Table.Arn}"}},
				{in: "a mistake", actions: []string{"kms:Encrypt"}, resources: []string{"*"}},
			} {
				if len(compare(t, append(slices.Clone(allowed), more), done)) == 0 {
					t.Errorf("nothing is too much with %s", more.actions)
				}
			}
		})
	}
}

// inItsName returns what Lambda does with a function's role, because of what the template says about the function.
func inItsName(properties object) (done []use) {
	for _, action := range []string{"logs:CreateLogStream", "logs:PutLogEvents"} {
		group := template.Reference(template.Of(properties, "LoggingConfig", "LogGroup"))
		done = append(done, use{action: action, resource: "${" + group + ".Arn}"})
	}
	// https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html
	for _, action := range []string{"xray:PutTraceSegments", "xray:PutTelemetryRecords"} {
		done = append(done, use{action: action, resource: "*"})
	}
	sources, _ := properties["Events"].(object)
	failures := []any{template.Of(properties, "EventInvokeConfig", "DestinationConfig", "OnFailure")}
	for _, source := range sources {
		if template.Of(source, "Type") != "DynamoDB" {
			continue
		}
		// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
		stream := fmt.Sprint(template.Of(source, "Properties", "Stream"))
		for _, action := range []string{"DescribeStream", "GetRecords", "GetShardIterator"} {
			done = append(done, use{action: "dynamodb:" + action, resource: stream})
		}
		done = append(done, use{action: "dynamodb:ListStreams", resource: "*"})
		failures = append(failures, template.Of(source, "Properties", "DestinationConfig", "OnFailure"))
	}
	for _, failure := range failures {
		to := fmt.Sprint(template.Of(failure, "Destination"))
		switch template.Of(failure, "Type") {
		case "SQS":
			done = append(done, use{action: "sqs:SendMessage", resource: to})
		case "S3":
			done = append(done, use{action: "s3:ListBucket", resource: to}, use{action: "s3:PutObject", resource: to + "/a-batch"})
		}
	}
	return done
}

func TestAStatementIsReadAsIAMReadsIt(t *testing.T) {
	s := statement{
		sid: "Write", actions: []string{"dynamodb:PutItem"}, resources: []string{"${Table.Arn}"},
		condition: map[string]map[string][]string{
			"ForAllValues:StringLike": {leadingKeys: {"u#*", "ring"}}, "Null": {leadingKeys: {"false"}},
		},
	}
	in := func(partitions ...string) use {
		return use{action: "dynamodb:PutItem", resource: "${Table.Arn}", keys: map[string][]string{leadingKeys: partitions}}
	}
	other := in("ring")
	other.action = "dynamodb:GetItem"
	elsewhere := in("ring")
	elsewhere.resource = "${Other.Arn}"
	for _, c := range []struct {
		name string
		use  use
		want bool
	}{
		{"one partition", in("u#ana"), true},
		{"two that are both named", in("u#ana", "ring"), true},
		{"one that isn't named", in("org#acme"), false},
		{"one of two that isn't named", in("u#ana", "org#acme"), false},
		{"a longer name than one without a star", in("ring#2"), false},
		{"none, as a scan has", in(), false},
		{"another action", other, false},
		{"another table", elsewhere, false},
	} {
		if got := s.allows(t, c.use); got != c.want {
			t.Errorf("%s: got %t, want %t", c.name, got, c.want)
		}
	}
	if got := len(s.parts()); got != 2 {
		t.Errorf("got %d parts, want 2", got)
	}
	text := statement{sid: "Text", actions: []string{"sns:Publish"}, except: []string{"arn:aws:sns:*:*:*"}}
	for resource, want := range map[string]bool{"+447400123456": true, "arn:aws:sns:eu-west-1:123456789012:topic": false} {
		if got := text.allows(t, use{action: "sns:Publish", resource: resource}); got != want {
			t.Errorf("a text message to %s: got %t, want %t", resource, got, want)
		}
	}
	if got := len(text.parts()); got != 1 {
		t.Errorf("got %d parts of a statement with exceptions, want 1", got)
	}
	if got := compare(t, []statement{s}, []use{in("u#ana"), in("org#acme")}); len(got) != 2 ||
		!strings.Contains(got[0], "never uses") || !strings.Contains(got[0], "ring") || !strings.Contains(got[1], "isn't allowed") || !strings.Contains(got[1], "org#acme") {
		t.Errorf("got %q, want that ring is never used and org#acme not allowed", got)
	}
	read := s
	read.actions = []string{"dynamodb:GetItem", "dynamodb:BatchGetItem"}
	alone, together, apart := in("ring"), in("ring"), in("u#ana")
	alone.action, together.action, apart.action = "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:BatchGetItem"
	if got := compare(t, []statement{read}, []use{in("u#ana"), alone, in("ring")}); len(got) != 5 {
		t.Errorf("read alone: got %q, want nothing read together, and two puts that aren't allowed", got)
	}
	if got := compare(t, []statement{read}, []use{alone, apart}); len(got) != 0 {
		t.Errorf("one partition read alone and one together: got %q, want nothing", got)
	}
	if got := compare(t, []statement{read}, []use{together, apart}); len(got) != 2 {
		t.Errorf("both read together: got %q, want that nothing is read alone", got)
	}
}
