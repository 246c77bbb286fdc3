package house

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	caseOfFlag = regexp.MustCompile(`(?m)^\t(-[a-z]+)\)`)
	toldFlag   = regexp.MustCompile("infra/test( -[a-z]+)|`(-[a-z]+)`")
)

// untoldFlags reports which flags of the test command a text doesn't mention, and which flags it mentions that don't exist.
func untoldFlags(command, name, text string) (found []string) {
	var told []string
	for _, groups := range toldFlag.FindAllStringSubmatch(text, -1) {
		told = append(told, strings.TrimSpace(groups[1]+groups[2]))
	}
	var flags []string
	for _, groups := range caseOfFlag.FindAllStringSubmatch(command, -1) {
		flags = append(flags, groups[1])
		if !slices.Contains(told, groups[1]) {
			found = append(found, fmt.Sprintf("%s doesn't tell of infra/test %s", name, groups[1]))
		}
	}
	for _, flag := range told {
		if !slices.Contains(flags, flag) {
			found = append(found, fmt.Sprintf("%s tells of infra/test %s, which there is not", name, flag))
		}
	}
	return found
}

func TestTheDocumentsTellHowTheTestCommandIsRun(t *testing.T) {
	command := string(read(t, "infra/test"))
	if n := len(caseOfFlag.FindAllString(command, -1)); n < 2 {
		t.Errorf("got %d flags of infra/test, want -quick and -full", n)
	}
	usage, _, _ := strings.Cut(command, "\nset -euo")
	for name, text := range map[string]string{
		"its own usage": usage, "README.md": string(read(t, "README.md")), ".github/CONTRIBUTING.md": string(read(t, ".github/CONTRIBUTING.md")),
	} {
		if !strings.Contains(text, "infra/test") {
			t.Errorf("%s doesn't tell of infra/test", name)
		}
		for _, f := range untoldFlags(command, name, text) {
			t.Error(f)
		}
	}
}

func TestAFlagOfTheTestCommandThatIsNotToldOfIsFound(t *testing.T) {
	const command = "case $arg in\n\t-quick) race= ;;\n\t*) usage ;;\nesac"
	for text, want := range map[string]string{
		"`./infra/test -quick` is quick":          "",
		"`./infra/test`, or with `-quick`":        "",
		"`./infra/test`":                          "doesn't tell of infra/test -quick",
		"`./infra/test -quick` and `-fast`":       "tells of infra/test -fast",
		"infra/test -fast and infra/test -quick.": "tells of infra/test -fast",
	} {
		expect(t, text, untoldFlags(command, "README.md", text), want)
	}
}
