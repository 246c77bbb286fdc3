package emulatortest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"countersign/infra/emulator/emulator"
)

// next is what the next release changes in the source: it has another format of records, and a field that only that format has.
var next = []struct{ file, was, is string }{
	{"pkg/store/record/record.go", "\tLatest = 1 //", "\tLatest = 2 //"},
	{"pkg/mfa/guard.go", "\n\tReturned []returned ", "\n\tRelease string `json:\"release\" record:\"1000,since=2\"`\n\tReturned []returned "},
	{"pkg/mfa/unit.go", "\tbody, err := record.EncodeIn(u.recordFormat(), r)\n\tif", "\tif g, ok := r.(*guard); ok && u.recordFormat() == 2 {\n\t\tg.Release = \"next\"\n\t}\n" +
		"\tbody, err := record.EncodeIn(u.recordFormat(), r)\n\tif"},
}

// NextRelease builds the functions that are named, and the program infra/ctl, as a release would build them that comes after
// this one and has another format of records. It returns the folder of what it has built. That release writes format 1 until the
// key ring says 2, and reads both.
func NextRelease(tb testing.TB, root string, functions ...string) string {
	tb.Helper()
	folder := tb.TempDir()
	replaced := map[string]string{}
	for i, change := range next {
		path, err := filepath.Abs(filepath.Join(root, change.file))
		if err != nil {
			tb.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		changed := strings.Replace(string(text), change.was, change.is, 1)
		if changed == string(text) {
			tb.Fatalf("%s doesn't have %q any more, so this test can't make a next release of it", change.file, change.was)
		}
		replaced[path] = filepath.Join(folder, strings.Repeat("x", i+1)+".go")
		if err := os.WriteFile(replaced[path], []byte(changed), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		tb.Fatal(err)
	}
	said := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(said, overlay, 0o600); err != nil {
		tb.Fatal(err)
	}
	built := filepath.Join(folder, "functions")
	args := append([]string{"build", "-overlay", said, "-o", built + string(filepath.Separator)}, emulator.BuildFlags()...)
	for _, step := range functions {
		args = append(args, "countersign/functions/"+step)
	}
	build := exec.CommandContext(tb.Context(), "go", append(args, "countersign/infra/ctl")...)
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if err := os.MkdirAll(built, 0o700); err != nil {
		tb.Fatal(err)
	}
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("build the next release: %v\n%s", err, out)
	}
	return built
}
