package house

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// unmapped reports the files of a package that its package comment doesn't name, and files that it names but that don't exist.
// The package comment has a line for each file, with the name of the file and then what it does.
func unmapped(comment string, files []string) (wrong []string) {
	named := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^//\t +(\w+\.go) +\S`).FindAllStringSubmatch(comment, -1) {
		if named[m[1]] {
			wrong = append(wrong, m[1]+" is named twice")
		}
		if named[m[1]] = true; !slices.Contains(files, m[1]) {
			wrong = append(wrong, m[1]+" is not there")
		}
	}
	for _, file := range files {
		if file != "doc.go" && !strings.HasSuffix(file, "_test.go") && !named[file] {
			wrong = append(wrong, file+" is not named")
		}
	}
	return wrong
}

func TestTheMapOfTheDomainNamesEachOfItsFiles(t *testing.T) {
	folder := filepath.Join("..", "..", "pkg", "mfa")
	comment, err := os.ReadFile(filepath.Join(folder, "doc.go"))
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(paths) < 60 {
		t.Fatalf("got %d files, %v", len(paths), err)
	}
	var files []string
	for _, path := range paths {
		files = append(files, filepath.Base(path))
	}
	for _, wrong := range unmapped(string(comment), files) {
		t.Errorf("pkg/mfa/doc.go: %s", wrong)
	}
}

func TestAFileThatTheMapForgetsOrInventsIsFound(t *testing.T) {
	comment := "//\tKinds\n//\t    a.go   the one\n//\t    a.go   again\n//\t    b.go   the other\n// c.go is in running text\n"
	got := unmapped(comment, []string{"a.go", "a_test.go", "c.go", "doc.go"})
	want := []string{"a.go is named twice", "b.go is not there", "c.go is not named"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
