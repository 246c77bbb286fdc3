// Package emulatortest gives tests the built functions.
package emulatortest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"countersign/infra/emulator/emulator"
)

// built are the functions that were built for this test process.
var built struct {
	once   sync.Once
	folder string
	err    error
}

// Functions is a folder with the bootstrap of each function by its name, built for this machine: the one that
// COUNTERSIGN_FUNCTIONS names, which infra/test has filled, or one that is built for this test process and shared by its
// tests. The bootstraps are run, never changed. A package whose tests call it has Main in its TestMain.
func Functions(tb testing.TB) string {
	tb.Helper()
	if folder := os.Getenv("COUNTERSIGN_FUNCTIONS"); folder != "" {
		return folder
	}
	built.once.Do(func() {
		if built.folder, built.err = os.MkdirTemp("", "countersign-functions-"); built.err == nil {
			// Not the context of the test that happens to ask first: the others need the functions just as much.
			built.err = emulator.Build(context.Background(), ".", built.folder)
		}
	})
	if built.err != nil {
		tb.Fatal(built.err)
	}
	return built.folder
}

// Bootstrap is the path of the bootstrap of one function.
func Bootstrap(tb testing.TB, function string) string {
	tb.Helper()
	return filepath.Join(Functions(tb), function)
}

// Main runs the tests, removes what was built for them, and gives the exit status.
func Main(m *testing.M) int {
	defer func() { os.RemoveAll(built.folder) }()
	return m.Run()
}
