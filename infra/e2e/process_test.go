package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/infra/emulator/emulatortest"
)

// scratch is a folder that all tests share.
var scratch string

// TestMain makes scratch, and removes it at the end.
func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "countersign-e2e"); err != nil {
		panic(err)
	}
	code := emulatortest.Main(m)
	os.RemoveAll(scratch)
	os.Exit(code)
}

// binary returns the path of the local server's program, which is built once.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "local")
	build := exec.Command("go", "build", "-o", path, "countersign/infra/local")
	build.Stderr = os.Stderr
	return path, build.Run()
})

// A process is a local server in a process of its own, which can be killed.
type process struct {
	*world
	command *exec.Cmd
}

// launch starts the server with a data folder, and waits until it prints its address.
func launch(t *testing.T, data string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(path, "-addr", "127.0.0.1:0", "-data", data)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{command: command}
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	base, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("first line %q: %v", line, err)
	}
	key, err := os.ReadFile(filepath.Join(data, "api-key"))
	if err != nil {
		t.Fatal(err)
	}
	p.world = newWorld(t, base, strings.TrimSpace(string(key)), nil)
	return p
}

// kill kills the process (SIGKILL), which is like a loss of power for it.
func (p *process) kill() {
	if p.command.ProcessState == nil {
		p.command.Process.Kill()
		p.command.Wait()
	}
}

func TestG3ALockOutlivesSIGKILLAndEndsWithItsWait(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := launch(t, data)
	p.policy(t, "acme", doc{"profile": "kls"})
	id := p.lockOut(t, ana)
	code := p.code(t, ana.email)
	p.verify(t, id, doc{"code": code}).want(t, 429, "locked")
	p.kill()

	p = launch(t, data)
	p.verify(t, id, doc{"code": code}).want(t, 429, "locked")
	p.start(t, ana, nil).want(t, 429, "locked")
	p.advance(t, 15*time.Minute+time.Second)
	p.kill()

	p = launch(t, data)
	p.verify(t, p.asked(t, ana, nil).text("challenge", "id"), doc{"code": p.code(t, ana.email)}).want(t, 200, "")
}

func TestG4EachWrongAnswerOutlivesSIGKILL(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := launch(t, data)
	p.policy(t, "acme", doc{"profile": "kls"})
	id := p.asked(t, ana, nil).text("challenge", "id")
	code := p.code(t, ana.email)
	for left := 4; left >= 0; left-- {
		if got := p.verify(t, id, doc{"code": wrong(code)}).want(t, 422, "wrong_code").number("attempts_left"); got != left {
			t.Fatalf("attempts left: got %d, want %d", got, left)
		}
		p.kill()
		p = launch(t, data)
	}
	p.verify(t, id, doc{"code": code}).want(t, 404, "challenge_invalid")
}

func TestR1ASpentCodeStaysSpentAndTrustStaysGoodThroughSIGKILL(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := launch(t, data)
	p.policy(t, "acme", doc{"profile": "kls"})
	id := p.asked(t, ana, nil).text("challenge", "id")
	code := p.code(t, ana.email)
	p.kill()

	p = launch(t, data)
	token := p.verify(t, id, doc{"code": code, "trust": doc{}}).want(t, 200, "").text("trust_token")
	p.kill()

	p = launch(t, data)
	p.verify(t, id, doc{"code": code}).want(t, 404, "challenge_invalid")
	p.start(t, ana, doc{"trust_token": token}).want(t, 200, "")
	if len(p.events(t, ana.id, "challenge.verified")) != 1 {
		t.Error("the event of the sign-in is not there once")
	}
}
