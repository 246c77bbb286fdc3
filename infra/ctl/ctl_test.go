package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/infra/local/server"
	"countersign/infra/local/shell"
	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/bolt"
	"countersign/pkg/store/dynamo"
)

var someday = time.Date(2026, 11, 22, 10, 20, 0, 0, time.UTC)

const sessionToken = "FwoGZXIvYXdzEXAMPLE"

// An operator runs the command, and keeps what it printed.
type operator struct {
	env    map[string]string
	now    func() time.Time
	amazon *http.Client
	out    io.Writer // takes the standard output; if it is nil, said takes it
	said   string    // on standard output
	told   string    // on standard error

	lookUpTXT func(ctx context.Context, name string) ([]string, error)
}

func newOperator() *operator {
	return &operator{now: func() time.Time { return someday }, env: map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrEXAMPLE", "AWS_SESSION_TOKEN": sessionToken,
	}}
}

func (o *operator) run(t *testing.T, args ...string) int {
	t.Helper()
	var out, errs bytes.Buffer
	p := &program{out: &out, errs: &errs, environment: func(name string) string { return o.env[name] }, now: o.now, amazon: o.amazon, lookUpTXT: o.lookUpTXT}
	if o.out != nil {
		p.out = o.out
	}
	code := p.run(t.Context(), args)
	o.said, o.told = out.String(), errs.String()
	for _, secret := range []string{sessionToken, o.env["AWS_SECRET_ACCESS_KEY"]} {
		if secret != "" && strings.Contains(o.said+o.told, secret) {
			t.Error("the command shows a credential")
		}
	}
	return code
}

// must runs the command, and fails the test if the command fails.
func (o *operator) must(t *testing.T, args ...string) {
	t.Helper()
	if code := o.run(t, args...); code != 0 {
		t.Fatalf("%q: got exit code %d, want 0\n%s%s", args, code, o.said, o.told)
	}
}

// A ground is a place that the command can work on.
type ground struct {
	flags []string
	// with calls do with the store of the place, while the command isn't running.
	with func(t *testing.T, do func(store.Store))
}

func grounds(t *testing.T) map[string]func(*testing.T, *operator) ground {
	return map[string]func(*testing.T, *operator) ground{
		"a local server's folder": func(t *testing.T, o *operator) ground {
			dir := newFolder(t)
			return ground{[]string{"--local", dir}, func(t *testing.T, do func(store.Store)) {
				db, err := bolt.Open(filepath.Join(dir, "countersign.db"), bolt.Options{Now: o.now})
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				do(db)
			}}
		},
		"a DynamoDB Local": func(t *testing.T, o *operator) ground {
			endpoint := dynamolocaltest.Endpoint(t)
			name := newTable(t, endpoint)
			return ground{[]string{"--table", name, "--endpoint", endpoint}, func(t *testing.T, do func(store.Store)) {
				do(dynamo.New(dynamo.Options{Client: dynamo.LocalClient(endpoint), Table: name, Now: o.now}))
			}}
		},
		"a table at Amazon": func(t *testing.T, o *operator) ground {
			a := newAmazon(t, o)
			return ground{[]string{"--table", a.table, "--region", "eu-west-1"}, func(t *testing.T, do func(store.Store)) { do(a.store(o)) }}
		},
	}
}

// newFolder makes the data folder of a local server that has stopped.
func newFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s, err := server.Open(server.Options{Dir: dir, Port: 8080})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func newTable(t *testing.T, endpoint string) string {
	t.Helper()
	name := "ctl-" + string(store.NewVersion())
	if err := dynamo.CreateTable(t.Context(), dynamo.LocalClient(endpoint), name); err != nil {
		t.Fatal(err)
	}
	return name
}

// refusing notes the hosts that are called, and refuses all requests.
type refusing struct{ hosts map[string]bool }

func (r refusing) RoundTrip(q *http.Request) (*http.Response, error) {
	r.hosts[q.URL.Host] = true
	answer := httptest.NewRecorder()
	answer.WriteHeader(http.StatusBadRequest)
	answer.WriteString(`{"__type":"AccessDeniedException"}`)
	return answer.Result(), nil
}

func TestAmazonIsAskedWithFIPSCryptographyWhereTheEnvironmentSaysSo(t *testing.T) {
	for setting, want := range map[string]string{
		"": "dynamodb.us-east-1.amazonaws.com", "false": "dynamodb.us-east-1.amazonaws.com", "true": "dynamodb-fips.us-east-1.amazonaws.com",
	} {
		o := newOperator()
		o.env["AWS_USE_FIPS_ENDPOINT"] = setting
		asked := refusing{map[string]bool{}}
		o.amazon = &http.Client{Transport: asked}
		code := o.run(t, "keys", "list", "--table", "countersign", "--region", "us-east-1")
		if got := slices.Collect(maps.Keys(asked.hosts)); code != 1 || !slices.Equal(got, []string{want}) {
			t.Errorf("%q: got exit code %d and %v asked, want %s alone", setting, code, got, want)
		}
	}
}

// An amazon stands in for DynamoDB, SES, SNS and End User Messaging, and speaks their wire protocols on loopback. It passes the
// calls of DynamoDB on to a DynamoDB Local, except for operations that a test has set an answer for.
type amazon struct {
	table, endpoint string
	mu              sync.Mutex
	answers         map[string]answer // by operation, or path of SES
	asked           []string          // Authorization headers
}

type answer struct {
	status int
	body   string
}

func newAmazon(t *testing.T, o *operator) *amazon {
	t.Helper()
	a := &amazon{endpoint: dynamolocaltest.Endpoint(t), answers: map[string]answer{}}
	a.table = newTable(t, a.endpoint)
	target, err := url.Parse(a.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		switch r.Host {
		case "email.eu-west-1.amazonaws.com":
			name = r.Method + " " + r.URL.Path
		case "sns.eu-west-1.amazonaws.com":
			name = r.FormValue("Action")
		}
		a.mu.Lock()
		a.asked = append(a.asked, r.Header.Get("Authorization"))
		told, ok := a.answers[name]
		a.mu.Unlock()
		switch {
		case ok:
		case r.Host == "dynamodb.eu-west-1.amazonaws.com":
			proxy.ServeHTTP(w, r)
			return
		default:
			told = answer{404, `{"__type":"NotFoundException","message":"not found"}`}
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		if kind, _, _ := strings.Cut(strings.TrimPrefix(told.body, `{"__type":"`), `"`); told.status != 200 {
			w.Header().Set("X-Amzn-ErrorType", kind)
		}
		w.WriteHeader(told.status)
		io.WriteString(w, told.body)
	}))
	t.Cleanup(front.Close)
	o.amazon = &http.Client{Transport: redirected{strings.TrimPrefix(front.URL, "http://")}}
	return a
}

func (a *amazon) tell(name string, status int, body string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[name] = answer{status, body}
}

func (a *amazon) store(o *operator) store.Store {
	return dynamo.New(dynamo.Options{Client: dynamo.LocalClient(a.endpoint), Table: a.table, Now: o.now})
}

// redirected sends every request to one address, and keeps the host that the request was for.
type redirected struct{ address string }

func (d redirected) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, errors.New("a request to Amazon that isn't https")
	}
	to := r.Clone(r.Context())
	to.Host = r.URL.Host
	to.URL.Scheme, to.URL.Host = "http", d.address
	return http.DefaultTransport.RoundTrip(to)
}

func TestAKeyIsGoodFromWhenItIsMadeUntilItIsRevoked(t *testing.T) {
	for name, newGround := range grounds(t) {
		t.Run(name, func(t *testing.T) {
			o := newOperator()
			g := newGround(t, o)
			o.must(t, append([]string{"keys", "create", "--client", "my app", "--name", "Anna’s Shop", "--scope", "sign_in", "--scope", "admin",
				"--org", "acme", "--origin", "https://app.example", "--origin", "https://www.example"}, g.flags...)...)
			key, rest, _ := strings.Cut(o.said, "\n")
			if !strings.HasPrefix(key, "csk_") || rest != "" {
				t.Fatal("standard output isn't the key alone on a line")
			}
			id := apikey.ID(seal.NewSecret(key))
			if strings.Contains(o.told, key) || !strings.Contains(o.told, id) {
				t.Error("standard error must tell the id and not the key")
			}
			ask := func(org string) (code mfa.ErrorCode) {
				g.with(t, func(db store.Store) {
					s := &mfa.Service{Store: db, Now: o.now, Keys: oneRing{seal.NewRing(o.now())}}
					if _, err := s.GetPolicy(t.Context(), mfa.Call{Bearer: key}, org); err != nil {
						code = mfa.AsError(err).Code
					}
				})
				return code
			}
			if got := ask("acme"); got != "" {
				t.Errorf("a call with the key: got %s, want an answer", got)
			}
			if got := ask("other"); got != mfa.Forbidden {
				t.Errorf("a call for another org: got %q, want forbidden", got)
			}
			o.must(t, append([]string{"keys", "list"}, g.flags...)...)
			if strings.Contains(o.said, key) || !strings.Contains(o.said, id) {
				t.Errorf("the list must show the id and not the key:\n%s", o.said)
			}
			for _, want := range []string{"my app", "admin,sign_in", "acme", "2026-11-22T10:20:00Z", "https://app.example,https://www.example", "Anna’s Shop"} {
				if !strings.Contains(o.said, want) {
					t.Errorf("the list doesn't show %s:\n%s", want, o.said)
				}
			}
			o.must(t, append([]string{"keys", "revoke", id}, g.flags...)...)
			if got := ask("acme"); got != mfa.Unauthenticated {
				t.Errorf("a call with the key that was revoked: got %q, want unauthenticated", got)
			}
			o.must(t, append([]string{"keys", "list"}, g.flags...)...)
			if strings.Contains(o.said, id) {
				t.Errorf("the key that was revoked is listed:\n%s", o.said)
			}
			if code := o.run(t, append([]string{"keys", "revoke", id}, g.flags...)...); code != 1 || !strings.Contains(o.told, "no API key") {
				t.Errorf("revoked again: got %d and %s, want 1 and why", code, o.told)
			}
		})
	}
}

func TestAKeyThatCouldNotBePrintedIsRevoked(t *testing.T) {
	o := newOperator()
	dir := newFolder(t)
	o.must(t, "keys", "list", "--local", dir)
	before := o.said
	closed, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	o.out = closed
	if code := o.run(t, "keys", "create", "--client", "a", "--scope", "manage", "--local", dir); code != 1 || !strings.Contains(o.told, "was revoked") {
		t.Errorf("got %d and %s, want 1 and that it was revoked", code, o.told)
	}
	o.out = nil
	o.must(t, "keys", "list", "--local", dir)
	if o.said != before {
		t.Errorf("got\n%swant as before\n%s", o.said, before)
	}
}

func TestAFolderThatAServerWorksOnIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	s, err := server.Open(server.Options{Dir: dir, Port: 8080})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	o := newOperator()
	for _, verb := range []string{
		"keys list",
		"keys create --client it's --scope sign_in --scope manage",
		"keys revoke ak_AAAAAAAAAAAA",
	} {
		code := o.run(t, append(strings.Fields(verb), "--local", dir)...)
		if code != 1 || o.said != "" || !strings.Contains(o.told, "a local server works on "+dir) || !strings.Contains(o.told, "Stop the server first") {
			t.Errorf("%s: got %d, %q and %q, want 1 and what to do", verb, code, o.said, o.told)
		}
		call := shell.Of(runtime.GOOS).Call(shell.Call{
			URL: "http://localhost:8080/local/keys", Body: `{"client":"it's","scopes":["sign_in","manage"],"org":null}`,
		})
		if strings.Contains(verb, "create") != strings.Contains(o.told, "  "+strings.ReplaceAll(call, "\n", "\n  ")) {
			t.Errorf("%s: got %q; the call that makes a key is told with create, and only there", verb, o.told)
		}
	}
	o.run(t, "keys", "create", "--client", "a", "--scope", "sign_in", "--name", `Anna's "Shop"`, "--local", dir)
	if call := shell.Of(runtime.GOOS).Quoted(`{"client":"a","scopes":["sign_in"],"org":null,"name":"Anna's \"Shop\""}`); !strings.Contains(o.told, call) {
		t.Errorf("with a name: got %q, want %s", o.told, call)
	}
	if code := o.run(t, "doctor", "--local", dir); code != 0 || !strings.Contains(o.said, "unseen  database: It can't be checked now: a local server works on") {
		t.Errorf("doctor: got %d and\n%s, want 0 and that the database can't be looked at", code, o.said)
	}
}

func TestACallThatMakesNoSenseIsRefusedBeforeAnythingIsAsked(t *testing.T) {
	o := newOperator()
	o.amazon = &http.Client{Transport: nobody{t}}
	for _, args := range []string{
		"",
		"keys",
		"keys create --client a --scope sign_in",
		"keys create --client a --table t-1 --region eu-west-1",
		"keys create --scope sign_in --table t-1 --region eu-west-1",
		"keys create --client a --scope everything --table t-1 --region eu-west-1",
		"keys list",
		"keys list --table t-1",
		"keys list --table t-1 --region eu-west-1.evil.example/",
		"keys list --table arn:aws:dynamodb:eu-west-1:1:table/t --region eu-west-1",
		"keys list --table t-1 --local dir",
		"keys list --local dir --region eu-west-1",
		"keys list --table t-1 --endpoint http://dynamodb.example:8000",
		"keys list --table t-1 --endpoint http://localhost:8000",
		"keys list --table t-1 --endpoint http://127.0.0.1.example:8000",
		"keys revoke --table t-1 --region eu-west-1",
		"doctor --table t-1 --region eu-west-1",
		"doctor --table t-1 --region eu-west-1 --sender nobody",
		"doctor --local dir --sender a@example.com",
	} {
		if code := o.run(t, strings.Fields(args)...); code != 2 || o.said != "" || !strings.HasPrefix(o.told, "ctl: ") {
			t.Errorf("%s: got %d, %q and %q, want 2 and why", args, code, o.said, o.told)
		}
	}
	for _, args := range []string{"--help", "keys create --help"} {
		if code := o.run(t, strings.Fields(args)...); code != 0 || !strings.Contains(o.said, "Usage: ctl") {
			t.Errorf("%s: got %d and %q, want 0 and the usage", args, code, o.said)
		}
	}
	o.env = nil
	if code := o.run(t, "keys", "list", "--table", "t-1", "--region", "eu-west-1"); code != 1 || !strings.Contains(o.told, "aws configure export-credentials") {
		t.Errorf("without credentials: got %d and %q, want 1 and how to have them", code, o.told)
	}
}

// nobody fails the test if a request reaches it.
type nobody struct{ t *testing.T }

func (n nobody) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Error("a request was sent to", r.URL.Host)
	return nil, errors.New("refused")
}

func TestWhatIsNoDataFolderStaysAsItIs(t *testing.T) {
	o := newOperator()
	dir := t.TempDir()
	if code := o.run(t, "keys", "list", "--local", dir); code != 1 || !strings.Contains(o.told, "go run ./infra/local") {
		t.Errorf("got %d and %q, want 1 and what to do", code, o.told)
	}
	if err := os.WriteFile(filepath.Join(dir, "countersign.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := o.run(t, "doctor", "--local", dir); code != 1 || !strings.Contains(o.said, "WRONG   data folder") {
		t.Errorf("got %d and %q, want 1 and what is wrong", code, o.said)
	}
	if about, err := os.Stat(filepath.Join(dir, "countersign.db")); err != nil || about.Size() != 0 {
		t.Errorf("got %v, %v, want the empty file left alone", about, err)
	}
}

func TestTheCommandThatTheStackShowsMakesAKey(t *testing.T) {
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, line, ok := strings.Cut(string(text), "!Sub go run ./infra/ctl ")
	if !ok {
		t.Fatal("the template has no output that shows the command")
	}
	line, _, _ = strings.Cut(line, "\n")
	o := newOperator()
	a := newAmazon(t, o)
	line = strings.NewReplacer("${Table}", a.table, "${AWS::Region}", "eu-west-1").Replace(line)
	o.must(t, strings.Fields(line)...)
	if !strings.HasPrefix(o.said, "csk_") {
		t.Error("no key was printed")
	}
	for _, authorization := range a.asked {
		if !strings.HasPrefix(authorization, "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/") || !strings.Contains(authorization, "/eu-west-1/dynamodb/aws4_request") {
			t.Errorf("got %s, want the request signed with the environment's credentials", authorization)
		}
	}
}

func TestWhatAmazonSaysOfARequestIsNotRepeated(t *testing.T) {
	o := newOperator()
	a := newAmazon(t, o)
	for code, want := range map[string]string{
		"InvalidSignatureException":   "export-credentials",
		"ExpiredTokenException":       "export-credentials",
		"AccessDeniedException":       "administrator",
		"ResourceNotFoundException":   "TableName",
		"SomethingElseAltogether":     "SomethingElseAltogether",
		"UnrecognizedClientException": "clock",
	} {
		a.tell("Query", 400, `{"__type":"com.amazonaws#`+code+`","message":"x-amz-security-token:`+sessionToken+`"}`)
		got := o.run(t, "keys", "list", "--table", a.table, "--region", "eu-west-1")
		if got != 1 || !strings.Contains(o.told, want) || strings.Count(o.told, "\n") != 1 {
			t.Errorf("%s: got %d and %q, want 1 and a line with %s", code, got, o.told, want)
		}
	}
}
