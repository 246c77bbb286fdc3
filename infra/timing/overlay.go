package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// judged is a part of step.go, where a bearer is judged before anything is read. readFirst takes its place.
const (
	judged = `	who, err := authenticate(filter, call, &st)
	if err != nil {
`
	readFirst = judged + `		if failed := readAll(ctx, s.Store, st.reads...); failed != nil {
			return none, AsError(failed)
		}
`
)

// writeOverlay writes a file for the flag -overlay of go build. With it, step.go of package mfa is replaced by a copy that
// reads the account for every caller.
func writeOverlay(ctx context.Context, dir string) (path string, err error) {
	folder, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "countersign/pkg/mfa").Output()
	if err != nil {
		return "", fmt.Errorf("find package mfa: %w", err)
	}
	original := filepath.Join(strings.TrimSpace(string(folder)), "step.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	if strings.Count(string(source), judged) != 1 {
		return "", errors.New("step.go no longer judges the bearer as this program expects: bring overlay.go up to date")
	}
	changed := filepath.Join(dir, "step.go")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(source), judged, readFirst, 1)), 0o600); err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, text, 0o600)
}
