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

// built has the functions that were built for this test process.
var built struct {
	once   sync.Once
	folder string
	err    error
}

// Functions returns a folder with the bootstraps of all functions, by their names, built for this machine. It is the folder
// that COUNTERSIGN_FUNCTIONS names, which infra/test has filled, or else one that is built for all tests of this process. The
// tests must not change it. A package whose tests call Functions must call Main in its TestMain.
func Functions(tb testing.TB) string {
	tb.Helper()
	if folder := os.Getenv("COUNTERSIGN_FUNCTIONS"); folder != "" {
		return folder
	}
	built.once.Do(func() {
		if built.folder, built.err = os.MkdirTemp("", "countersign-functions-"); built.err == nil {
			// The context of the first test can't be used, because the other tests need the functions after it.
			built.err = emulator.Build(context.Background(), ".", built.folder)
		}
	})
	if built.err != nil {
		tb.Fatal(built.err)
	}
	return built.folder
}

// Bootstrap returns the path of the bootstrap of one function.
func Bootstrap(tb testing.TB, function string) string {
	tb.Helper()
	return filepath.Join(Functions(tb), function)
}

// Main runs the tests, removes what was built for them, and returns the exit status.
func Main(m *testing.M) int {
	defer func() { os.RemoveAll(built.folder) }()
	return m.Run()
}
