package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// shellBlocks are the blocks of a document that are to be typed into a shell, from one heading to the end of its part.
func shellBlocks(t *testing.T, document, heading string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", document))
	if err != nil {
		t.Fatal(err)
	}
	_, part, found := strings.Cut("\n"+string(text), "\n"+heading+"\n")
	if strings.HasPrefix(heading, "## ") {
		part, _, _ = strings.Cut(part, "\n## ")
	}
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(part, -1) {
		blocks = append(blocks, block[1])
	}
	if !found || len(blocks) == 0 {
		t.Fatalf("%s has no commands after %q", document, heading)
	}
	return blocks
}

// tourCommands are the commands of the two tours, in order, each with the lines that it goes on over.
func tourCommands(t *testing.T) (commands []string) {
	t.Helper()
	for _, block := range shellBlocks(t, ".github/docs/tours.md", "# Tours with curl") {
		for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", "\\\x00")) {
			commands = append(commands, strings.ReplaceAll(line, "\x00", "\n"))
		}
	}
	return commands
}

// A terminal is a shell in which somebody types one command after another.
type terminal struct {
	t  *testing.T
	to io.Writer
	by *bufio.Reader
}

// openTerminal runs a shell in a folder.
func openTerminal(t *testing.T, shell, dir string, environment ...string) *terminal {
	t.Helper()
	needs(t, "curl", "awk", "sed", "tr")
	cmd := exec.Command(shell)
	cmd.Dir, cmd.Stderr, cmd.Env = dir, t.Output(), append(append(os.Environ(), "no_proxy=localhost,127.0.0.1"), environment...)
	to, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	from, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		to.Close()
		cmd.Wait()
	})
	s := &terminal{t: t, to: to, by: bufio.NewReader(from)}
	s.types(`curl() { command curl -sS --fail-with-body "$@"; }`) // what is refused fails the test
	return s
}

// types gives what a command prints, and fails the test if the command fails.
func (s *terminal) types(command string) string {
	s.t.Helper()
	fmt.Fprintf(s.to, "%s\nprintf '\\036%%s\\n' $?\n", command)
	printed, err := s.by.ReadString('\x1e')
	if err != nil {
		s.t.Fatalf("%s: the shell has ended: %v", command, err)
	}
	printed = strings.TrimSuffix(printed, "\x1e")
	if status, err := s.by.ReadString('\n'); err != nil || status != "0\n" {
		s.t.Fatalf("%s: status %s, %v:\n%s", command, strings.TrimSpace(status), err, printed)
	}
	return printed
}

// readAnswer notes what somebody who follows the tours puts into later commands.
func readAnswer(printed string, noted map[string]string) {
	for name, pattern := range map[string]string{
		"ID": `"id":"((?:ch|en)_[^"]+)"`, "CODE": `"code":"(\d{6})"`, "RECOVERY-CODE": `"recovery_codes":\["([^"]+)"`,
		"cse_…": `"token":"(cse_[^"]+)"`, "secret": `"secret":"([^"]+)"`,
	} {
		// The newest message of the outbox is its last.
		if found := regexp.MustCompile(pattern).FindAllStringSubmatch(printed, -1); found != nil {
			noted[name] = found[len(found)-1][1]
		}
	}
}

// nextCode is the app's code after the clock has moved to the next one.
func (p *process) nextCode(secret string) string {
	p.t.Helper()
	a, err := http.Post(p.base+"/local/clock", "application/json", strings.NewReader(`{"advance_s":30}`))
	if err != nil {
		p.t.Fatal(err)
	}
	defer a.Body.Close()
	var clock struct{ Now time.Time }
	if err := json.NewDecoder(a.Body).Decode(&clock); err != nil {
		p.t.Fatal(err)
	}
	code, err := totp.GenerateCode(secret, clock.Now)
	if err != nil {
		p.t.Fatal(err)
	}
	return code
}

func TestTheToursCanBeRunTwiceOnOneDataFolder(t *testing.T) {
	needs(t, "bash")
	dir, files := t.TempDir(), t.TempDir()
	p := start(t, dir)
	commands := tourCommands(t)
	for run := range 2 {
		s, noted, seen := openTerminal(t, "bash", t.TempDir()), map[string]string{}, ""
		for _, command := range commands {
			// A sign-in with a recovery code is begun anew, as the text says.
			if strings.Contains(command, "RECOVERY-CODE") {
				readAnswer(s.types(noted["start"]), noted)
			}
			put := strings.NewReplacer("http://localhost:8080", p.base, "~/.cache/countersign/local/api-key", filepath.Join(dir, "api-key"),
				"/tmp/", files+"/").Replace(command)
			if strings.Contains(put, `"CODE"`) && noted["secret"] != "" {
				noted["CODE"] = p.nextCode(noted["secret"])
			}
			put = strings.NewReplacer("/ID/", "/"+noted["ID"]+"/", "RECOVERY-CODE", noted["RECOVERY-CODE"], `"CODE"`, `"`+noted["CODE"]+`"`,
				"cse_…", noted["cse_…"]).Replace(put)
			if strings.Contains(put, "/v1/challenges ") {
				noted["start"] = put
			}
			printed := s.types(put)
			readAnswer(printed, noted)
			seen += printed
		}
		for _, want := range []string{`"decision":"challenge"`, `"known_token":"ckt_`, `"decision":"enrol"`, `"effect":"sign_in","codes_left":9`} {
			if !strings.Contains(seen, want) {
				t.Errorf("run %d: the tours don't show %s", run+1, want)
			}
		}
	}
}

// checkBuilds reports whether the module of the Go clients can be had here. It brings what checks a token.
func checkBuilds(t *testing.T, root string) {
	t.Helper()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", os.DevNull, "./check")
	build.Dir = filepath.Join(root, "infra", "clients", "go")
	if out, err := build.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%v: %s", err, out)
		}
		t.Skipf("the modules of infra/clients/go can't be had: %v: %s", err, out)
	}
}

// goFolders are where Go keeps what it has downloaded and built, for a shell that has another home.
func goFolders(t *testing.T) (environment []string) {
	t.Helper()
	names := []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOFLAGS"}
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for i, value := range strings.Split(strings.TrimSuffix(string(out), "\n"), "\n") {
		environment = append(environment, names[i]+"="+value)
	}
	return environment
}

func TestREADMEsSignInWorksWordForWordOnAFreshServer(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	checkBuilds(t, root)
	blocks := shellBlocks(t, "README.md", "## A sign-in with curl")
	for _, shell := range []string{"bash", "zsh"} {
		t.Run(shell, func(t *testing.T) {
			needs(t, shell)
			home := t.TempDir()
			p := start(t, filepath.Join(home, ".cache", "countersign", "local"))
			s, seen := openTerminal(t, shell, root, append(goFolders(t), "HOME="+home)...), ""
			for _, block := range blocks {
				// Only the port is another one.
				seen += s.types(strings.ReplaceAll(block, "localhost:8080", "localhost"+p.base[strings.LastIndexByte(p.base, ':'):]))
			}
			for _, want := range []string{`"decision":"challenge"`, `"verified":true`, "The token is good", `"sub": "zoe"`, `"org": "demo"`} {
				if !strings.Contains(seen, want) {
					t.Errorf("the sign-in doesn't show %s:\n%s", want, seen)
				}
			}
		})
	}
}
