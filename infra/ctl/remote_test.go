package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"countersign/infra/local/server"
	"countersign/pkg/mfa"
)

// A running is a local server that is running, and an operator who calls its API.
type running struct {
	*operator
	api *httptest.Server
	key string // the file with the API key
}

func newRunning(t *testing.T) *running {
	t.Helper()
	dir := t.TempDir()
	s, err := server.Open(server.Options{Dir: dir, Port: 8080})
	if err != nil {
		t.Fatal(err)
	}
	api := httptest.NewServer(s)
	t.Cleanup(func() {
		api.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &running{newOperator(), api, filepath.Join(dir, "api-key")}
}

// flagged adds the flags that say where the API is.
func (r *running) flagged(args ...string) []string {
	return append(args, "--url", r.api.URL, "--key-file", r.key)
}

// sets replaces the policy of acme.
func (r *running) sets(t *testing.T, policy string) {
	t.Helper()
	key, err := os.ReadFile(r.key)
	if err != nil {
		t.Fatal(err)
	}
	q, err := http.NewRequest(http.MethodPut, r.api.URL+"/v1/orgs/acme/policy", strings.NewReader(policy))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("If-Match", `"0"`)
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("got %d", res.StatusCode)
	}
}

// users writes a file with users to import.
func users(t *testing.T, lines ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "users.jsonl")
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

const withApp = `{"id":"ana","email":"ana@acme.example","totp_uris":["otpauth://totp/Old:ana?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Old"]}`

func TestUsersAreImportedOverTheAPIAndAgainChangesNothing(t *testing.T) {
	r := newRunning(t)
	file := users(t, withApp, "", `{"id":"ben"}`, `{"id":"eve","colour":"red"}`)
	run := func(want int, args ...string) {
		t.Helper()
		if code := r.run(t, r.flagged(args...)...); code != want {
			t.Errorf("%v: got %d, want %d\n%s%s", args, code, want, r.said, r.told)
		}
	}
	run(1, "import", "acme", file, "--dry-run")
	run(1, "import", "acme", file)
	for _, part := range []string{"line 1: ana created with [totp]\n", "line 3: ben created\n", "line 4: refused: invalid_request colour"} {
		if !strings.Contains(r.said, part) {
			t.Errorf("got %s, want %q in it", r.said, part)
		}
	}
	if !strings.Contains(r.told, "2 created, 0 updated, 0 unchanged, 1 refused.") {
		t.Errorf("got %s", r.told)
	}
	run(0, "import", "acme", users(t, withApp, `{"id":"ben"}`))
	if !strings.Contains(r.told, "0 created, 0 updated, 2 unchanged, 0 refused.") {
		t.Errorf("again: got %s", r.told)
	}
}

func TestALongImportIsSentInParts(t *testing.T) {
	r := newRunning(t)
	var lines []string
	for i := range 150 {
		lines = append(lines, fmt.Sprintf(`{"id":"u-%d","name":"%s"}`, i, strings.Repeat("n", 100)))
	}
	long := users(t, append(lines, strings.Repeat(" ", 10)+`{"id":"last","email":"`+strings.Repeat("x", mostImportBytes-200)+`"}`)...)
	if code := r.run(t, r.flagged("import", "acme", long)...); code != 1 {
		t.Errorf("got %d, want 1 for the line that is refused\n%s", code, r.told)
	}
	if !strings.Contains(r.told, "150 created") || !strings.Contains(r.said, "line 151: last refused") {
		t.Errorf("got %s", r.told)
	}
}

func TestAUserIsResetAndGetsAPassOverTheAPI(t *testing.T) {
	r := newRunning(t)
	r.sets(t, `{"pass":{"max_s":3600}}`)
	if code := r.run(t, r.flagged("import", "acme", users(t, withApp))...); code != 0 {
		t.Fatal(r.told)
	}
	by := []string{"--actor", "olga", "--reason", "lost the phone"}
	if code := r.run(t, r.flagged(append([]string{"user", "pass", "acme", "ana", "--expires", "30m"}, by...)...)...); code != 0 || !strings.Contains(r.said, `"pass": "`) {
		t.Errorf("a pass: got %d, %s%s", code, r.said, r.told)
	}
	if code := r.run(t, r.flagged(append([]string{"user", "pass", "acme", "ana", "--expires", "2h"}, by...)...)...); code != 1 || !strings.Contains(r.told, "expires_s") {
		t.Errorf("a pass for longer than the policy says: got %d, %s%s", code, r.said, r.told)
	}
	if code := r.run(t, r.flagged(append([]string{"user", "reset", "acme", "ana"}, by...)...)...); code != 0 || !strings.Contains(r.said, `"factors": []`) {
		t.Errorf("a reset: got %d, %s%s", code, r.said, r.told)
	}
	if code := r.run(t, r.flagged(append([]string{"user", "reset", "acme", "nobody"}, by...)...)...); code != 1 || !strings.Contains(r.told, string(mfa.NotFound)) {
		t.Errorf("nobody: got %d, %s%s", code, r.said, r.told)
	}
}

func TestTheKeyIsSentToTheAPIOverTLSOrOnThisMachineOnly(t *testing.T) {
	r := newRunning(t)
	file := users(t, `{"id":"ben"}`)
	for _, url := range []string{"http://api.example", "ftp://127.0.0.1", "http://127.0.0.1@api.example", "127.0.0.1:8080", "https://api.example/?x=1"} {
		if code := r.run(t, "import", "acme", file, "--url", url, "--key-file", r.key); code != 2 || !strings.Contains(r.told, "--url") {
			t.Errorf("%s: got %d, %s", url, code, r.told)
		}
	}
	if code := r.run(t, r.flagged("import", "acme", file, "--local", t.TempDir())...); code != 2 {
		t.Errorf("a place beside the API: got %d, %s", code, r.told)
	}
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	t.Cleanup(other.Close)
	moved := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	t.Cleanup(moved.Close)
	if code := r.run(t, "import", "acme", file, "--url", moved.URL, "--key-file", r.key); code != 1 || elsewhere > 0 {
		t.Errorf("a redirection: got %d, and %d calls elsewhere", code, elsewhere)
	}
	if key, err := os.ReadFile(r.key); err != nil || strings.Contains(r.said+r.told, string(bytes.TrimSpace(key))) {
		t.Errorf("the key is in the output, or %v", err)
	}
}
