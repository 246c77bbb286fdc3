package functions

import (
	"bufio"
	"context"
	"crypto/sha1"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/pkg/api"
	"countersign/pkg/pages"
)

// samFolder returns the folder of the virtual environment in which infra/test installs the SAM CLI.
func samFolder(t testing.TB) string {
	t.Helper()
	wanted, err := os.ReadFile("../infra/sam-lint/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	// infra/test names the folder by what "git hash-object" prints for the file, which is computed here.
	hash := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(wanted)), wanted...))
	folder := filepath.Join(cache, "countersign", fmt.Sprintf("sam-lint-%x", hash))
	if _, err := os.Stat(filepath.Join(folder, "complete")); err == nil {
		return folder
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("The SAM CLI is not installed. Run ./infra/test, which installs it.")
	}
	t.Skip("The SAM CLI is not installed. Run ./infra/test once, which installs it.")
	return ""
}

// samEnvironment returns the environment of a developer without AWS credentials. SAM leaves temporary folders behind, so it
// gets a folder of its own for them.
func samEnvironment(t testing.TB) []string {
	t.Helper()
	own := slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "AWS_") || strings.HasPrefix(e, "SAM_") })
	nowhere := filepath.Join(t.TempDir(), "none")
	return append(own, "SAM_CLI_TELEMETRY=0", "AWS_EC2_METADATA_DISABLED=true", "TMPDIR="+t.TempDir(),
		"AWS_CONFIG_FILE="+nowhere, "AWS_SHARED_CREDENTIALS_FILE="+nowhere)
}

// checkout copies the project, without what git ignores, so that the commands of operating.md can be run in the copy.
func checkout(t testing.TB) (root string) {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z", "-co", "--exclude-standard")
	list.Dir = ".."
	files, err := list.Output()
	if err != nil {
		t.Fatal("git ls-files:", err)
	}
	root = t.TempDir()
	for name := range strings.SplitSeq(strings.TrimSuffix(string(files), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join("..", name))
		if os.IsNotExist(err) {
			continue // the file is deleted, but the deletion is not committed yet
		}
		to := filepath.Join(root, name)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o700)
		}
		if err == nil {
			err = os.WriteFile(to, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// undocked returns the command that runs the SAM CLI in the folder root without a container engine.
func undocked(t testing.TB, ctx context.Context, root string, args ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(ctx, filepath.Join(samFolder(t), "bin", "python"), append([]string{"infra/sam-lint/undocked.py"}, args...)...)
	command.Dir, command.Env = root, samEnvironment(t)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 10 * time.Second
	return command
}

// startAPI runs "sam local start-api" until the test ends. It returns the URL and the routes that SAM says it mounts, each as
// the function's logical id, the method and the path.
func startAPI(t testing.TB, root string, args ...string) (url string, mounted []string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	command := undocked(t, ctx, root, append(args, "--port", "0")...)
	out, in := io.Pipe()
	command.Stdout, command.Stderr = in, in
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		command.Wait()
		in.Close()
	}()
	var said lockedBuffer
	ready, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			fmt.Fprintln(&said, lines.Text())
			if _, at, listens := strings.Cut(lines.Text(), "Running on "); listens {
				ready <- at
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		if t.Failed() {
			t.Log(said.String())
		}
	})
	select {
	case url = <-ready:
	case <-ended:
		t.Fatal("sam local start-api ended")
	case <-time.After(time.Minute):
		t.Fatal("sam local start-api doesn't listen")
	}
	for _, m := range regexp.MustCompile(`Mounting (\S+) at http://[^/]+(\S+) \[(.*)\]`).FindAllStringSubmatch(said.String(), -1) {
		for method := range strings.SplitSeq(m[3], ", ") {
			mounted = append(mounted, m[1]+": "+method+" "+m[2])
		}
	}
	return url, mounted
}

func TestSAMMountsEveryRouteOfTheTable(t *testing.T) {
	_, functions := readTemplate(t)
	_, mounted := startAPI(t, "..", "local", "start-api", "--template", "template.yaml")
	var table []string
	for _, s := range api.Steps {
		f := functions[s.Name]
		if f == nil {
			t.Fatalf("template.yaml has no function %s", s.Name)
		}
		for _, r := range s.Routes {
			for _, method := range r.Methods() {
				table = append(table, f.Resource+": "+method+" "+r.Pattern)
			}
		}
	}
	for _, route := range pages.Routes {
		table = append(table, functions["pages"].Resource+": "+route)
	}
	// SAM answers preflights itself, as API Gateway does.
	mounted = slices.DeleteFunc(mounted, func(route string) bool { return strings.Contains(route, ": "+http.MethodOptions+" ") })
	same(t, "what sam local start-api mounts", mounted, "the route table", table)
}
