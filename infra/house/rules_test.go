package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// ids returns the ids with which the name of a test begins. TestG2AndR10… begins with G2 and R10.
func ids(name string) (found []string) {
	rest := strings.TrimPrefix(name, "Test")
	for {
		id := regexp.MustCompile(`^(?:TB|[KSTCHNIGRBEML])[0-9]+`).FindString(rest)
		if id == "" {
			return found
		}
		found = append(found, id)
		rest = strings.TrimPrefix(rest[len(id):], "And")
	}
}

// testNames returns the names of all tests of the project, by the path of their file.
func testNames(t *testing.T) map[string][]string {
	t.Helper()
	names := map[string][]string{}
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, f := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(source), -1) {
			names[path] = append(names[path], f[1])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// explainedIds returns the ids of the rules, invariants and cases of rules.md.
func explainedIds(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", ".github", "docs", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([A-Z]+[0-9]+) \| \S.*\.`).FindAllStringSubmatch(string(text), -1) {
		explained[row[1]] = true
	}
	if len(explained) < 100 {
		t.Fatalf("got %d ids, want all of rules.md", len(explained))
	}
	return explained
}

func TestEveryIdInTheNameOfATestIsExplained(t *testing.T) {
	explained, seen := explainedIds(t), 0
	for path, names := range testNames(t) {
		for _, name := range names {
			for _, id := range ids(name) {
				seen++
				if !explained[id] {
					t.Errorf("%s: %s has the id %s, which .github/docs/rules.md doesn't explain", path, name, id)
				}
			}
		}
	}
	if seen < 100 {
		t.Errorf("got %d ids in names of tests, want many more", seen)
	}
}

func TestEveryIdIsInTheNameOfATest(t *testing.T) {
	tested := map[string]bool{}
	for _, names := range testNames(t) {
		for _, name := range names {
			for _, id := range ids(name) {
				tested[id] = true
			}
		}
	}
	for id := range explainedIds(t) {
		if !tested[id] {
			t.Errorf(".github/docs/rules.md explains %s, but no test has a name that begins with it", id)
		}
	}
}

func TestTheNameOfATestGivesItsIds(t *testing.T) {
	for name, want := range map[string]string{
		"TestG2AndR10ManyWrongCodes": "G2 R10", "TestTB4NoTrust": "TB4", "TestT4While": "T4", "TestAnEnd": "", "TestES256IsTheAlgorithm": "",
	} {
		if got := strings.Join(ids(name), " "); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
