package house

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestTheTestsThatThePageOfThievesNamesAreThere(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", ".github", "docs", "stolen.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(page), -1)
	if len(named) < 12 {
		t.Fatalf("the page names %d tests, want one for each row", len(named))
	}
	written := map[string]bool{}
	for _, names := range testNames(t) {
		for _, name := range names {
			written[name] = true
		}
	}
	for _, name := range named {
		if !written[name[1]] {
			t.Errorf("stolen.md names %s, and there is no such test", name[1])
		}
	}
}
