package emulator_test

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/infra/emulator/emulator"
	"countersign/infra/emulator/emulatortest"
)

func TestNoProcessOutlivesAnEmulatorThatIsKilled(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("this machine doesn't show the environments of its processes; run it on Linux")
	}
	dynamolocaltest.NeedInstalled(t)
	path := filepath.Join(t.TempDir(), "emulator")
	if out, err := exec.Command("go", "build", "-o", path, "countersign/infra/emulator").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, rie := range runtimes() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			// Go doesn't build again what is already there and up to date.
			if err := os.CopyFS(filepath.Join(dir, "data", "cache"), os.DirFS(emulatortest.Functions(t))); err != nil {
				t.Fatal(err)
			}
			command := exec.Command(path, "-addr", "127.0.0.1:0", "-data", filepath.Join(dir, "data"), "-rie="+map[bool]string{true: "true", false: "false"}[rie != ""])
			out, err := command.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { command.Process.Kill() })
			line, err := bufio.NewReader(out).ReadString('\n')
			base, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
			if err != nil || !ok {
				t.Fatalf("first line %q: %v", line, err)
			}
			res, err := http.Get(base + "/problems/busy")
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("a page: %v %v", res, err)
			}
			res.Body.Close()
			bootstraps := filepath.Join(dir, "data", "cache") + "/"
			if len(running(t, bootstraps)) == 0 {
				t.Fatal("no process of a function runs")
			}
			command.Process.Signal(syscall.SIGKILL)
			command.Wait()
			look, late := time.Tick(50*time.Millisecond), time.After(10*time.Second)
			for left := running(t, bootstraps); len(left) > 0; left = running(t, bootstraps) {
				select {
				case <-look:
				case <-late:
					t.Fatalf("still running: %q", left)
				}
			}
		})
	}
}

// running returns the command lines of processes that contain a text.
func running(t *testing.T, part string) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), part) {
			found = append(found, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	return found
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"surplus"}} {
		var errs strings.Builder
		if code := emulator.Command().Run(t.Context(), args, &errs, &errs); code != 2 {
			t.Errorf("%q: exit code %d, want 2", args, code)
		}
	}
}
