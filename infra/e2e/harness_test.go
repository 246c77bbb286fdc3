package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/infra/emulator/emulator"
	"countersign/infra/emulator/emulatortest"
	"countersign/infra/local/machine"
	"countersign/infra/local/server"
	"countersign/pkg/api/openapi"
	"countersign/pkg/store/dynamo"
	"countersign/pkg/store/dynamo/stream"
)

// A world is a server that a story calls.
type world struct {
	base     string
	key      string
	http     *http.Client
	patient  bool     // whether races make a call again that was not answered in time
	on       *tenancy // what the stories on a target have for themselves; nil elsewhere
	document *openapi.Validator
	log      *lockedBuffer // everything that the server has logged, which is searched for secrets

	seen   *ledger
	stored func(*testing.T) string // returns everything in the store; nil if the store is not searched
}

// everywhere runs a story in each kind of world. If a target is to be tried, it runs the story there instead.
func everywhere(t *testing.T, story func(t *testing.T, w *world)) {
	if at := targetNow(); at != nil {
		t.Run(targetWorld, func(t *testing.T) { story(t, at.world(t)) }) // one after the other: stories share the target's clock
		return
	}
	t.Parallel()
	for _, kind := range []string{"bolt", "dynamo", "emulator"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			story(t, worldOn(t, kind))
		})
	}
}

// worldOn makes a world of a kind: the local server with its file or with DynamoDB Local, or the built functions.
func worldOn(t *testing.T, kind string) *world {
	t.Helper()
	switch kind {
	case "dynamo":
		table, backend := dynamoBackend(t)
		return open(t, table, backend)
	case "emulator":
		return emulated(t)
	}
	return open(t, "", nil)
}

var document = sync.OnceValues(openapi.New)

func open(t *testing.T, table string, backend func(func() time.Time) (server.Backend, error)) *world {
	t.Helper()
	dir := t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	s, err := server.Open(server.Options{
		Dir: dir, Port: portOf(listener), Backend: backend, BrowserOrigins: browserOrigins(portOf(listener)),
		Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	web := &httptest.Server{Listener: listener, Config: &http.Server{Handler: s}}
	web.Start()
	t.Cleanup(func() {
		web.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w := newWorld(t, web.URL, s.APIKey().Reveal(), log)
	if w.stored = filesOf(dir); table != "" {
		w.stored = itemsOf(dynamolocaltest.Own(t), table)
	}
	t.Cleanup(func() { w.search(t) })
	return w
}

func newWorld(t *testing.T, base, key string, log *lockedBuffer) *world {
	t.Helper()
	validator, err := document()
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 4 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	t.Cleanup(client.CloseIdleConnections)
	return &world{base: base, key: key, http: client, document: validator, log: log, seen: &ledger{shown: map[string]secret{}}}
}

// emulated makes a world of the built functions, each in processes of its own, behind an emulated API Gateway.
func emulated(t *testing.T) *world {
	t.Helper()
	endpoint := dynamolocaltest.Own(t)
	dir := emulatortest.Functions(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	e, err := emulator.Open(t.Context(), emulator.Options{
		Dir: t.TempDir(), Port: portOf(listener), Root: "../..", Functions: dir, DynamoDB: endpoint, BrowserOrigins: browserOrigins(portOf(listener)),
		Output: log, Log: slog.New(slog.NewTextHandler(log, nil)),
		Wait: time.Minute, // a race of 64 calls on a slow machine takes longer than the template's wait
	})
	if err != nil {
		t.Fatal(err)
	}
	web := &httptest.Server{Listener: listener, Config: &http.Server{Handler: e}}
	web.Start()
	t.Cleanup(func() {
		web.Close()
		e.Close()
	})
	w := newWorld(t, web.URL, e.APIKey().Reveal(), log)
	w.patient = true
	w.stored = itemsOf(endpoint, e.Table())
	t.Cleanup(func() { w.search(t) })
	return w
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// browserOrigins returns the origins whose pages may call a world's API from a browser: that of its own client, and one that no
// client has registered.
func browserOrigins(port int) []string { return []string{machine.Origins(port)[0], unregistered} }

const unregistered = "https://unregistered.localhost"

// dynamoBackend returns the name of a new table, and a function that makes it in DynamoDB Local.
func dynamoBackend(t *testing.T) (table string, backend func(func() time.Time) (server.Backend, error)) {
	endpoint := dynamolocaltest.Own(t)
	table = fmt.Sprintf("e2e-%d-%d", os.Getpid(), tables.next())
	return table, func(now func() time.Time) (server.Backend, error) {
		client := dynamo.LocalClient(endpoint)
		if err := dynamo.CreateTable(t.Context(), client, table); err != nil {
			return server.Backend{}, err
		}
		return server.Backend{
			Store: dynamo.New(dynamo.Options{Client: client, Table: table, Now: now}),
			Feed:  stream.New(stream.Options{Client: stream.LocalClient(endpoint), Table: table}),
		}, nil
	}
}

type sequence struct {
	mu sync.Mutex
	n  int
}

func (s *sequence) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return s.n
}

var tables sequence

// A doc is a JSON object of a request or an answer.
type doc map[string]any

// at returns the value at a path of names. It is nil if there is none.
func (d doc) at(path ...string) any {
	var v any = map[string]any(d)
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

func (d doc) text(path ...string) string { s, _ := d.at(path...).(string); return s }

func (d doc) number(path ...string) int { n, _ := d.at(path...).(float64); return int(n) }

func (d doc) list(path ...string) []any { l, _ := d.at(path...).([]any); return l }

func (d doc) time(t *testing.T, path ...string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, d.text(path...))
	if err != nil {
		t.Fatalf("%v is not a time: %v", path, err)
	}
	return at
}

// An answer is the response to a call.
type answer struct {
	status int
	header http.Header
	raw    []byte
	doc
}

// A call is a request. If bearer is empty, the API key is sent.
type call struct {
	method, path string
	bearer       string
	body         any // a string or []byte is sent as it is, anything else as JSON; nil if there is no body
	header       map[string]string
}

func (w *world) do(t *testing.T, c call) answer {
	t.Helper()
	w.on.needs(t, c)
	a, err := w.try(c)
	if err != nil {
		t.Fatalf("%s %s: %v", c.method, c.path, err)
	}
	return a
}

// try makes a call as do does, for goroutines that must not end the test.
func (w *world) try(c call) (answer, error) {
	c = w.on.sent(c)
	var body io.Reader
	switch b := c.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	case []byte:
		body = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return answer{}, err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequest(c.method, w.base+c.path, body)
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Authorization", "Bearer "+cmp.Or(c.bearer, w.key))
	for name, value := range c.header {
		if value == "" {
			request.Header.Del(name)
		} else {
			request.Header.Set(name, value)
		}
	}
	response, err := w.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	raw = w.on.received(raw)
	a := answer{status: response.StatusCode, header: response.Header, raw: raw}
	if kind := response.Header.Get("Content-Type"); len(raw) > 0 && strings.Contains(kind, "json") && kind != "application/x-ndjson" {
		if err := json.Unmarshal(raw, &a.doc); err != nil {
			return answer{}, fmt.Errorf("answer %q: %w", raw, err)
		}
	}
	if !strings.HasPrefix(c.path, "/local/") {
		w.seen.note(c, a)
		path, _, _ := strings.Cut(c.path, "?")
		if strings.HasPrefix(path, "/pages/") { // the document is about the API, and not about the pages that use it
			return a, nil
		}
		if err := w.document.Response(c.method, path, a.status, response.Header, raw); err != nil {
			return answer{}, fmt.Errorf("answer %d %s breaks the OpenAPI document: %w", a.status, raw, err)
		}
		kept := path == "/.well-known/jwks.json" && a.status == http.StatusOK // a cache may keep the public keys, and nothing else
		if stored := response.Header.Get("Cache-Control"); response.Header.Get("X-Request-Id") == "" || kept != (stored != "no-store") {
			return answer{}, fmt.Errorf("answer without request id, or that a cache may keep: %v", response.Header)
		}
	}
	return a, nil
}

// want fails the test unless the answer has this status and, for a problem, this code.
func (a answer) want(t *testing.T, status int, code string) answer {
	t.Helper()
	if a.status != status || code != "" && a.text("code") != code {
		t.Fatalf("got %d %s, want %d %s", a.status, a.raw, status, code)
	}
	return a
}

// policy puts the policy of an org. The settings can name a profile, and change some of its settings.
func (w *world) policy(t *testing.T, org string, settings doc) answer {
	t.Helper()
	path := "/v1/orgs/" + org + "/policy"
	now := w.do(t, call{method: "GET", path: path}).want(t, 200, "")
	body := doc{"acknowledge": true}
	for name, value := range settings {
		body[name] = value
	}
	return w.do(t, call{method: "PUT", path: path, body: body, header: map[string]string{"If-Match": now.header.Get("ETag")}}).want(t, 200, "")
}

// A person is a user who signs in.
type person struct{ org, id, email string }

var ana = person{"acme", "u-17", "ana@acme.example"}

// signIn returns the body of a start. The fields of more replace its fields.
func (p person) signIn(more doc) doc {
	body := doc{"org": p.org, "user": doc{"id": p.id, "email": p.email, "name": "Ana"}}
	for name, value := range more {
		body[name] = value
	}
	return body
}

func (w *world) start(t *testing.T, p person, more doc) answer {
	t.Helper()
	return w.do(t, call{method: "POST", path: "/v1/challenges", body: p.signIn(more)})
}

// asked starts a sign-in, and fails the test unless the answer is a challenge.
func (w *world) asked(t *testing.T, p person, more doc) answer {
	t.Helper()
	return w.start(t, p, more).want(t, 201, "")
}

func (w *world) verify(t *testing.T, id string, body doc) answer {
	t.Helper()
	return w.do(t, call{method: "POST", path: "/v1/challenges/" + id + "/verify", body: body})
}

// trusted signs a person in from a new browser, which is trusted then, and returns its trust token.
func (w *world) trusted(t *testing.T, p person) string {
	t.Helper()
	id := w.asked(t, p, nil).text("challenge", "id")
	a := w.verify(t, id, doc{"code": w.code(t, p.email), "trust": doc{"name": "Firefox"}}).want(t, 200, "")
	if a.text("trust_token") == "" {
		t.Fatalf("no trust token in %s", a.raw)
	}
	return a.text("trust_token")
}

// messages returns the messages to an address or a number, or to everybody if to is empty. The oldest comes first.
func (w *world) messages(t *testing.T, to string) []doc {
	t.Helper()
	path := "/local/outbox"
	if to != "" {
		path += "?to=" + url.QueryEscape(to)
	}
	a := w.do(t, call{method: "GET", path: path}).want(t, 200, "")
	var messages []doc
	for _, m := range a.list("messages") {
		messages = append(messages, m.(map[string]any))
	}
	return messages
}

// code returns the code that was sent to an address last.
func (w *world) code(t *testing.T, to string) string {
	t.Helper()
	messages := w.messages(t, to)
	for i := len(messages) - 1; i >= 0; i-- {
		if code := messages[i].text("code"); code != "" {
			return code
		}
	}
	t.Fatalf("no code went to %s", to)
	return ""
}

func (w *world) advance(t *testing.T, d time.Duration) {
	t.Helper()
	w.do(t, call{method: "POST", path: "/local/clock", body: doc{"advance_s": int(d / time.Second)}}).want(t, 200, "")
}

// now returns the time by the clock of the server.
func (w *world) now(t *testing.T) time.Time {
	t.Helper()
	if w.on.remote() {
		return time.Now()
	}
	return w.do(t, call{method: "GET", path: "/local/clock"}).want(t, 200, "").time(t, "now")
}

func (w *world) fault(t *testing.T, target, mode string, count int) {
	t.Helper()
	a := w.do(t, call{method: "POST", path: "/local/faults", body: doc{"target": target, "mode": mode, "count": count}})
	if a.status/100 != 2 {
		t.Fatalf("fault: got %d %s", a.status, a.raw)
	}
}

// events returns the events of a type about a user that the bus has got.
func (w *world) events(t *testing.T, user, kind string) []doc {
	t.Helper()
	a := w.do(t, call{method: "GET", path: "/local/events"}).want(t, 200, "")
	var events []doc
	for _, e := range a.list("events") {
		if event := doc(e.(map[string]any)); event.text("user") == user && event.text("type") == kind && w.on.owns(event.text("org")) {
			events = append(events, event)
		}
	}
	return events
}

// wrong returns a code that differs from code.
func wrong(code string) string {
	n, _ := strconv.Atoi(code)
	return fmt.Sprintf("%06d", (n+1)%1_000_000)
}

// A lockedBuffer is a log that several goroutines can write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
