package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/infra/local/shell"
)

// asCommand makes this test program, started anew, be the command itself.
const asCommand = "COUNTERSIGN_LOCAL_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// command prepares a start of the command.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	return cmd
}

// A process is the command, running and ready.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	base    string        // the URL that its first line names
	printed string        // what it said until it was ready
	stderr  string        // the file of what it says there
	ended   chan struct{} // closed when it has, and err is how
	err     error
}

// start runs the command on a data folder and waits until it has said all that it says when it is ready.
func start(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := &process{t: t, stderr: filepath.Join(t.TempDir(), "stderr"), ended: make(chan struct{})}
	errs, err := os.Create(p.stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer errs.Close()
	p.cmd = command(t, append([]string{"-addr", "127.0.0.1:0", "-data", dir}, args...)...)
	p.cmd.Stderr = errs
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() {
		var said strings.Builder
		for lines := bufio.NewScanner(out); lines.Scan(); {
			fmt.Fprintln(&said, lines.Text())
			if strings.Contains(lines.Text(), `'{"code":"CODE"}'`) {
				ready <- said.String()
			}
		}
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.ended
	})
	select {
	case p.printed = <-ready:
	case <-p.ended:
		t.Fatalf("it ended: %v\n%s", p.err, p.said())
	case <-time.After(30 * time.Second):
		t.Fatalf("it is not ready after 30 s\n%s", p.said())
	}
	first, _, _ := strings.Cut(p.printed, "\n")
	base, ok := strings.CutPrefix(first, "listening on ")
	if !ok {
		t.Fatalf("got %q as first line, want where it listens", first)
	}
	p.base = base
	return p
}

// said is what it has said on stderr.
func (p *process) said() string {
	p.t.Helper()
	text, err := os.ReadFile(p.stderr)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// signal sends a signal and answers how the process ended.
func (p *process) signal(s os.Signal) error {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
	return p.wait()
}

func (p *process) wait() error {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.err
	case <-time.After(30 * time.Second):
		p.t.Fatal("it has not ended after 30 s")
		return nil
	}
}

func (p *process) call(method, path, bearer, body string, into any) int {
	p.t.Helper()
	q, err := http.NewRequestWithContext(p.t.Context(), method, p.base+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	q.Header.Set("Authorization", "Bearer "+bearer)
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		p.t.Fatal(err)
	}
	defer a.Body.Close()
	if err := json.NewDecoder(a.Body).Decode(into); err != nil {
		p.t.Fatalf("%s %s: status %d: %v", method, path, a.StatusCode, err)
	}
	return a.StatusCode
}

// fails runs the command, which must end by itself, and answers its exit code and what it said on stderr.
func fails(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	var errs bytes.Buffer
	cmd := command(t, args...)
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
	defer late.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), errs.String()
}

// needs are the programs that somebody who tries the server has.
func needs(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip("install " + tool + " to try the calls with curl")
		}
	}
}

func TestTheCurlCallsThatItPrintsWork(t *testing.T) {
	needs(t, "curl", "sh")
	dir := filepath.Join(t.TempDir(), "it's here")
	p := start(t, dir)
	var steps []string
	for text := strings.ReplaceAll(p.printed, "\\\n", " "); text != ""; {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "KEY=") || strings.HasPrefix(line, "curl ") {
			steps = append(steps, line)
		}
	}
	if len(steps) != 5 {
		t.Fatalf("got %d lines for a shell, want 5:\n%s", len(steps), p.printed)
	}
	sh := func(lines ...string) (got map[string]any) {
		t.Helper()
		shell := exec.CommandContext(t.Context(), "sh", "-c", strings.Join(lines, "\n"))
		shell.Env = append(os.Environ(), "no_proxy=*")
		out, err := shell.Output()
		if err != nil {
			t.Fatalf("%s: %v", lines[len(lines)-1], err)
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%s: %v: %s", lines[len(lines)-1], err, out)
		}
		return got
	}
	if got := sh(steps[0], steps[1])["version"]; got != 1.0 {
		t.Fatalf("the policy: got version %v, want 1", got)
	}
	challenge := sh(steps[0], steps[2])["challenge"].(map[string]any)
	message := sh(steps[3])["messages"].([]any)[0].(map[string]any)
	answer := strings.NewReplacer("/ID/", "/"+challenge["id"].(string)+"/", "TOKEN", challenge["token"].(string), "CODE", message["code"].(string))
	if got := sh(answer.Replace(steps[4])); got["verified"] != true {
		t.Errorf("got %v, want verified", got)
	}
	key := shell.POSIX.SetKey(filepath.Join(dir, "api-key"))
	for _, want := range []string{"/local/outbox", "  API key      " + key + "\n", "Demo login   http://localhost:"} {
		if !strings.Contains(p.printed, want) {
			t.Errorf("it doesn't say %q:\n%s", want, p.printed)
		}
	}
}

func TestThePolicyCallThatItPrintsIsGoodAtEveryStart(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir)
	if !strings.Contains(first.printed, `If-Match: "0"`) {
		t.Fatalf("a new folder: the call doesn't replace version 0:\n%s", first.printed)
	}
	q, err := http.NewRequestWithContext(t.Context(), "PUT", first.base+"/v1/orgs/acme/policy", strings.NewReader(`{"profile":"kls","acknowledge":true}`))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+keyIn(t, dir))
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("If-Match", `"0"`)
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	if err := first.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if second := start(t, dir); !strings.Contains(second.printed, `If-Match: "1"`) {
		t.Errorf("the call doesn't replace version 1:\n%s", second.printed)
	}
}

func keyIn(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "api-key"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestItIsReadyInUnderASecond(t *testing.T) {
	best := time.Hour
	for range 5 { // of a machine that does other things too
		began := time.Now()
		p := start(t, t.TempDir())
		best = min(best, time.Since(began))
		if err := p.signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	if best >= time.Second {
		t.Errorf("ready after %s at best, want under a second", best)
	}
}

func TestItListensOnLoopbackOnlyUnlessToldTo(t *testing.T) {
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:8080", "countersign.example:8080"} {
		code, said := fails(t, "-data", t.TempDir(), "-addr", addr)
		if code != 1 || !strings.Contains(said, "-allow-remote") || !strings.Contains(said, addr) {
			t.Errorf("%s: got exit code %d and %q, want 1 and what would allow it", addr, code, said)
		}
	}
	p := start(t, t.TempDir(), "-allow-remote")
	if !strings.Contains(p.said(), "Other machines") {
		t.Errorf("got %q, want a warning", p.said())
	}
}

func TestFlagsThatMakeNoSenseEndItWithTwo(t *testing.T) {
	for _, args := range [][]string{{"-port", "80"}, {"serve"}} {
		if code, said := fails(t, args...); code != 2 || said == "" {
			t.Errorf("%v: got exit code %d and %q, want 2 and why", args, code, said)
		}
	}
	if code, said := fails(t, "-help"); code != 0 || !strings.Contains(said, "-allow-remote") {
		t.Errorf("-help: got exit code %d and %q, want 0 and the flags", code, said)
	}
	if code, said := fails(t, "-addr", "8080"); code != 1 || !strings.Contains(said, "host:port") {
		t.Errorf("-addr 8080: got exit code %d and %q, want 1 and the form", code, said)
	}
}

func TestASecondProcessOnTheFolderIsToldWhyItCantStart(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir)
	code, said := fails(t, "-addr", "127.0.0.1:0", "-data", dir)
	if code != 1 || !strings.Contains(said, dir) || !strings.Contains(said, "another process is using") {
		t.Errorf("got exit code %d and %q, want 1 and that the folder is in use", code, said)
	}
	if err := first.signal(os.Interrupt); err != nil {
		t.Errorf("the first: %v", err)
	}
}

func TestATakenPortIsNamed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	addr := listener.Addr().String()
	code, said := fails(t, "-addr", addr, "-data", t.TempDir())
	if code != 1 || !strings.Contains(said, "another program is listening on "+addr) || !strings.Contains(said, "-addr") {
		t.Errorf("got exit code %d and %q, want 1, the address and what to do", code, said)
	}
}

func TestATermSignalLetsCallsEndAndEndsItWithZero(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir)
	body, rest := io.Pipe()
	inside := make(chan struct{})
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(inside) }})
	q, err := http.NewRequestWithContext(ctx, "POST", p.base+"/v1/challenges", body)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+keyIn(t, dir))
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Expect", "100-continue")
	status := make(chan int, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
		a, err := client.Do(q)
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		a.Body.Close()
		status <- a.StatusCode
	}()
	<-inside // the server is reading the body
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for range ticker.C {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.base, "http://"))
		if err != nil {
			break // it takes no more calls
		}
		conn.Close()
	}
	io.WriteString(rest, `{"org":"demo","user":{"id":"ana","email":"ana@demo.example"}}`)
	rest.Close()
	if got := <-status; got != http.StatusCreated {
		t.Errorf("the call under way: got status %d, want 201", got)
	}
	if err := p.wait(); err != nil {
		t.Errorf("got %v, want exit code 0\n%s", err, p.said())
	}
	if p.said() != "" {
		t.Errorf("it said %s", p.said())
	}
}

func TestAKilledServerHasLostNothingThatItAnswered(t *testing.T) {
	type challenge struct{ Challenge struct{ ID, Token string } }
	type outbox struct {
		Messages []struct{ To, Code string }
	}
	type list struct{ Events []struct{ ID, Type string } }
	dir := t.TempDir()
	p := start(t, dir)
	key := keyIn(t, dir)
	const wait = 40 * 24 * 60 * 60
	var now struct{ Now time.Time }
	p.call("POST", "/local/clock", "", fmt.Sprintf(`{"advance_s":%d}`, wait), &now)
	var seen list
	for round := range 3 {
		var begun challenge
		body := fmt.Sprintf(`{"org":"demo","user":{"id":"u%d","email":"u%[1]d@demo.example"}}`, round)
		if got := p.call("POST", "/v1/challenges", key, body, &begun); got != 201 {
			t.Fatalf("got status %d, want 201", got)
		}
		var before list
		if round == 2 {
			p.call("GET", "/local/events", "", "", &before)
		}
		p.signal(syscall.SIGKILL)

		// What a crash in the middle of an append leaves behind.
		for _, name := range []string{"outbox.jsonl", "events.jsonl", "outbox.index"} {
			file, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = file.WriteString(`{"at":"2026`)
			if err := errors.Join(err, file.Close()); err != nil {
				t.Fatal(err)
			}
		}
		p = start(t, dir)
		if got := keyIn(t, dir); got != key {
			t.Error("the API key has changed")
		}
		var clock struct{ Now time.Time }
		p.call("GET", "/local/clock", "", "", &clock)
		if clock.Now.Before(now.Now) {
			t.Errorf("got %s, want no earlier than %s", clock.Now, now.Now)
		}
		var sent outbox
		p.call("GET", "/local/outbox", "", "", &sent)
		if len(sent.Messages) != round+1 {
			t.Fatalf("round %d: got %d messages, want %d", round, len(sent.Messages), round+1)
		}
		p.call("GET", "/local/events", "", "", &seen)
		codes := map[string]bool{}
		for _, e := range seen.Events {
			if e.Type == "challenge.sent" {
				codes[e.ID] = true
			}
		}
		if len(codes) != round+1 {
			t.Errorf("round %d: got %d codes sent in the events, want %d", round, len(codes), round+1)
		}
		for i, e := range before.Events {
			if seen.Events[i].ID != e.ID {
				t.Fatalf("event %d was %s and is %s", i, e.ID, seen.Events[i].ID)
			}
		}
		var done struct{ Verified bool }
		answer := fmt.Sprintf(`{"code":%q}`, sent.Messages[round].Code)
		if p.call("POST", "/v1/challenges/"+begun.Challenge.ID+"/verify", begun.Challenge.Token, answer, &done); !done.Verified {
			t.Errorf("round %d: the code from before the crash was not taken", round)
		}
	}
}
