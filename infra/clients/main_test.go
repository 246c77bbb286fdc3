package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestACommandRunsBesideAServerThatTakesItsKey(t *testing.T) {
	var out bytes.Buffer
	err := run(t.Context(), []string{"beside", "sh", "-c", `test -n "$COUNTERSIGN_KEY" && echo "$COUNTERSIGN_URL"`}, &out)
	if err != nil || !strings.HasPrefix(out.String(), "http://127.0.0.1:") {
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
