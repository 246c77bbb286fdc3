package functions

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"countersign/infra/emulator/template"
	"countersign/pkg/api/openapi"
	"countersign/pkg/apikey"
	"countersign/pkg/seal"
)

func TestEveryEventIsOneThatItsFunctionGets(t *testing.T) {
	_, functions := readTemplate(t)
	document, err := openapi.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range matching(t, "../events/*.json", eventName) {
		f := functions[stepOf(name)]
		if f == nil || len(f.Routes) == 0 {
			continue
		}
		var e events.APIGatewayV2HTTPRequest
		strictly(t, name, eventFile(t, name), &e)
		at := e.RequestContext.HTTP
		switch {
		case e.Version != "2.0" || e.RequestContext.Stage != "$default" || e.IsBase64Encoded:
			t.Errorf("%s: not a request in payload 2.0 as this API sends it", name)
		case !slices.Contains(f.Routes, e.RouteKey) || e.RequestContext.RouteKey != e.RouteKey:
			t.Errorf("%s: route %q, want one of %q", name, e.RouteKey, f.Routes)
		case e.RawPath != at.Path || at.Method+" "+patternOf(at.Method, at.Path) != e.RouteKey:
			t.Errorf("%s: %s %s isn't on the route %s", name, at.Method, at.Path, e.RouteKey)
		case e.Headers["content-length"] != fmt.Sprint(len(e.Body)):
			t.Errorf("%s: content-length %s, want %d", name, e.Headers["content-length"], len(e.Body))
		case e.Headers["x-forwarded-for"] != at.SourceIP:
			t.Errorf("%s: two addresses of the caller", name)
		}
		if err := document.Request(at.Method, at.Path, []byte(e.Body)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, route, _ := strings.Cut(e.RouteKey, " ")
		for parameter, value := range e.PathParameters {
			route = strings.ReplaceAll(route, "{"+parameter+"}", value)
		}
		if route != at.Path {
			t.Errorf("%s: its path parameters make %s of the route, want %s", name, route, at.Path)
		}
	}
}

func TestTheSweepsEventIsWhatTheSchedulerSends(t *testing.T) {
	var e events.EventBridgeEvent
	strictly(t, "sweep", eventFile(t, "sweep"), &e)
	if e.Source != "aws.scheduler" || e.DetailType != "Scheduled Event" || string(e.Detail) != `"{}"` || len(e.Resources) != 1 {
		t.Errorf("got %+v, want what EventBridge Scheduler sends by default", e)
	}
}

func TestThePublishEventIsABatchThatTheFilterLetsThrough(t *testing.T) {
	_, functions := readTemplate(t)
	filters, _ := template.Of(functions["publish"].Properties, "Events", "Stream", "Properties", "FilterCriteria", "Filters").([]any)
	if len(filters) != 1 {
		t.Fatalf("%d filters, want 1", len(filters))
	}
	var pattern struct {
		EventName []string `json:"eventName"`
		Dynamodb  struct {
			NewImage map[string]map[string][]map[string]bool
		} `json:"dynamodb"`
	}
	strictly(t, "the filter", []byte(fmt.Sprint(template.Of(filters[0], "Pattern"))), &pattern)
	if !slices.Equal(pattern.EventName, []string{"INSERT", "MODIFY"}) {
		t.Errorf("lets %v through, want INSERT and MODIFY", pattern.EventName)
	}
	var batch events.DynamoDBEvent
	strictly(t, "publish", eventFile(t, "publish"), &batch)
	if len(batch.Records) < 2 {
		t.Errorf("a batch of %d records", len(batch.Records))
	}
	for _, r := range batch.Records {
		if !slices.Contains(pattern.EventName, r.EventName) || r.EventSource != "aws:dynamodb" || r.Change.StreamViewType != "NEW_IMAGE" {
			t.Errorf("a record that the filter keeps back: %s of %s", r.EventName, r.EventSource)
		}
		for name, types := range pattern.Dynamodb.NewImage {
			value, there := r.Change.NewImage[name]
			if !there || value.DataType() != events.DataTypeBinary || !types["B"][0]["exists"] {
				t.Errorf("a record that the filter keeps back: %s is %v", name, value)
			}
		}
	}
}

// answersToEvents are the answers to the events, in this order, if their bearers are good.
var answersToEvents = []struct {
	event  string
	status int
	want   string // what the body contains
}{
	{"policy", http.StatusOK, `"version":1`},
	{"challenge", http.StatusCreated, `"sent":{`},
	{"account", http.StatusOK, `"email":"ana@acme.example"`},
	{"admin", http.StatusOK, `"email":"ana@acme.example"`},
	{"verify", http.StatusNotFound, "challenge_invalid"},            // no challenge can exist before the test
	{"verify-credential", http.StatusNotFound, "challenge_invalid"}, // what can't be a credential would be a bad request
	{"enrol", http.StatusCreated, `"secret":"`},
	{"recover", http.StatusNotFound, "challenge_invalid"},
	{"pages", http.StatusOK, `"keys":[`},
}

// People try a function by hand with its event, so each event has to be answered. The bearers in the files were made in no
// deployment. People put in their own, and so does this test.
func TestEveryEventIsAnsweredByItsFunction(t *testing.T) {
	_, functions := readTemplate(t)
	d := deploy(t, functions)
	tried := map[string]bool{"sweep": true, "publish": true, "feedback": true}
	for _, c := range answersToEvents {
		var response events.APIGatewayV2HTTPResponse
		d.invoke(stepOf(c.event), d.withBearer(c.event), &response)
		if response.StatusCode != c.status || !strings.Contains(response.Body, c.want) {
			t.Errorf("%s: got %d %s, want %d and %s", c.event, response.StatusCode, response.Body, c.status, c.want)
		}
		tried[c.event] = true
	}
	d.invoke("sweep", eventFile(t, "sweep"), nil)
	var said events.DynamoDBEventResponse
	d.invoke("publish", eventFile(t, "publish"), &said)
	if len(said.BatchItemFailures) > 0 {
		t.Errorf("publish gives back %v", said.BatchItemFailures)
	}
	var put []string
	for _, e := range d.account.Events() {
		put = append(put, e.DetailType)
	}
	if want := []string{"policy.changed", "challenge.verified", "browser.trusted"}; !slices.Equal(put, want) {
		t.Errorf("on the bus: got %q, want %q", put, want)
	}
	d.invoke("feedback", eventFile(t, "feedback"), nil)
	for _, name := range matching(t, "../events/*.json", eventName) {
		if !tried[name] {
			t.Errorf("%s: it isn't tried here", name)
		}
	}
}

// withBearer returns an event with a bearer of this deployment: the API key, or a token for the challenge in the
// event's path.
func (d *deployment) withBearer(name string) []byte {
	event := eventFile(d.t, name)
	var e events.APIGatewayV2HTTPRequest
	strictly(d.t, name, event, &e)
	example := strings.TrimPrefix(e.Headers["authorization"], "Bearer ")
	bearer := d.key
	if strings.HasPrefix(example, seal.ChallengeToken) {
		challenge, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(e.PathParameters["id"], "ch_"))
		if err != nil {
			d.t.Fatal(err)
		}
		filter, err := (&apikey.FilterKeeper{Store: d.store()}).Filter(d.t.Context())
		if err != nil {
			d.t.Fatal(err)
		}
		bearer = filter.NewBearer(seal.ChallengeToken, challenge).Reveal()
	}
	if example == "" {
		return event
	}
	return []byte(strings.ReplaceAll(string(event), example, bearer))
}

// eventName returns the name of an event in the folder events: the name of its function, such as verify. An event that isn't
// the only one of its function has a hyphen and a word more, such as verify-credential.
func eventName(path string) string { return strings.TrimSuffix(filepath.Base(path), ".json") }

// stepOf returns the function that gets an event.
func stepOf(name string) string {
	step, _, _ := strings.Cut(name, "-")
	return step
}

// eventFile returns an event as it is in the folder events.
func eventFile(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile("../events/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(content) {
		t.Fatalf("%s: no JSON", name)
	}
	return content
}
