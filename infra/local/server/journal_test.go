package server

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func opened(t *testing.T, path string) *journal[string] {
	t.Helper()
	j, err := openJournal[string](path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.close() })
	return j
}

func TestAJournalKeepsWhatWasAdded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list.jsonl")
	j := opened(t, path)
	for _, e := range []string{"one", "two <&> \n", "three"} {
		if err := j.add(e); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"one", "two <&> \n", "three"}
	if got := j.all(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := opened(t, path).all(); !slices.Equal(got, want) {
		t.Errorf("read again: got %q, want %q", got, want)
	}
	if err := j.clear(); err != nil {
		t.Fatal(err)
	}
	if err := j.add("four"); err != nil {
		t.Fatal(err)
	}
	if got := opened(t, path).all(); !slices.Equal(got, []string{"four"}) {
		t.Errorf("cleared: got %q, want four alone", got)
	}
}

func TestALastLineThatWasCutShortIsDropped(t *testing.T) {
	for _, torn := range []string{`"tw`, `"two"`, `{`} {
		path := filepath.Join(t.TempDir(), "list.jsonl")
		if err := os.WriteFile(path, []byte("\"one\"\n"+torn), 0o644); err != nil {
			t.Fatal(err)
		}
		j := opened(t, path)
		if err := j.add("three"); err != nil {
			t.Fatal(err)
		}
		want := []string{"one", "three"}
		if got := j.all(); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", torn, got, want)
		}
		if got := opened(t, path).all(); !slices.Equal(got, want) {
			t.Errorf("%q: read again: got %q, want %q", torn, got, want)
		}
		if about, err := os.Stat(path); err != nil || about.Mode().Perm() != 0o600 {
			t.Errorf("got mode %o and %v, want 600", about.Mode().Perm(), err)
		}
	}
}

func TestAJournalThatIsDamagedInTheMiddleIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list.jsonl")
	if err := os.WriteFile(path, []byte("\"one\"\n\"sec\n\"three\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := openJournal[string](path)
	if err == nil || !strings.Contains(err.Error(), "line 2") || strings.Contains(err.Error(), "sec") {
		t.Errorf("got %v, want an error that names the line and not what is in it", err)
	}
}
