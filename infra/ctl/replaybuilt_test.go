package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/infra/emulator/emulator"
	"countersign/infra/emulator/emulatortest"
)

func TestMain(m *testing.M) { os.Exit(emulatortest.Main(m)) }

// A built is a deployment with the built functions, in the emulator. As an http.RoundTripper it answers for Lambda, with the
// function publish, and passes all other requests on.
type built struct {
	*emulator.Emulator
	t     *testing.T
	base  string
	local string // the URL of DynamoDB Local
	dir   string
	calls int // of Lambda
}

func openBuilt(t *testing.T) *built {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &built{t: t, base: "http://" + listener.Addr().String(), local: dynamolocaltest.Own(t), dir: t.TempDir()}
	b.Emulator, err = emulator.Open(t.Context(), emulator.Options{
		Dir: b.dir, Port: listener.Addr().(*net.TCPAddr).Port, Root: "../..", Functions: emulatortest.Functions(t), DynamoDB: b.local,
	})
	if err != nil {
		t.Fatal(err)
	}
	web := &httptest.Server{Listener: listener, Config: &http.Server{Handler: b}}
	web.Start()
	t.Cleanup(func() { web.Close(); b.Close() })
	b.call("PUT", "/v1/orgs/acme/policy", `{"profile":"kls","acknowledge":true}`)
	return b
}

// call makes a request, which must succeed, and returns the answer.
func (b *built) call(method, path, body string) string {
	b.t.Helper()
	r, err := http.NewRequest(method, b.base+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+b.APIKey().Reveal())
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("If-Match", `"0"`)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode/100 != 2 {
		b.t.Fatalf("%s %s: got %d %s, %v", method, path, res.StatusCode, said, err)
	}
	return string(said)
}

// RoundTrip implements http.RoundTripper.
func (b *built) RoundTrip(q *http.Request) (*http.Response, error) {
	if q.URL.Host != "lambda.eu-west-1.amazonaws.com" {
		return http.DefaultTransport.RoundTrip(q)
	}
	b.calls++
	if want := "/2015-03-31/functions/arn:aws:lambda:eu-west-1:123456789012:function:publish:live/invocations"; q.Method != http.MethodPost || q.URL.Path != want {
		b.t.Errorf("got %s %s, want a POST of %s", q.Method, q.URL.Path, want)
	}
	event, err := io.ReadAll(q.Body)
	if err != nil {
		return nil, err
	}
	res := httptest.NewRecorder()
	answer, err := b.Invoke(q.Context(), "publish", event)
	if err != nil {
		res.Header().Set("X-Amz-Function-Error", "Unhandled")
	}
	res.Write(answer)
	return res.Result(), nil
}

// objects returns how many objects the bucket of failures has.
func (b *built) objects() (n int) {
	b.t.Helper()
	err := filepath.WalkDir(b.bucket(), func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			n++
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		b.t.Fatal(err)
	}
	return n
}

func (b *built) bucket() string { return filepath.Join(b.dir, "buckets", "PublishFailures") }

// told returns how many different events of a type the bus has got about each user.
func (b *built) told(kind string) map[string]int {
	b.t.Helper()
	var said struct {
		Events []struct{ ID, Type, User string }
	}
	if err := json.Unmarshal([]byte(b.call("GET", "/local/events", "")), &said); err != nil {
		b.t.Fatal(err)
	}
	found, ids := map[string]int{}, map[string]bool{}
	for _, e := range said.Events {
		if e.Type == kind && !ids[e.ID] {
			ids[e.ID] = true
			found[e.User]++
		}
	}
	return found
}

// TestTheBuiltPublishTakesAgainWhatItGaveUpWhileUsersSignIn plays what operating.md tells of records that were given up.
func TestTheBuiltPublishTakesAgainWhatItGaveUpWhileUsersSignIn(t *testing.T) {
	b := openBuilt(t)
	o := newOperator()
	o.now, o.amazon = time.Now, &http.Client{Transport: b}
	users := emulatortest.SignIn(t, b.base, b.APIKey(), 2)
	users.Served(t, 3)
	b.call("POST", "/local/faults", `{"target":"events","mode":"fail","count":1000000}`)
	for b.objects() < 3 {
		users.Served(t, 2) // nobody waits for publish
	}
	b.call("POST", "/local/faults", `{"target":"events","mode":"fail","count":0}`)
	users.Served(t, 3)

	folder := filepath.Join(t.TempDir(), "failures") // as "aws s3 sync" copies the bucket
	if err := os.CopyFS(folder, os.DirFS(b.bucket())); err != nil {
		t.Fatal(err)
	}
	given := b.objects()
	replay := []string{"replay", "--table", b.Table(), "--endpoint", b.local, "--region", "eu-west-1", "--function", "arn:aws:lambda:eu-west-1:123456789012:function:publish:live", folder}
	o.must(t, replay...)
	if !strings.HasPrefix(o.said, fmt.Sprintf("%d batches were handed to ", given)) || b.calls != given {
		t.Errorf("got %d calls and %s, want each of %d batches handed on", b.calls, o.said, given)
	}
	users.Served(t, 3)
	o.must(t, replay...)
	if !strings.HasPrefix(o.said, "0 batches were handed to ") || b.calls != given {
		t.Errorf("the second run: got %d calls and %s, want none handed on", b.calls, o.said)
	}
	served := users.Leave()
	verified := b.told("challenge.verified")
	for _, user := range served {
		if verified[user] != 1 {
			t.Errorf("%s has signed in once, and the bus was told of %d times", user, verified[user])
		}
	}
}
