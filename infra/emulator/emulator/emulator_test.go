package emulator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/infra/emulator/emulator"
	"countersign/infra/emulator/emulatortest"
	"countersign/pkg/store/dynamo"
)

func TestMain(m *testing.M) { os.Exit(emulatortest.Main(m)) }

// A world is an emulator that a test talks to over HTTP.
type world struct {
	*emulator.Emulator
	t     *testing.T
	base  string
	dir   string           // the data folder of the emulator
	admin *dynamodb.Client // the test uses the table itself through this client
	local string           // the URL of DynamoDB Local
}

func open(t *testing.T, o emulator.Options) *world {
	t.Helper()
	o.DynamoDB, o.Functions, o.Root, o.Dir = dynamolocaltest.Own(t), emulatortest.Functions(t), "../../..", t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Port = listener.Addr().(*net.TCPAddr).Port
	said := &untilTheEnd{w: t.Output()}
	t.Cleanup(said.end)
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(said, nil))
	}
	if o.Output == nil {
		o.Output = said
	}
	e, err := emulator.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	web := &httptest.Server{Listener: listener, Config: &http.Server{Handler: e, MaxHeaderBytes: 64 << 10}}
	web.Start()
	t.Cleanup(func() { web.Close(); e.Close() })
	return &world{e, t, web.URL, o.Dir, dynamo.LocalClient(o.DynamoDB), o.DynamoDB}
}

// untilTheEnd writes to the output of a test until the test has ended, because afterwards that would be a panic.
type untilTheEnd struct {
	mu sync.Mutex
	w  io.Writer
}

func (u *untilTheEnd) Write(text []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.w.Write(text)
}

func (u *untilTheEnd) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.w = io.Discard
}

type doc = map[string]any

type answer struct {
	status int
	header http.Header
	raw    string
	doc
}

func (a answer) text(path ...string) string {
	var v any = a.doc
	for _, name := range path {
		m, _ := v.(doc)
		v = m[name]
	}
	s, _ := v.(string)
	return s
}

func (a answer) want(t *testing.T, status int, part string) answer {
	t.Helper()
	if a.status != status || !strings.Contains(a.raw, part) {
		t.Fatalf("got %d %s, want %d with %q", a.status, a.raw, status, part)
	}
	return a
}

// call makes a request. headers are names, each followed by its value.
func (w *world) call(method, path string, body any, headers ...string) answer {
	w.t.Helper()
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		sent = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, w.base+path, sent)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.APIKey().Reveal())
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, raw: string(raw)}
	json.Unmarshal(raw, &a.doc)
	return a
}

func (w *world) policy(t *testing.T) {
	t.Helper()
	w.call("PUT", "/v1/orgs/acme/policy", doc{"profile": "kls", "acknowledge": true}, "If-Match", `"0"`).want(t, 200, "")
}

func (w *world) start(t *testing.T, user string) string {
	t.Helper()
	a := w.call("POST", "/v1/challenges", doc{"org": "acme", "user": doc{"id": user, "email": user + "@acme.example"}})
	return a.want(t, 201, `"sent":{`).text("challenge", "id")
}

func (w *world) code(t *testing.T, user string) string {
	t.Helper()
	a := w.call("GET", "/local/outbox?to="+url.QueryEscape(user+"@acme.example"), nil).want(t, 200, "")
	messages, _ := a.doc["messages"].([]any)
	if len(messages) == 0 {
		t.Fatalf("nothing went to %s", user)
	}
	code, _ := messages[len(messages)-1].(doc)["code"].(string)
	return code
}

func (w *world) verify(id, code string) answer {
	w.t.Helper()
	return w.call("POST", "/v1/challenges/"+id+"/verify", doc{"code": code, "trust": doc{"name": "Firefox"}})
}

// wrong returns a code that differs from code.
func wrong(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

// events returns how many events of a type about a user the bus has got.
func (w *world) events(t *testing.T, user, kind string) (n int) {
	t.Helper()
	all, _ := w.call("GET", "/local/events", nil).want(t, 200, "").doc["events"].([]any)
	for _, e := range all {
		if e.(doc)["user"] == user && e.(doc)["type"] == kind {
			n++
		}
	}
	return n
}

// runtimes returns the Runtime APIs behind which functions can run on this machine.
func runtimes() map[string]string {
	all := map[string]string{"own": ""}
	if rie := emulator.FindRIE(); rie != "" {
		all["rie"] = rie
	}
	return all
}

func TestK1ANewBrowserIsAskedAndATrustedOneIsNot(t *testing.T) {
	for name, rie := range runtimes() {
		t.Run(name, func(t *testing.T) {
			w := open(t, emulator.Options{RIE: rie})
			w.policy(t)
			id := w.start(t, "ana")
			code := w.code(t, "ana")
			w.verify(id, wrong(code)).want(t, 422, "wrong_code")
			token := w.verify(id, code).want(t, 200, "trust_token").text("trust_token")
			w.verify(id, code).want(t, 404, "challenge_invalid")
			again := w.call("POST", "/v1/challenges", doc{"org": "acme", "user": doc{"id": "ana", "email": "ana@acme.example"}, "trust_token": token})
			again.want(t, 200, "trusted_browser")
			if n := w.events(t, "ana", "challenge.verified"); n != 1 {
				t.Errorf("challenge.verified: %d times on the bus, want once", n)
			}

			w.call("POST", "/local/clock", doc{"advance_s": 31 * 24 * 3600}).want(t, 200, "")
			again = w.call("POST", "/v1/challenges", doc{"org": "acme", "user": doc{"id": "ana", "email": "ana@acme.example"}, "trust_token": token})
			again.want(t, 201, "trust_expired")
			w.call("POST", "/local/sweep", nil).want(t, 200, `"announced":1`)
			w.call("GET", "/health", nil).want(t, 200, "")
			w.call("GET", "/.well-known/jwks.json", nil).want(t, 200, "keys")
			for path, want := range map[string]int{"/health": 200, "/v1/challenges/" + id: 404, "/v1/orgs/acme/users/ana": 200, "/v1/orgs/acme/users/nobody": 404, "/problems/busy": 200} {
				get, head := w.call("GET", path, nil), w.call("HEAD", path, nil)
				if head.status != want || head.raw != "" || head.header.Get("Content-Type") != get.header.Get("Content-Type") || get.raw == "" {
					t.Errorf("HEAD %s: got %d %v %q, want what GET has and no body", path, head.status, head.header, head.raw)
				}
			}
		})
	}
}

// The bearers in the event files were made in no deployment, so the functions that need a bearer answer 401.
func TestEveryBootstrapAnswersItsEventUnderTheRealInterfaceEmulator(t *testing.T) {
	rie := emulator.FindRIE()
	if rie == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("There is no aws-lambda-rie, which infra/test installs before its step template.")
		}
		t.Skip("There is no aws-lambda-rie. Run ./infra/test once, which installs it.")
	}
	w := open(t, emulator.Options{RIE: rie})
	want := map[string]string{
		"pages": `"statusCode":200`, "publish": `{"batchItemFailures":[]}`, "sweep": "", "feedback": "null",
		"challenge": `"statusCode":401`, "verify": `"statusCode":401`, "enrol": `"statusCode":401`,
		"recover": `"statusCode":401`, "account": `"statusCode":401`, "policy": `"statusCode":401`,
		"admin": `"statusCode":401`,
	}
	for _, step := range w.Steps() {
		event, err := os.ReadFile("../../../events/" + step + ".json")
		if err != nil {
			t.Fatal(err)
		}
		answer, err := w.Invoke(t.Context(), step, event)
		part, known := want[step]
		if err != nil || !known || !strings.Contains(string(answer), part) {
			t.Errorf("%s: got %s, %v, want %q", step, answer, err, part)
		}
	}
}

func TestAProcessKilledAtAnyMomentIsFollowedByOneThatTellsTheTruth(t *testing.T) {
	w := open(t, emulator.Options{})
	w.policy(t)
	for i, moment := range []emulator.Moment{emulator.BeforeCommit, emulator.AfterCommit, emulator.BeforeAnswer} {
		user := fmt.Sprintf("u-%d", i)
		id := w.start(t, user)
		code := w.code(t, user)
		w.KillAt("verify", moment)
		w.verify(id, code).want(t, 500, "Internal Server Error")
		if moment == emulator.BeforeCommit {
			w.verify(id, code).want(t, 200, "trust_token")
		} else {
			w.verify(id, code).want(t, 404, "challenge_invalid")
			a := w.call("GET", "/v1/challenges/"+id, nil).want(t, 200, `"verified"`)
			if a.text("outcome", "trust_token") == "" {
				t.Errorf("killed %s: the outcome has no trust token: %s", moment, a.raw)
			}
		}
		if n := w.events(t, user, "challenge.verified"); n != 1 {
			t.Errorf("killed %s: challenge.verified %d times on the bus, want once", moment, n)
		}
	}
}

func TestAStartOrSendThatWasKilledIsTriedAgainAndLetsIn(t *testing.T) {
	w := open(t, emulator.Options{})
	w.policy(t)
	for i, moment := range []emulator.Moment{emulator.BeforeCommit, emulator.AfterCommit, emulator.BeforeAnswer} {
		user := fmt.Sprintf("u-%d", i)
		start := func() answer {
			body := doc{"org": "acme", "user": doc{"id": user, "email": user + "@acme.example"}}
			return w.call("POST", "/v1/challenges", body, "Idempotency-Key", user)
		}
		w.KillAt("challenge", moment)
		start().want(t, 500, "Internal Server Error")
		id := start().want(t, 201, `"challenge"`).text("challenge", "id")
		if n := w.events(t, user, "challenge.started"); n != 1 {
			t.Errorf("start killed %s: begun %d times, want once", moment, n)
		}
		send := func() answer { return w.call("POST", "/v1/challenges/"+id+"/send", doc{}, "Idempotency-Key", user) }
		w.call("POST", "/local/clock", doc{"advance_s": 31}).want(t, 200, "")
		w.KillAt("challenge", moment)
		send().want(t, 500, "Internal Server Error")
		if moment != emulator.AfterCommit {
			send().want(t, 200, `"sequence":"B"`)
		} else { // the process died between the commit and the mail, so the answer doesn't say that the code was sent, and the user asks again
			send().want(t, 200, `"send_error":"delivery_unknown"`)
			w.call("POST", "/local/clock", doc{"advance_s": 31}).want(t, 200, "")
			w.call("POST", "/v1/challenges/"+id+"/send", doc{}).want(t, 200, `"sequence":"C"`)
		}
		w.verify(id, w.code(t, user)).want(t, 200, `"verified":true`)
	}
}

func TestAnAccountOrPolicyCallThatWasKilledIsToldTheTruth(t *testing.T) {
	w := open(t, emulator.Options{})
	for i, moment := range []emulator.Moment{emulator.BeforeCommit, emulator.AfterCommit, emulator.BeforeAnswer} {
		user := fmt.Sprintf("/v1/orgs/acme/users/u-%d", i)
		put := func() answer { return w.call("PUT", user, doc{"name": "Ana"}) }
		w.KillAt("account", moment)
		put().want(t, 500, "Internal Server Error")
		put().want(t, 200, `"name":"Ana"`)
		w.KillAt("account", moment)
		w.call("DELETE", user, nil).want(t, 500, "Internal Server Error")
		w.call("DELETE", user, nil).want(t, 204, "")
		w.call("GET", user, nil).want(t, 404, "not_found")

		policy := fmt.Sprintf("/v1/orgs/org-%d/policy", i)
		change := func() answer { return w.call("PUT", policy, doc{"profile": "kls"}, "If-Match", `"0"`) }
		w.KillAt("policy", moment)
		change().want(t, 500, "Internal Server Error")
		if moment == emulator.BeforeCommit {
			change().want(t, 200, `"version":1`)
		} else {
			change().want(t, 412, "version_mismatch")
		}
		w.call("GET", policy, nil).want(t, 200, `"version":1`)
	}
}

func TestAKilledPublishLosesNoEvent(t *testing.T) {
	w := open(t, emulator.Options{})
	w.policy(t)
	w.KillAt("publish", emulator.BeforeAnswer)
	id := w.start(t, "ana")
	w.verify(id, w.code(t, "ana")).want(t, 200, "")
	if n := w.events(t, "ana", "challenge.verified"); n < 1 {
		t.Error("challenge.verified is not on the bus")
	}
}

func TestSixtyFourRightCodesAtOnceAreOneSuccess(t *testing.T) {
	w := open(t, emulator.Options{Processes: 4})
	w.policy(t)
	id := w.start(t, "ana")
	code := w.code(t, "ana")
	statuses := make([]int, 64)
	var all sync.WaitGroup
	for i := range statuses {
		all.Go(func() { statuses[i] = w.verify(id, code).status })
	}
	all.Wait()
	count := map[int]int{}
	for _, s := range statuses {
		count[s]++
	}
	if count[200] != 1 || count[500]+count[503] > 0 {
		t.Errorf("statuses: %v, want 200 once and no failure", count)
	}
}

func (w *world) fault(t *testing.T, target, mode string, count int) {
	t.Helper()
	w.call("POST", "/local/faults", doc{"target": target, "mode": mode, "count": count}).want(t, 200, target)
}

func TestFaultsBefallWholeCalls(t *testing.T) {
	w := open(t, emulator.Options{})
	w.policy(t)
	id := w.start(t, "ana")
	code := w.code(t, "ana")
	w.fault(t, "store", "fail", 1)
	w.verify(id, code).want(t, 503, "unavailable")
	w.verify(id, wrong(code)).want(t, 422, "wrong_code")
	w.fault(t, "store", "fail", 1000)
	w.verify(id, code).want(t, 503, "unavailable")
	w.fault(t, "store", "fail", 0)
	w.fault(t, "keys", "fail", 1000)
	w.verify(id, code).want(t, 503, "unavailable")
	w.fault(t, "keys", "fail", 0)
	w.fault(t, "store", "lost_reply", 1)
	w.verify(id, code).want(t, 200, "trust_token")
	w.fault(t, "email", "fail", 1)
	a := w.call("POST", "/v1/challenges", doc{"org": "acme", "user": doc{"id": "ben", "email": "ben@acme.example"}})
	a.want(t, 201, "delivery_failed")
}

func TestEventsThatTheBusRefusedComeAgain(t *testing.T) {
	w := open(t, emulator.Options{})
	w.policy(t)
	w.events(t, "ana", "")
	w.fault(t, "events", "fail", 1000)
	w.start(t, "ana")
	w.call("GET", "/local/events", nil).want(t, 503, "unavailable")
	w.fault(t, "events", "fail", 0)
	for _, kind := range []string{"challenge.started", "challenge.sent"} {
		if n := w.events(t, "ana", kind); n != 1 {
			t.Errorf("%s: %d times on the bus, want once", kind, n)
		}
	}
	w.fault(t, "events", "lost_reply", 1)
	w.start(t, "ben")
	if n := w.events(t, "ben", "challenge.started"); n < 1 {
		t.Error("challenge.started is not on the bus")
	}
	if left := w.bucket(t, "PublishFailures"); len(left) > 0 {
		t.Errorf("given up: %+v", left)
	}
}

func TestTheFrontHasAPIGatewaysLimits(t *testing.T) {
	w := open(t, emulator.Options{})
	w.call("GET", "/nowhere", nil).want(t, 404, `{"message":"Not Found"}`)
	w.call("DELETE", "/health", nil).want(t, 404, `{"message":"Not Found"}`)
	w.call("GET", "/health", nil, "X-Long", strings.Repeat("a", 10240)).want(t, 431, `{"message":`)
	w.call("POST", "/v1/decisions", strings.Repeat("a", 10<<20)).want(t, 413, `{"message":"Request Entity Too Large"}`)
	w.call("GET", "/problems/busy", nil).want(t, 200, "")
	w.call("HEAD", "/v1/decisions", nil).want(t, 404, "")
}

func TestPreflightsCostNoInvocation(t *testing.T) {
	const app = "https://app.example"
	w := open(t, emulator.Options{BrowserOrigins: []string{app}})
	path := "/v1/orgs/acme/policy"
	preflight := w.call("OPTIONS", path, nil, "Origin", app, "Access-Control-Request-Method", "GET")
	if h := preflight.header; preflight.status != 204 || h.Get("Access-Control-Allow-Origin") != app || h.Get("Access-Control-Max-Age") != "7200" || h.Get("Apigw-Requestid") != "" {
		t.Errorf("the preflight: got %d %v, want it answered before any route", preflight.status, h)
	}
	if h := w.call("OPTIONS", path, nil, "Origin", "https://evil.example", "Access-Control-Request-Method", "GET").header; h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin: got %v", h)
	}
	call := w.call("GET", path, nil, "Origin", app).want(t, 200, "version")
	if h := call.header; h.Get("Access-Control-Allow-Origin") != app || h.Get("Access-Control-Expose-Headers") != "x-request-id,retry-after,etag" {
		t.Errorf("the call: got %v", h)
	}
}

func TestABodyThatIsNotUTF8IsRefusedAsOnTheLocalServer(t *testing.T) {
	w := open(t, emulator.Options{})
	for id, want := range map[string]int{"ana\xff": 400, "\xffana\xfe": 400, "ana\uFFFD": 200, "é": 200} {
		r, err := http.NewRequest("POST", w.base+"/v1/decisions", strings.NewReader(`{"org":"acme","user":{"id":"`+id+`"}}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+w.APIKey().Reveal())
		r.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%q: got %d, want %d", id, res.StatusCode, want)
		}
	}
}

func TestItListensOnThisMachineOnly(t *testing.T) {
	var errs bytes.Buffer
	if code := emulator.Command().Run(t.Context(), []string{"-addr", "0.0.0.0:0"}, io.Discard, &errs); code != 1 {
		t.Errorf("exit code %d, want 1: %s", code, errs.String())
	}
	w := open(t, emulator.Options{})
	r, _ := http.NewRequest("GET", w.base+"/local/outbox", nil)
	r.Host = "rebound.example"
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("to another host: got %d, want 403", res.StatusCode)
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	w := open(t, emulator.Options{})
	w.policy(t)
	began := time.Now()
	w.Close()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}
