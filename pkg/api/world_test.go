package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/pkg/api"
	"countersign/pkg/api/openapi"
	"countersign/pkg/apikey"
	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/bolt"
	"countersign/pkg/store/storetest"
)

// A world is the whole service behind its HTTP handler. Every answer is checked against the OpenAPI document.
type world struct {
	t       testing.TB
	clock   *storetest.Clock
	service *mfa.Service
	feed    store.Feed // set only in a world that newWorld has made
	door    http.Handler
	mail    *postbox
	log     *bytes.Buffer
	key     string // an API key with every scope
	healthy func(context.Context) error
	check   *openapi.Validator
}

// document reads the document once, for all tests.
var document = sync.OnceValues(openapi.New)

func newWorld(t testing.TB) *world {
	t.Helper()
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	db, err := bolt.Open(filepath.Join(t.TempDir(), "store"), bolt.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	w := newWorldOver(t, clock, db)
	w.feed = db
	return w
}

func newWorldOver(t testing.TB, clock *storetest.Clock, db store.Store) *world {
	t.Helper()
	check, err := document()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.OpenFile(filepath.Join(t.TempDir(), "keys"), seal.FileOptions{Now: clock.Now, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, clock: clock, mail: &postbox{}, log: &bytes.Buffer{}, check: check}
	w.service = &mfa.Service{Store: db, Keys: keys, Filter: &apikey.FilterKeeper{Store: db}, Mail: w.mail, Now: clock.Now, Issuer: "http://localhost:8080"}
	w.door = api.New(api.Options{Now: clock.Now, Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))},
		api.Challenge(w.service), api.Verify(w.service), api.Enrol(w.service), api.Recover(w.service), api.Account(w.service), api.Policy(w.service), api.Admin(w.service),
		api.Pages(func(ctx context.Context) ([]byte, error) {
			if w.healthy != nil {
				return nil, w.healthy(ctx)
			}
			return mfa.PublishedKeys(ctx, db)
		}, "https://acme.example", "https://acme.co.example"))
	w.publish()
	w.key = w.newKey(apikey.Scopes(), "")
	return w
}

// publish writes the public keys to where the handler reads them.
func (w *world) publish() {
	w.t.Helper()
	ring, err := w.service.Keys.Ring(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	write, err := mfa.PublishKeys(ring, "")
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.service.Store.Commit(context.Background(), store.NewVersion(), write); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) newKey(scopes []apikey.Scope, org string) string {
	w.t.Helper()
	return w.make(apikey.Grant{Client: "portal", Scopes: scopes, Org: org, Origins: []string{"https://app.example"}})
}

// keyOf makes an API key of another client. The key has every scope.
func (w *world) keyOf(client string) string {
	w.t.Helper()
	return w.make(apikey.Grant{Client: client, Scopes: apikey.Scopes()})
}

func (w *world) make(k apikey.Grant) string {
	w.t.Helper()
	key, err := (&apikey.Registry{Store: w.service.Store, Now: w.service.Now}).Create(context.Background(), k)
	if err != nil {
		w.t.Fatal(err)
	}
	return key.Reveal()
}

// A postbox is a provider that takes every message, or none.
type postbox struct {
	mu     sync.Mutex
	broken bool
	codes  []string
}

func (p *postbox) SendMail(_ context.Context, m message.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken {
		return errors.New("the provider is down")
	}
	p.codes = append(p.codes, m.Code.Reveal())
	return nil
}

func (p *postbox) last() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.codes[len(p.codes)-1]
}

// A reply is an answer as it was received.
type reply struct {
	status int
	header http.Header
	text   string
	body   map[string]any // read from JSON
}

// An alteration changes a request before it is sent.
type alteration func(*http.Request)

func with(name, value string) alteration {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func without(name string) alteration {
	return func(r *http.Request) { r.Header.Del(name) }
}

func as(bearer string) alteration { return with("Authorization", "Bearer "+bearer) }

// do sends a request as a correct client would send it, after it has made the alterations.
func (w *world) do(method, target, body string, alterations ...alteration) reply {
	w.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+w.key)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/import") {
			r.Header.Set("Content-Type", "application/x-ndjson")
		}
	}
	for _, alter := range alterations {
		alter(r)
	}
	recorder := httptest.NewRecorder()
	w.door.ServeHTTP(recorder, r)
	got := reply{status: recorder.Code, header: recorder.Result().Header, text: recorder.Body.String()}
	if err := w.check.Response(r.Method, r.URL.Path, got.status, got.header, []byte(got.text)); err != nil {
		w.t.Errorf("the answer isn't as documented: %v\n%s", err, got.text)
	}
	if kind := strings.Split(got.header.Get("Content-Type"), ";")[0]; strings.HasSuffix(kind, "json") && kind != "application/x-ndjson" {
		if err := json.Unmarshal([]byte(got.text), &got.body); err != nil && method != "HEAD" {
			w.t.Fatalf("the answer %q: %v", got.text, err)
		}
	}
	return got
}

// at returns a field of an answer, which is given by its dotted path.
func (r reply) at(path string) any {
	var here any = r.body
	for name := range strings.SplitSeq(path, ".") {
		within, _ := here.(map[string]any)
		here = within[name]
	}
	return here
}

func (r reply) word(path string) string {
	s, _ := r.at(path).(string)
	return s
}

// refused reports an error unless the answer is a problem with that code, about that param.
func (w *world) refused(what string, got reply, status int, code mfa.ErrorCode, param string) {
	w.t.Helper()
	if got.status != status || got.at("code") != string(code) || got.word("param") != param {
		w.t.Errorf("%s: got %d %v about %q, want %d %s about %q\n%s",
			what, got.status, got.at("code"), got.word("param"), status, code, param, got.text)
	}
}

func (w *world) wants(what string, got reply, status int) reply {
	w.t.Helper()
	if got.status != status {
		w.t.Fatalf("%s: got %d %s, want %d", what, got.status, got.text, status)
	}
	return got
}

// asks gives the org acme a policy by which every user has to answer a code by email.
func (w *world) asks() {
	w.t.Helper()
	w.wants("the policy", w.do("PUT", "/v1/orgs/acme/policy", `{"profile":"kls","acknowledge":true}`, with("If-Match", `"0"`)), 200)
}

const ana = `{"org":"acme","user":{"id":"u-17","email":"ana@acme.example"}}`

// start begins a challenge for Ana.
func (w *world) start() reply {
	w.t.Helper()
	return w.wants("start", w.do("POST", "/v1/challenges", ana), 201)
}
