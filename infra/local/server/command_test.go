package server

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"countersign/infra/local/machine"
	"countersign/infra/local/shell"
)

var (
	psKey     = regexp.MustCompile(`^\$KEY = Get-Content -LiteralPath ('.*')$`)
	psCall    = regexp.MustCompile(`^Invoke-RestMethod (?:-Method (\w+) )?('[^']*')((?: -\S+ (?:@\{.*\}|'[^']*'))*) \| ConvertTo-Json -Depth 9$`)
	psHeaders = regexp.MustCompile(` -Headers @\{ (.*) \}`)
	psHeader  = regexp.MustCompile(`('?[\w-]+'?) = ("[^"]*"|'[^']*')`)
	psBody    = regexp.MustCompile(` -ContentType 'application/json' -Body ('[^']*')`)
)

// A powerShell does what PowerShell would do with the commands that this package prints, and with no others.
type powerShell struct {
	t   *testing.T
	key string
}

func literal(quoted string) string {
	return strings.ReplaceAll(strings.Trim(quoted, "'"), "''", "'")
}

// types answers what the server answers to a command.
func (s *powerShell) types(command string) (got map[string]any) {
	s.t.Helper()
	if m := psKey.FindStringSubmatch(command); m != nil {
		text, err := os.ReadFile(literal(m[1]))
		if err != nil {
			s.t.Fatal(err)
		}
		s.key = strings.TrimSuffix(string(text), "\n")
		return nil
	}
	m := psCall.FindStringSubmatch(command)
	if m == nil {
		s.t.Fatalf("this is no command of PowerShell that is known here: %s", command)
	}
	method, body := m[1], ""
	if b := psBody.FindStringSubmatch(m[3]); b != nil {
		body = literal(b[1])
	}
	q, err := http.NewRequestWithContext(s.t.Context(), method, literal(m[2]), strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	if h := psHeaders.FindStringSubmatch(m[3]); h != nil {
		for _, pair := range psHeader.FindAllStringSubmatch(h[1], -1) {
			value := strings.Trim(pair[2], "'")
			if inner, ok := strings.CutPrefix(pair[2], `"`); ok {
				value = strings.ReplaceAll(strings.TrimSuffix(inner, `"`), "$KEY", s.key)
			}
			q.Header.Set(literal(pair[1]), value)
		}
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		s.t.Fatal(err)
	}
	defer a.Body.Close()
	text, _ := io.ReadAll(a.Body)
	if err := json.Unmarshal(text, &got); err != nil || a.StatusCode >= 300 {
		s.t.Fatalf("%s: status %d, %v: %s", command, a.StatusCode, err, text)
	}
	return got
}

// commandsOf are the lines of a welcome that are to be pasted, each as one.
func commandsOf(said string) (found []string) {
	_, said, _ = strings.Cut(said, "\nA sign-in ")
	for line := range strings.SplitSeq(strings.ReplaceAll(said, " `\n   ", ""), "\n") {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "$KEY") || strings.HasPrefix(line, "Invoke-") {
			found = append(found, line)
		}
	}
	return found
}

func TestOnWindowsASignInIsShownInPowerShell(t *testing.T) {
	r := serve(t, filepath.Join(t.TempDir(), "it's here"))
	var said strings.Builder
	if err := r.welcome(t.Context(), r.dir, shell.PowerShell, &said); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\n  API key      " + shell.PowerShell.SetKey(machine.KeyFile(r.dir)) + "\n",
		"\n  or, in cmd   set /p KEY=<\"" + machine.KeyFile(r.dir) + "\"\n",
		"(in cmd, type powershell first)",
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it doesn't say %q:\n%s", want, said.String())
		}
	}
	commands := commandsOf(strings.ReplaceAll(said.String(), r.Issuer(), r.url))
	if len(commands) != 5 {
		t.Fatalf("got %d commands, want 5:\n%s", len(commands), said.String())
	}
	s := &powerShell{t: t}
	s.types(commands[0])
	if got := s.types(commands[1])["version"]; got != 1.0 {
		t.Errorf("the policy: got version %v, want 1", got)
	}
	challenge := s.types(commands[2])["challenge"].(map[string]any)
	message := s.types(commands[3])["messages"].([]any)[0].(map[string]any)
	answer := strings.NewReplacer("/ID/", "/"+challenge["id"].(string)+"/", "TOKEN", challenge["token"].(string), "CODE", message["code"].(string))
	if got := s.types(answer.Replace(commands[4])); got["verified"] != true {
		t.Errorf("got %v, want verified", got)
	}
}
