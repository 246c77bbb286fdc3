package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestACommandRunsBesideAServerThatTakesItsKey(t *testing.T) {
	var out bytes.Buffer
	err := run(t.Context(), []string{"beside", "sh", "-c", `test -n "$COUNTERSIGN_KEY" && echo "$COUNTERSIGN_URL"`}, &out)
	if err != nil || !strings.HasPrefix(out.String(), "http://localhost:") {
		t.Errorf("got %q and %v, want an address on this machine", out.String(), err)
	}
}

func TestACommandThatFailsIsToldOf(t *testing.T) {
	if err := run(t.Context(), []string{"beside", "false"}, &bytes.Buffer{}); err == nil {
		t.Error("got no error")
	}
	if err := run(t.Context(), []string{"beside"}, &bytes.Buffer{}); err == nil {
		t.Error("got no error without a command")
	}
}

func TestTheStrictCopyIsWritten(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"strict"}, &out); err != nil {
		t.Fatal(err)
	}
	var document struct{ Paths map[string]any }
	if err := json.Unmarshal(out.Bytes(), &document); err != nil || len(document.Paths) < 20 {
		t.Errorf("got %d paths and %v, want 20 or more", len(document.Paths), err)
	}
}

func TestREADMEsExamplesAreThoseThatTheTestCommandRuns(t *testing.T) {
	content := func(path string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.FromSlash(path))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	readme, command := content("../../README.md"), content("../test")
	for _, c := range []struct{ language, file, runs string }{
		{"go", "go/example/main.go", "\tbeside bin/example\n"},
		{"ts", "typescript/example.ts", "\tbeside node out/example.js\n"},
	} {
		blocks := regexp.MustCompile("(?s)\n```"+c.language+"\n(.*?)```\n").FindAllStringSubmatch(readme, -1)
		if len(blocks) != 1 || !strings.Contains(content(c.file), "\n"+blocks[0][1]+"\n") {
			t.Errorf("%s: README doesn't have a part of it", c.file)
		}
		if !strings.Contains(command, c.runs) {
			t.Errorf("infra/test doesn't run %s", c.file)
		}
	}
}
