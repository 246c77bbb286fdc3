package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/infra/local/folder"
	"countersign/infra/local/machine"
)

// A running is a server that listens, and its data folder.
type running struct {
	*Server
	t    *testing.T
	dir  string
	url  string
	key  string
	halt func()
}

// serve opens a server on a data folder and has it listen on a free port until the test ends or halt is called.
func serve(t *testing.T, dir string) *running {
	t.Helper()
	return serveFor(t, dir)
}

// serveFor opens a server whose API pages of some origins may call.
func serveFor(t *testing.T, dir string, origins ...string) *running {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(Options{Dir: dir, Port: listener.Addr().(*net.TCPAddr).Port, BrowserOrigins: origins})
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: s}
	go web.Serve(listener)
	r := &running{Server: s, t: t, dir: dir, url: "http://" + listener.Addr().String(), key: s.APIKey().Reveal()}
	halted := false
	r.halt = func() {
		if halted {
			return
		}
		halted = true
		if err := errors.Join(web.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(r.halt)
	return r
}

// An answered is what came back.
type answered struct {
	status int
	header http.Header
	body   string
}

// call makes one call; header are names and values in turn.
func (r *running) call(method, path, body string, header ...string) answered {
	r.t.Helper()
	q, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	q.Header.Set("Authorization", "Bearer "+r.key)
	for i := 0; i < len(header); i += 2 {
		if i >= 2 && header[i] == header[i-2] {
			q.Header.Add(header[i], header[i+1])
		} else {
			q.Header.Set(header[i], header[i+1])
		}
		if header[i] == "Host" {
			q.Host = header[i+1]
		}
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answered{a.StatusCode, a.Header, string(text)}
}

// into reads the answer, which must have a status.
func (a answered) into(t *testing.T, status int, into any) {
	t.Helper()
	if a.status != status {
		t.Fatalf("got status %d, want %d: %s", a.status, status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
}

// begun is what a test needs of a challenge.
type begun struct {
	Challenge struct {
		ID, Token string
		Sent      *struct{ Sequence string }
		SendError string `json:"send_error"`
	}
}

func (r *running) challenge(user string) (b begun) {
	r.t.Helper()
	r.call("POST", "/v1/challenges", `{"org":"demo","user":{"id":"`+user+`","email":"`+user+`@demo.example"}}`).into(r.t, 201, &b)
	return b
}

func (r *running) verify(b begun, code, rest string) answered {
	return r.call("POST", "/v1/challenges/"+b.Challenge.ID+"/verify", `{"code":"`+code+`"`+rest+`}`)
}

func (r *running) messages(to string) []machine.Message {
	r.t.Helper()
	var got struct{ Messages []machine.Message }
	path := "/local/outbox"
	if to != "" {
		path += "?to=" + to
	}
	r.call("GET", path, "").into(r.t, 200, &got)
	return got.Messages
}

func (r *running) code(user string) string {
	r.t.Helper()
	m := r.messages(user + "@demo.example")
	if len(m) == 0 || m[len(m)-1].Code == nil {
		r.t.Fatalf("no code for %s in %d messages", user, len(m))
	}
	return *m[len(m)-1].Code
}

func wrongCode(right string) string {
	if right == "000000" {
		return "000001"
	}
	return "000000"
}

func (r *running) events() (types []string) {
	r.t.Helper()
	var got struct{ Events []struct{ Type string } }
	r.call("GET", "/local/events", "").into(r.t, 200, &got)
	for _, e := range got.Events {
		types = append(types, e.Type)
	}
	return types
}

func count(types []string, of string) (n int) {
	for _, t := range types {
		if t == of {
			n++
		}
	}
	return n
}

// eventually waits until something holds, looking again and again.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("gave up waiting until " + what)
		}
	}
}

func TestASignInWorksFromChallengeToToken(t *testing.T) {
	r := serve(t, t.TempDir())
	b := r.challenge("ana")
	var done struct {
		Verified bool
		Token    string
	}
	r.verify(b, r.code("ana"), "").into(t, 200, &done)
	if !done.Verified || strings.Count(done.Token, ".") != 2 {
		t.Errorf("got %+v, want verified and a token", done)
	}
	for _, path := range []string{"/health", "/.well-known/jwks.json", "/problems/wrong_code"} {
		if got := r.call("GET", path, ""); got.status != 200 {
			t.Errorf("%s: got status %d, want 200", path, got.status)
		}
	}
}

func TestTheAPIKeyIsForItsOwnerOnlyAndIsKept(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "api-key")
	first := serve(t, dir)
	about, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := about.Mode().Perm(); got != 0o600 {
		t.Errorf("got mode %o, want 600", got)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text); got != first.key+"\n" || !strings.HasPrefix(got, "csk_") {
		t.Error("the file doesn't hold the server's API key on a line")
	}
	first.halt()
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	second := serve(t, dir)
	if second.key != first.key {
		t.Error("a good API key was replaced")
	}
	if about, err = os.Stat(path); err != nil || about.Mode().Perm() != 0o600 {
		t.Errorf("got mode %o and %v, want 600 again", about.Mode().Perm(), err)
	}
	second.halt()
	for _, bad := range []string{"", "csk_nonsense\n", strings.Repeat("x", 10_000)} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		third := serve(t, dir)
		if got := third.call("GET", "/v1/orgs/anybody/policy", ""); got.status != 200 {
			t.Errorf("after %.20q: got status %d with the new key, want 200", bad, got.status)
		}
		third.halt()
	}
}

func TestAFolderWithADatabaseButNoKeysIsRefused(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir).halt()
	keys := filepath.Join(dir, "keys.json")
	if err := os.Remove(keys); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Options{Dir: dir})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "has a database but no keys.json") {
		t.Errorf("got %v, want an error that names the missing file", err)
	}
	if _, err := os.Stat(keys); !errors.Is(err, fs.ErrNotExist) {
		t.Error("new keys were made for old data")
	}
}

func TestOneServerAtATimeHasADataFolder(t *testing.T) {
	dir := t.TempDir()
	first := serve(t, dir)
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, folder.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, want ErrInUse with the folder's name", err)
	}
	first.halt()
	serve(t, dir)
}

func TestEverythingInTheDataFolderIsItsOwnersOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	r := serve(t, dir)
	r.challenge("ana")
	r.call("POST", "/local/clock", `{"advance_s":1}`)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		about, err := entry.Info()
		if err == nil && about.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", entry.Name(), about.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// onBus waits until an event of a type about a user is on the bus, without a call that would have it handed on.
func (r *running) onBus(kind, user string) {
	r.t.Helper()
	eventually(r.t, kind+" of "+user+" is on the bus", func() (there bool) {
		err := r.bus.each(func(event json.RawMessage) error {
			there = there || bytes.Contains(event, []byte(`"`+kind+`"`)) && bytes.Contains(event, []byte(`"`+user+`"`))
			return nil
		})
		return there && err == nil
	})
}

func TestEventsAreHandedOnWithoutAnybodyAsking(t *testing.T) {
	r := serve(t, t.TempDir())
	for _, user := range []string{"ana", "bob"} {
		r.challenge(user)
		r.onBus("challenge.sent", user)
	}
}

func TestEventsOfACommitWhoseAnswersWereAllLostAreHandedOnWithoutAnybodyAsking(t *testing.T) {
	r := serve(t, t.TempDir())
	r.told("store", "lost_reply", 1000)
	if got := r.call("POST", "/v1/challenges", startOfAna, "Authorization", "Bearer "+r.key); got.status != 503 {
		t.Fatalf("got %d %s, want 503", got.status, got.body)
	}
	r.onBus("challenge.started", "ana")
}

func TestTheSweepRunsWhenTheServerStarts(t *testing.T) {
	dir := t.TempDir()
	first := serve(t, dir)
	if got := first.verify(first.challenge("ana"), first.code("ana"), `,"trust":{"name":"Mine"}`); got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	first.call("POST", "/local/clock", `{"advance_s":2592000}`)
	first.halt()
	second := serve(t, dir)
	eventually(t, "the end of trust is announced", func() bool { return count(second.events(), "browser.expired") == 1 })
}

func TestAnotherBackendTakesTheStoresPlace(t *testing.T) {
	dir := t.TempDir()
	other := serve(t, t.TempDir())
	closed := false
	s, err := Open(Options{Dir: dir, Port: 1, Backend: func(now func() time.Time) (Backend, error) {
		b := other.backend
		b.Close = func() error { closed = true; return nil }
		return b, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil || !closed {
		t.Errorf("closing: got %v, closed %v; want nil and true", err, closed)
	}
	if _, err := os.Stat(filepath.Join(dir, "countersign.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a database was made beside the other backend")
	}
	if _, err := Open(Options{Dir: dir, Backend: func(func() time.Time) (Backend, error) {
		return Backend{}, context.DeadlineExceeded
	}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the backend's own error", err)
	}
}

func TestTheDemosKeyOfEveryDayCantAdminister(t *testing.T) {
	r := serve(t, t.TempDir())
	text, err := os.ReadFile(machine.DemoKeyFile(r.dir))
	if err != nil {
		t.Fatal(err)
	}
	r.key = strings.TrimSpace(string(text))
	if got := r.call("GET", "/v1/orgs/demo/policy", ""); got.status != http.StatusForbidden {
		t.Errorf("got status %d for the policy, want 403", got.status)
	}
	if got := r.call("POST", "/v1/challenges", `{"org":"demo","user":{"id":"ana"}}`); got.status/100 != 2 {
		t.Errorf("got status %d for a sign-in: %s", got.status, got.body)
	}
	r.halt()
	again := serve(t, r.dir)
	same, err := os.ReadFile(machine.DemoKeyFile(again.dir))
	if err != nil || string(same) != string(text) {
		t.Errorf("the key has changed with the next start, %v", err)
	}
}
