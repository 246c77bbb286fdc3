package shell

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// awkward are texts that a shell would take for something else if they weren't quoted.
var awkward = []string{
	"/data/countersign/local/api-key", "/tmp/it's here/api-key", `D:\Our Data\countersign\local\api-key`,
	"$HOME/$(id)/`id`/%PATH%", `a "quoted" one; rm & | < > ! * ? [x] {y} ~`, "‘marks’ ‚of‛ print", "two\nlines", "-n", "",
}

// run gives what a POSIX shell prints.
func run(t *testing.T, name, commands string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, "-c", commands)
	command.Env, command.Stderr = append(os.Environ(), "no_proxy=*"), t.Output()
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, commands)
	}
	return string(out)
}

// shells are those of this machine.
func shells(t *testing.T) (found []string) {
	t.Helper()
	for _, name := range []string{"sh", "bash", "dash", "zsh"} {
		if _, err := exec.LookPath(name); err == nil {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("no POSIX shell")
		}
		t.Skip("install a POSIX shell")
	}
	return found
}

func TestAnyTextIsOneWordOfAPOSIXShell(t *testing.T) {
	for _, name := range shells(t) {
		for _, text := range awkward {
			if got := run(t, name, "printf '%s|' "+POSIX.Quoted(text)); got != text+"|" {
				t.Errorf("%s: got %q, want %q", name, got, text)
			}
		}
	}
}

func TestTheKeyOfAnyFolderIsReadByAPOSIXShell(t *testing.T) {
	for i, folder := range []string{"plain", "it's here", `"$HOME" & co`} {
		file := filepath.Join(t.TempDir(), folder, "api-key")
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("csk_%d", i)
		if err := os.WriteFile(file, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, name := range shells(t) {
			if got := run(t, name, POSIX.SetKey(file)+"\nprintf %s \"$KEY\""); got != want {
				t.Errorf("%s, %s: got %q, want %q", name, folder, got, want)
			}
		}
	}
}

func TestAPOSIXShellMakesTheCallThatIsMeant(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("install curl")
	}
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, strings.Join([]string{
			r.Method, r.URL.String(), r.Header.Get("Authorization"), r.Header.Get("If-Match"), r.Header.Get("Content-Type"), string(body),
		}, "\n"))
	}))
	defer echo.Close()
	const json = "application/json"
	for _, c := range []struct {
		call Call
		want []string
	}{
		{Call{URL: "/a?b=c&d=e"}, []string{"GET", "/a?b=c&d=e", "", "", "", ""}},
		{Call{URL: "/a", Bearer: "$KEY", Body: `{"name":"it's \"so\" $KEY"}`}, []string{"POST", "/a", "Bearer csk_1", "", json, `{"name":"it's \"so\" $KEY"}`}},
		{Call{Method: "PUT", URL: "/a", Bearer: "TOKEN", IfMatch: "7", Body: `{}`}, []string{"PUT", "/a", "Bearer TOKEN", `"7"`, json, `{}`}},
		{Call{Method: "DELETE", URL: "/a", Bearer: "$KEY"}, []string{"DELETE", "/a", "Bearer csk_1", "", "", ""}},
	} {
		c.call.URL = echo.URL + c.call.URL
		for _, name := range shells(t) {
			if got, want := run(t, name, "KEY=csk_1\n"+POSIX.Call(c.call)+" -sS"), strings.Join(c.want, "\n"); got != want {
				t.Errorf("%s: %s\ngot  %q\nwant %q", name, POSIX.Call(c.call), got, want)
			}
		}
	}
}

func TestPowerShellIsGivenItsOwnCommandAndQuotes(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{PowerShell.Quoted("it's"), "'it''s'"},
		{PowerShell.Quoted("‘a’ ‚b‛"), "'‘‘a’’ ‚‚b‛‛'"},
		{PowerShell.Quoted("$HOME `n \"x\" %PATH%"), "'$HOME `n \"x\" %PATH%'"},
		{PowerShell.SetKey(`D:\Our Data\it's\api-key`), `$KEY = Get-Content -LiteralPath 'D:\Our Data\it''s\api-key'`},
		{PowerShell.Call(Call{URL: "http://localhost:8080/a?b=c"}), "Invoke-RestMethod 'http://localhost:8080/a?b=c' | ConvertTo-Json -Depth 9"},
		{
			PowerShell.Call(Call{URL: "http://localhost:8080/a", Bearer: "TOKEN", Body: `{"code":"CODE"}`}),
			"Invoke-RestMethod -Method POST 'http://localhost:8080/a' `\n" +
				"  -Headers @{ Authorization = \"Bearer TOKEN\" } `\n" +
				"  -ContentType 'application/json' -Body '{\"code\":\"CODE\"}' | ConvertTo-Json -Depth 9",
		},
		{
			PowerShell.Call(Call{Method: "PUT", URL: "http://localhost:8080/a", Bearer: "$KEY", IfMatch: "7", Body: `{}`}),
			"Invoke-RestMethod -Method PUT 'http://localhost:8080/a' `\n" +
				"  -Headers @{ Authorization = \"Bearer $KEY\"; 'If-Match' = '\"7\"' } `\n" +
				"  -ContentType 'application/json' -Body '{}' | ConvertTo-Json -Depth 9",
		},
	} {
		if c.got != c.want {
			t.Errorf("got\n%s\nwant\n%s", c.got, c.want)
		}
	}
}

func TestWindowsHasPowerShellAndTheOthersAPOSIXShell(t *testing.T) {
	for goos, want := range map[string]Shell{"windows": PowerShell, "linux": POSIX, "darwin": POSIX, "freebsd": POSIX} {
		if got := Of(goos); got != want {
			t.Errorf("%s: got %s, want %s", goos, got, want)
		}
	}
}
