package functions

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/infra/amazon"
	"countersign/infra/emulator/template"
)

// comeBack is the part of the story in which messages come back undelivered.
func (d *deployment) comeBack() {
	t := d.t
	ivy := person("ivy", "ivy@acme.example")
	d.begin(ivy, nil).want(t, http.StatusCreated)
	first := d.lastReturned("ivy@acme.example")
	d.advance(time.Minute)
	d.begin(ivy, nil).want(t, http.StatusCreated)
	second := d.lastReturned("ivy@acme.example")
	d.advance(time.Minute)
	// The profile changes at the same moment.
	d.account.beforeNextWrite("feedback", func() { d.put("ivy", object{"name": "Ivy"}) })
	d.invoke("feedback", first.Bounced("Permanent"), nil)
	for range 10 {
		d.invoke("feedback", second.Bounced("Permanent"), nil)
		d.invoke("feedback", first.Complained("abuse"), nil)
	}
	begun := d.begin(ivy, nil).want(t, http.StatusCreated)
	if begun.text("challenge", "send_error") != "delivery_failed" || template.Of(begun.object, "challenge", "sent") != nil {
		t.Errorf("got %s, want nothing sent to an address that messages come back from", begun.body)
	}
	d.publish()
	told := 0
	for _, e := range d.account.Events() {
		if e.DetailType == "factor.undeliverable" {
			told++
		}
		if strings.Contains(string(e.Detail), "ivy@") {
			t.Errorf("the event %s has the address", e.DetailType)
		}
	}
	if told != 1 {
		t.Errorf("%d events say that messages come back, want 1", told)
	}
}

// lastReturned returns the last message to an address. SES took it at the time of the functions.
func (d *deployment) lastReturned(to string) amazon.Message {
	m, there := d.account.LastMessage(to)
	if !there {
		d.t.Errorf("nothing was sent to %s", to)
	}
	m.At = time.Now().Add(d.offset)
	return m
}

// matches reports whether the pattern of a rule matches an event. It knows only the kinds of patterns that the template uses: a
// list of texts matches each of its texts, and also a list that has one of them.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
func matches(pattern, event any) bool {
	switch pattern := pattern.(type) {
	case object:
		in, _ := event.(object)
		for name, inner := range pattern {
			if !matches(inner, in[name]) {
				return false
			}
		}
		return true
	case []any:
		values, several := event.([]any)
		if !several {
			values = []any{event}
		}
		return slices.ContainsFunc(values, func(v any) bool { return slices.Contains(pattern, v) })
	}
	return false
}

func TestTheRuleOfFeedbackMatchesItsEventAndNoOtherDeployments(t *testing.T) {
	_, functions := readTemplate(t)
	pattern := template.Of(functions["feedback"].Properties, "Events", "Returned", "Properties", "Pattern")
	written, err := json.Marshal(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var filled object
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(written), "${Table}", "countersign-local")), &filled); err != nil {
		t.Fatal(err)
	}
	example := string(eventFile(t, "feedback"))
	mine := amazon.Message{Tags: map[string]string{"countersign-table": "countersign-local"}}
	foreign := amazon.Message{Tags: map[string]string{"countersign-table": "countersign-other"}}
	for name, c := range map[string]struct {
		event string
		want  bool
	}{
		"the example":           {example, true},
		"a bounce":              {string(mine.Bounced("Permanent")), true},
		"a complaint":           {string(mine.Complained("abuse")), true},
		"a delivery":            {strings.Replace(example, "Email Bounced", "Email Delivered", 1), false},
		"another application":   {strings.Replace(example, "aws.ses", "app", 1), false},
		"another deployment":    {string(foreign.Bounced("Permanent")), false},
		"no message of any one": {string(amazon.Message{}.Complained("abuse")), false},
	} {
		var event object
		if err := json.Unmarshal([]byte(c.event), &event); err != nil {
			t.Fatal(err)
		}
		if got := matches(filled, event); got != c.want {
			t.Errorf("%s: got %t, want %t", name, got, c.want)
		}
	}
}

func TestTheStacksOwnConfigurationSetTellsWhatComesBackAndTracksNothing(t *testing.T) {
	deployed, _ := readTemplate(t)
	set, told := deployed.Resources["MailSet"].Properties, deployed.Resources["MailSetFeedback"].Properties
	if got := template.Several(template.Of(told, "EventDestination", "MatchingEventTypes")); !slices.Equal(got, []string{"bounce", "complaint"}) {
		t.Errorf("got the events %q, want bounces and complaints; open and click would have SES change the messages", got)
	}
	if got := template.Several(template.Of(set, "SuppressionOptions", "SuppressedReasons")); !slices.Equal(got, []string{"BOUNCE", "COMPLAINT"}) {
		t.Errorf("got %q as reasons to suppress", got)
	}
	if got := set["TrackingOptions"]; got != nil {
		t.Errorf("got %v, want no tracking", got)
	}
}

// The conditions decide which one of three sets a message is sent with. So the other tests can't tell whether the role of a
// function allows the one that the function uses.
func TestARoleAllowsTheConfigurationSetThatMessagesAreSentWith(t *testing.T) {
	const arn = "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:configuration-set/"
	choice := func(has, made, none string) string {
		return fmt.Sprint(object{"Fn::If": []any{"HasConfigurationSet", has, object{"Fn::If": []any{"MakesConfigurationSet", made, none}}}})
	}
	deployed, functions := readTemplate(t)
	senders := 0
	for step, f := range functions {
		used := f.Environment["COUNTERSIGN_SES_CONFIGURATION_SET"]
		policies, _ := deployed.Resources[f.Role].Properties["Policies"].([]any)
		var allowed any
		for _, policy := range policies {
			said, _ := template.Of(policy, "PolicyDocument", "Statement").([]any)
			for _, s := range said {
				if template.Of(s, "Action") == "ses:SendEmail" {
					allowed = template.Of(s, "Resource").([]any)[1]
				}
			}
		}
		if used == nil && allowed == nil {
			continue
		}
		senders++
		if want := choice("${SesConfigurationSet}", "${MailSet}", ""); fmt.Sprint(used) != want {
			t.Errorf("%s: got %v, want %s", step, used, want)
		}
		// Without a set, SES takes the default set of the sender's identity, whose name isn't known here.
		if want := choice(arn+"${SesConfigurationSet}", arn+"${MailSet}", arn+"*"); fmt.Sprint(allowed) != want {
			t.Errorf("%s: the role allows %v, want %s", step, allowed, want)
		}
	}
	if senders != 3 {
		t.Errorf("%d functions send email, want 3", senders)
	}
}
