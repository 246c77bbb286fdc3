package main

import (
	"go/importer"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// subject has a place for each pattern, and each place decides about the output.
const subject = `package main

import "fmt"

type counted struct{ n int }

func (c *counted) add() { c.n++ }

func ready() bool { return true }

func main() {
	c := &counted{}
	c.add()
	c.n = c.n * 3
	if ready() {
		fmt.Println(1)
	}
	fmt.Println(c.n == 3, c.n < 3, c.n >= 3, c.n < 9 && c.n < 2, c.n < 2 || c.n < 9)
	for i := range 3 {
		if i == 1 {
			break
		}
		fmt.Println(i)
	}
}
`

// written writes the subject as a module of its own.
func written(t *testing.T) (dir string, found []*mutant) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{"go.mod": "module countersign/subject\n\ngo 1.26\n", "main.go": subject} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := &listed{Dir: dir, ImportPath: "countersign/subject", GoFiles: []string{"main.go"}}
	files := token.NewFileSet()
	found, err := findIn(p, files, importer.ForCompiler(files, "source", nil))
	if err != nil {
		t.Fatal(err)
	}
	return dir, found
}

func TestEachPatternChangesWhatTheProgramDoesAndNothingElseDoes(t *testing.T) {
	dir, found := written(t)
	var patterns []string
	for i, m := range found {
		m.ID = i + 1
		if !slices.Contains(patterns, m.Pattern) {
			patterns = append(patterns, m.Pattern)
		}
	}
	slices.Sort(patterns)
	if want := []string{"arithmetic", "boundary", "condition", "drop", "logic", "loop", "negation", "step"}; !slices.Equal(patterns, want) {
		t.Fatalf("got %v, want %v", patterns, want)
	}
	layer, err := overlay(t.TempDir(), []listed{{Dir: dir, ImportPath: "countersign/subject", GoFiles: []string{"main.go"}}}, found)
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "subject")
	build := exec.Command("go", "build", "-overlay", layer, "-o", binary, ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	output := func(id string) string {
		cmd := exec.Command(binary)
		cmd.Env = append(os.Environ(), "MUTANT="+id)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("change %s: %v\n%s", id, err, out)
		}
		return string(out)
	}
	plain := output("0")
	if want := "1\ntrue false true false true\n0\n"; plain != want {
		t.Fatalf("without a change: got %q, want %q", plain, want)
	}
	same := map[string]bool{ // changing these boundaries changes nothing, because the two sides are never equal
		"c.n < 9": true, "c.n < 2": true,
	}
	for _, m := range found {
		changed := output(strconv.Itoa(m.ID)) != plain
		if changed == same[m.Part] {
			t.Errorf("%s: got changed %v", m.place(), changed)
		}
	}
}

func TestTheSameSeedChoosesTheSameChangesAndASixthAreDrops(t *testing.T) {
	var all []*mutant
	for i := range 1000 {
		pattern := "negation"
		if i%50 == 0 {
			pattern = "drop"
		}
		all = append(all, &mutant{File: "a.go", Pattern: pattern, Part: strconv.Itoa(i)})
	}
	parts := func() (chosen []string, drops int) {
		for _, m := range choose(all, 60, 7) {
			chosen = append(chosen, m.Part)
			if m.Pattern == "drop" {
				drops++
			}
		}
		return chosen, drops
	}
	first, drops := parts()
	second, _ := parts()
	if !slices.Equal(first, second) || len(first) != 60 || drops < 10 {
		t.Errorf("got %d and %d changes, %d of them drops; the same: %v", len(first), len(second), drops, slices.Equal(first, second))
	}
}
