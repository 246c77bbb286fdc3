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

// tourCommands are the commands of README's two tours, in order, each with the lines that it goes on over.
func tourCommands(t *testing.T) (commands []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, tours, found := strings.Cut(string(text), "\n## A sign-in with curl\n")
	tours, _, ends := strings.Cut(tours, "\n## What each function does\n")
	if !found || !ends {
		t.Fatal("README has no tours")
	}
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(tours, -1) {
		block := strings.ReplaceAll(block[1], "\\\n", "\\\x00")
		for line := range strings.Lines(block) {
			if line != "\n" && !strings.HasPrefix(line, "#") {
				commands = append(commands, strings.ReplaceAll(line, "\x00", "\n"))
			}
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

func openTerminal(t *testing.T) *terminal {
	t.Helper()
	needs(t, "bash", "curl", "awk", "sed", "tr")
	cmd := exec.Command("bash")
	cmd.Dir, cmd.Stderr, cmd.Env = t.TempDir(), t.Output(), append(os.Environ(), "no_proxy=*")
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

func TestREADMEsToursCanBeRunTwiceOnOneDataFolder(t *testing.T) {
	dir, files := t.TempDir(), t.TempDir()
	p := start(t, dir)
	commands := tourCommands(t)
	for run := range 2 {
		s, noted, seen := openTerminal(t), map[string]string{}, ""
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
