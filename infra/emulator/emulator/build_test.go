package emulator_test

import (
	"os"
	"strings"
	"testing"

	"countersign/infra/emulator/emulator"
)

func TestTheFunctionsAreBuiltAsOperatorsBuildThem(t *testing.T) {
	flags := emulator.BuildFlags()
	last := len(flags) - 1
	flags[last] = `"` + flags[last] + `"` // it contains a space
	for _, path := range []string{"../../../.github/docs/operating.md", "../../test"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := "'" + strings.Join(flags, " ") + "'"; !strings.Contains(string(text), want) {
			t.Errorf("%s doesn't have %s", path, want)
		}
	}
}
