package functions

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"countersign/infra/emulator/emulator"
	"countersign/infra/emulator/template"
)

// alarmSections returns the sections about alarms in operating.md, by their titles.
func alarmSections(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../.github/docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begins := strings.Cut(string(page), "\n## Alarms\n")
	part, _, ends := strings.Cut(rest, "\n## ")
	if !begins || !ends {
		t.Fatal("operating.md has no part about alarms")
	}
	found := map[string]string{}
	for _, section := range strings.Split(part, "\n### ")[1:] {
		title, text, _ := strings.Cut(section, "\n")
		found[title] = text
	}
	return found
}

const noAlarms = "What else there is" // no alarm belongs to this section

// sectionOf returns the title of the section that a description names.
func sectionOf(description any) string {
	m := regexp.MustCompile(`See "([^"]+)" in \.github/docs/operating\.md\.$`).FindStringSubmatch(fmt.Sprint(description))
	if m == nil {
		return ""
	}
	return m[1]
}

func TestEachAlarmTellsTheTopicAndNamesItsSection(t *testing.T) {
	deployed, functions := readTemplate(t)
	sections := alarmSections(t)
	named := map[string]bool{sectionOf(deployed.Resources["KeyInDanger"].Properties["Description"]): true}
	for _, name := range deployed.Named("AWS::CloudWatch::Alarm") {
		said := deployed.Resources[name].Properties
		for _, actions := range []string{"AlarmActions", "OKActions"} {
			if got := template.Several(said[actions]); !slices.Equal(got, []string{"${AlarmTopic}"}) {
				t.Errorf("%s: its %s are %v, want the topic", name, actions, got)
			}
		}
		title := sectionOf(said["AlarmDescription"])
		named[title] = true
		short, ok := strings.CutPrefix(fmt.Sprint(said["AlarmName"]), "countersign-${Stage}-")
		if step, errors := strings.CutPrefix(short, "errors-"); errors && functions[step] != nil {
			short = "errors-<function>"
		}
		if !ok || !strings.Contains(sections[title], "`"+short+"`") {
			t.Errorf("%s: its name is %v, and the section %q of operating.md doesn't have it", name, said["AlarmName"], title)
		}
	}
	delete(sections, noAlarms)
	same(t, "the alarms", slices.Collect(maps.Keys(named)), "operating.md", slices.Collect(maps.Keys(sections)))
}

func TestEachFunctionHasAlarmsOfItsErrorsAndThrottles(t *testing.T) {
	deployed, functions := readTemplate(t)
	watched := map[string][]string{}
	for _, name := range deployed.Named("AWS::CloudWatch::Alarm") {
		said := deployed.Resources[name].Properties
		all := []any{said}
		metrics, _ := said["Metrics"].([]any)
		for _, m := range metrics {
			all = append(all, template.Of(m, "MetricStat", "Metric"))
		}
		for _, m := range all {
			dimensions, _ := template.Of(m, "Dimensions").([]any)
			for _, d := range dimensions {
				metric := fmt.Sprint(template.Of(m, "MetricName"))
				watched[metric] = append(watched[metric], template.Reference(template.Of(d, "Value")))
			}
		}
	}
	var all []string
	for _, f := range functions {
		all = append(all, f.Resource)
	}
	for _, metric := range []string{"Errors", "Throttles"} {
		same(t, "the alarms of "+metric, watched[metric], "template.yaml", all)
	}
	if n := len(deployed.Resources); n > 450 {
		t.Errorf("the template has %d resources, and CloudFormation takes 500, with those that SAM adds", n)
	}
}

func TestTheTopicTakesAlarmsOfThisDeploymentOverTLSAndNothingElse(t *testing.T) {
	deployed, _ := readTemplate(t)
	got, err := json.Marshal(deployed.Resources["AlarmTopicPolicy"].Properties["PolicyDocument"])
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"Statement":[` +
		`{"Action":"sns:Publish","Condition":{"ArnLike":{"aws:SourceArn":"arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:countersign-${Stage}-*"},` +
		`"StringEquals":{"aws:SourceAccount":"${AWS::AccountId}"}},"Effect":"Allow","Principal":{"Service":"cloudwatch.amazonaws.com"},"Resource":"${AlarmTopic}","Sid":"TellOfAlarms"},` +
		`{"Action":"sns:Publish","Condition":{"ArnEquals":{"aws:SourceArn":"${KeyInDanger.Arn}"}},"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},` +
		`"Resource":"${AlarmTopic}","Sid":"TellOfTheKey"},` +
		`{"Action":"sns:Publish","Condition":{"Bool":{"aws:SecureTransport":"false"}},"Effect":"Deny","Principal":"*","Resource":"${AlarmTopic}","Sid":"RefusePlainText"}],` +
		`"Version":"2012-10-17"}`
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// keyEvent is an event of CloudTrail about a call of KMS, as the developer guide of KMS shows it.
// https://docs.aws.amazon.com/kms/latest/developerguide/ct-schedule-key-deletion.html
func keyEvent(t *testing.T, call, key string) (event any) {
	t.Helper()
	text := fmt.Sprintf(`{"version":"0","source":"aws.kms","detail-type":"AWS API Call via CloudTrail","time":"2026-11-30T10:00:00Z","detail":{
		"eventVersion":"1.08","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::123456789012:assumed-role/admin/olga"},
		"eventSource":"kms.amazonaws.com","eventName":%q,"requestParameters":{"keyId":"0d8f3f38-0000-4000-8000-000000000000","pendingWindowInDays":30},
		"resources":[{"accountId":"123456789012","type":"AWS::KMS::Key","ARN":%q}]}}`, call, key)
	if err := json.Unmarshal([]byte(text), &event); err != nil {
		t.Fatal(err)
	}
	return event
}

func TestTheRuleOfTheKeySeesItsEndAndNothingElse(t *testing.T) {
	deployed, _ := readTemplate(t)
	said := deployed.Resources["KeyInDanger"].Properties
	for _, c := range []struct {
		call, key string
		want      bool
	}{
		{"ScheduleKeyDeletion", "${Key.Arn}", true},
		{"DisableKey", "${Key.Arn}", true},
		{"DisableKey", "arn:aws:kms:eu-west-1:123456789012:key/other", false},
		{"EnableKey", "${Key.Arn}", false},
		{"Decrypt", "${Key.Arn}", false},
	} {
		if got := emulator.Fits(said["EventPattern"], keyEvent(t, c.call, c.key)); got != c.want {
			t.Errorf("%s of %s: got %t, want %t", c.call, c.key, got, c.want)
		}
	}
	targets, _ := said["Targets"].([]any)
	transformer := template.Of(targets[0], "InputTransformer")
	paths, _ := template.Of(transformer, "InputPathsMap").(object)
	text := fmt.Sprint(template.Of(transformer, "InputTemplate"))
	if !strings.HasPrefix(text, `"`) || !strings.HasSuffix(text, `"`) || strings.Count(text, `"`) != 2 {
		t.Errorf("the text is %s, want one in quotation marks, as EventBridge requires", text)
	}
	event := keyEvent(t, "DisableKey", "${Key.Arn}")
	for name, path := range paths {
		value := template.Of(event, strings.Split(strings.TrimPrefix(fmt.Sprint(path), "$."), ".")...)
		if value == nil || !strings.Contains(text, "<"+name+">") {
			t.Errorf("%s: the event has %v at %v, and the text is %s", name, value, path, text)
		}
	}
	if title := "The KMS key is in danger"; !strings.Contains(text, title) || sectionOf(said["Description"]) != title {
		t.Errorf("the text %s and the description %v don't name the section %q", text, said["Description"], title)
	}
}

func TestTheDashboardShowsMetricsThatThereAre(t *testing.T) {
	deployed, _ := readTemplate(t)
	var body struct {
		Widgets []struct {
			Type       string
			X, Y       int
			Width      int
			Height     int
			Properties struct {
				Title, Region, Stat string
				Period              int
				Metrics             [][]any
			}
		}
	}
	text := fmt.Sprint(deployed.Resources["Dashboard"].Properties["DashboardBody"])
	strictly(t, "the dashboard", []byte(text), &body)
	if len(body.Widgets) < 6 {
		t.Fatalf("got %d widgets, want those of the dashboard", len(body.Widgets))
	}
	listed := alarmSections(t)[noAlarms]
	for _, m := range regexp.MustCompile(`MetricName=\\"(\w+)\\"|"Countersign/\$\{Stage}", "(\w+)"\]?|\[".", "(Wrong|Locks|RingAgeDays)"`).FindAllStringSubmatch(text, -1) {
		name := m[1] + m[2] + m[3]
		if !strings.Contains(listed, "`"+name+"`") {
			t.Errorf("the dashboard shows %s, which operating.md doesn't list", name)
		}
	}
	for _, w := range body.Widgets {
		if w.Type != "metric" || w.Properties.Region != "${AWS::Region}" || len(w.Properties.Metrics) == 0 || w.X+w.Width > 24 {
			t.Errorf("the widget %q is not as CloudWatch wants it: %+v", w.Properties.Title, w)
		}
	}
}
