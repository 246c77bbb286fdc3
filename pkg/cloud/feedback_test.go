package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"countersign/infra/amazon"
	"countersign/pkg/message"
	"countersign/pkg/mfa"
)

// A heard notes what a function was told.
type heard struct {
	all []mfa.Feedback
	err error // what it returns
}

func (h *heard) build(*Deployment) Hear {
	return func(_ context.Context, f mfa.Feedback) error {
		h.all = append(h.all, f)
		return h.err
	}
}

var reference = message.Reference{User: "b3JnYW5pc2F0aW9uLi4udXNlcl9vZl90aGVfb3JnLi4", Factor: "fa_C4JpwfI11D49iChwCqPFBw", Address: "aGFzaF9vZl9hZGRyZXNz"}

// returned is a message of this world that SES has accepted.
func (w world) returned() amazon.Message {
	return amazon.Message{
		ID: "0102", At: w.Now(), FromName: "Acme", To: "bob@example.com", Subject: "Your code", Tags: w.open().FeedbackTags()(reference),
	}
}

func TestOnlyWhatComesBackForGoodIsHeard(t *testing.T) {
	w := newWorld(t)
	m := w.returned()
	other := m
	other.Tags = map[string]string{tagTable: "another", tagRoute: reference.User, tagFactor: reference.Factor, tagAddress: reference.Address}
	foreign := m
	foreign.Tags = nil
	for name, c := range map[string]struct {
		event     []byte
		hears     bool
		complaint bool
	}{
		"a bounce for good":             {m.Bounced("Permanent"), true, false},
		"a passing bounce":              {m.Bounced("Transient"), false, false},
		"a bounce that SES can't read":  {m.Bounced("Undetermined"), false, false},
		"a complaint":                   {m.Complained("abuse"), true, true},
		"a complaint without a reason":  {m.Complained(""), true, true},
		"a reader who wants it":         {m.Complained("not-spam"), false, false},
		"another deployment's":          {other.Bounced("Permanent"), false, false},
		"another application's":         {foreign.Bounced("Permanent"), false, false},
		"another application's trouble": {foreign.Complained("abuse"), false, false},
		"a delay":                       {[]byte(strings.Replace(string(m.Bounced("Permanent")), "Email Bounced", "Email Delivery Delayed", 1)), false, false},
		"a virus":                       {[]byte(strings.Replace(string(m.Bounced("Permanent")), "Email Bounced", "Email Rejected", 1)), false, false},
	} {
		var h heard
		answer, err := w.open().feedback(h.build).Invoke(t.Context(), c.event)
		if err != nil || string(answer) != "null" {
			t.Errorf("%s: got %s, %v", name, answer, err)
		}
		if (len(h.all) > 0) != c.hears {
			t.Errorf("%s: got %+v, want that it is heard: %t", name, h.all, c.hears)
			continue
		}
		if c.hears && (h.all[0].Reference != reference || h.all[0].Complaint != c.complaint || h.all[0].Sent.Sub(m.At).Abs() > time.Millisecond) {
			t.Errorf("%s: got %+v", name, h.all[0])
		}
	}
}

func TestTheExampleOfTheFunctionIsReadAsTheStandInOfSESWritesIt(t *testing.T) {
	example, err := os.ReadFile("../../events/feedback.json")
	if err != nil {
		t.Fatal(err)
	}
	m := newWorld(t).returned()
	var one, other any
	decodeJSON(t, example, &one)
	decodeJSON(t, m.Bounced("Permanent"), &other)
	if got, want := names(one, ""), names(other, ""); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got the fields\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	f, matters, err := readMailEvent(example, "countersign-local")
	if err != nil || !matters || f.Complaint || f.Reference.User == "" || f.Reference.Factor == "" || f.Reference.Address == "" || f.Sent.IsZero() {
		t.Errorf("got %+v, %t, %v", f, matters, err)
	}
}

// names returns the paths of all fields of a JSON value, in the order in which JSON sorts them.
func names(in any, path string) (all []string) {
	object, ok := in.(map[string]any)
	if !ok {
		return []string{path}
	}
	encoded, _ := json.Marshal(object)
	d := json.NewDecoder(strings.NewReader(string(encoded)))
	d.Token()
	for d.More() {
		name, _ := d.Token()
		var skipped any
		d.Decode(&skipped)
		all = append(all, names(object[name.(string)], path+"."+name.(string))...)
	}
	return all
}

func TestAnEventThatCannotBeTakenFailsAndIsNotQuoted(t *testing.T) {
	w := newWorld(t)
	good := string(w.returned().Bounced("Permanent"))
	for name, payload := range map[string]string{
		"nothing":           "",
		"no JSON":           "bob@example.com",
		"another source":    strings.Replace(good, `"aws.ses"`, `"bob@example.com"`, 1),
		"no time":           strings.Replace(good, w.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "bob@example.com", 1),
		"tags that are not": strings.Replace(good, `"tags":{`, `"tags":"bob@example.com","were":{`, 1),
	} {
		var h heard
		_, err := w.open().feedback(h.build).Invoke(t.Context(), []byte(payload))
		if err == nil || len(h.all) > 0 {
			t.Errorf("%s: got %v and %+v heard, want an error", name, err, h.all)
		}
	}
	h := heard{err: errors.New("out of reach")}
	if _, err := w.open().feedback(h.build).Invoke(t.Context(), []byte(good)); err == nil || strings.Contains(err.Error(), "reach") {
		t.Errorf("got %v, want an error that says nothing", err)
	}
	if log := w.Log.String(); strings.Contains(log, "bob") || !strings.Contains(log, "out of reach") {
		t.Errorf("got the log %s", log)
	}
	w.Env["COUNTERSIGN_TABLE"] = ""
	var unheard heard
	if _, err := w.open().feedback(unheard.build).Invoke(t.Context(), []byte(good)); err == nil || len(unheard.all) > 0 {
		t.Errorf("got %v from a function without a table", err)
	}
}

func TestATagThatSESWouldRefuseIsLeftOut(t *testing.T) {
	w := newWorld(t)
	w.Env["COUNTERSIGN_TABLE"] = "with.a.dot"
	tags := w.open().FeedbackTags()(message.Reference{User: "a b", Factor: "notice"})
	if len(tags) != 1 || tags[tagFactor] != "notice" {
		t.Errorf("got %v, want the factor only", tags)
	}
}
