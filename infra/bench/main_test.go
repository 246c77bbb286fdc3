package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheTablesAreWrittenBetweenTheMarksAndNowhereElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(path, []byte("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tables := range []string{"| one |\n", "| two |\n"} {
		if err := between(path, []byte(tables)); err != nil {
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
		err := between(path, []byte("| table |\n"))
		if got, _ := os.ReadFile(path); err == nil || string(got) != text {
			t.Errorf("got %q, %v, want %q and an error", got, err, text)
		}
	}
}

func TestEveryStepOfTheTableCanBeCounted(t *testing.T) {
	var out strings.Builder
	if err := countedSteps(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		"| start, not asked | 1 | 0 |\n", "| verify, right | 2 | 1 |\n", "| verify with trust | 2 | 3 |\n",
		"| start, by app | 2 | 1 |\n", "| verify by app, right | 2 | 1 |\n", "| verify by app, with trust | 2 | 3 |\n",
		"| enrol, begin, an app | 2 | 1 |\n", "| enrol, begin, email | 2 | 2 |\n", "| enrol, finish, with recovery codes | 2 | 4 |\n",
		"| recover, which signs in | 2 | 1 |\n", "| recover, which removes all factors | 2 | 3 |\n", "| new recovery codes | 2 | 1 |\n",
	} {
		if !strings.Contains(out.String(), row) {
			t.Errorf("got %s, want it to have %s", out.String(), row)
		}
	}
}
