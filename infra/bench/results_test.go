package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheLinesAreWrittenBetweenTheMarksAndNowhereElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(path, []byte("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tables := range []string{"| one |\n", "| two |\n"} {
		if err := between(path, "bench", []byte(tables)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if want := "before\n<!-- bench -->\n" + tables + "<!-- /bench -->\nafter\n"; err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

func TestAFileWithoutMarksIsLeftAsItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	for _, text := range []string{"no marks\n", "<!-- bench -->\nno end\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		err := between(path, "bench", []byte("| table |\n"))
		if got, _ := os.ReadFile(path); err == nil || string(got) != text {
			t.Errorf("got %q, %v, want %q and an error", got, err, text)
		}
	}
}

// aTree returns a folder with a copy of README and of the file of results.
func aTree(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	for _, name := range []string{resultsFile, quotingFile} {
		text, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func contentOf(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheResultsAndWhatREADMEQuotesAreAsTheBenchWroteThem(t *testing.T) {
	root := aTree(t)
	r, err := readResults(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.write(root); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{resultsFile, quotingFile} {
		if contentOf(t, root, name) != contentOf(t, "..", "..", name) {
			t.Errorf("%s isn't as the bench wrote it: run the bench, and change nothing between its marks by hand", name)
		}
	}
}

func TestARunReplacesThePartsThatItMeasuredAndKeepsTheOthers(t *testing.T) {
	root := aTree(t)
	before, err := readResults(root)
	if err != nil {
		t.Fatal(err)
	}
	steps := strings.Replace(before["steps"], "| verify, right | 2 | 1 |", "| verify, right | 3 | 7 |", 1)
	r, err := readResults(root)
	if err != nil {
		t.Fatal(err)
	}
	r["steps"] = steps
	if err := r.write(root); err != nil {
		t.Fatal(err)
	}
	after, err := readResults(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sections() {
		want := before[s.name]
		if s.name == "steps" {
			want = steps
		}
		if after[s.name] != want {
			t.Errorf("%s: got\n%s\nwant\n%s", s.name, after[s.name], want)
		}
	}
	if readme := contentOf(t, root, quotingFile); !strings.Contains(readme, "| round trips to the store: 3; items written: 7 |") {
		t.Error("README doesn't quote what was measured anew")
	}
}

func TestWhatREADMEQuotesMustBeThere(t *testing.T) {
	root := aTree(t)
	r, err := readResults(root)
	if err != nil {
		t.Fatal(err)
	}
	r["cost"] = strings.Replace(r["cost"], "| in all |", "| in sum |", 1)
	readme := contentOf(t, root, quotingFile)
	if err := r.write(root); err == nil || !strings.Contains(err.Error(), `the part cost has no "in all"`) {
		t.Errorf("got %v, want what is missing", err)
	}
	if got := contentOf(t, root, resultsFile); !strings.Contains(got, "| in sum |") {
		t.Error("what was measured is lost")
	}
	if contentOf(t, root, quotingFile) != readme {
		t.Error("README was changed")
	}
}

func TestWithoutAFileOfResultsNothingIsMeasuredYet(t *testing.T) {
	r, err := readResults(t.TempDir())
	if err != nil || len(r) != 0 {
		t.Fatalf("got %v, %v, want no results", r, err)
	}
	if got, want := strings.Count(r.text(), "Not measured yet.\n"), len(sections()); got != want {
		t.Errorf("%d parts say that they are not measured, want %d", got, want)
	}
}
