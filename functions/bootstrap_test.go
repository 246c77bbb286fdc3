package functions

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"countersign/infra/amazon"
)

// A runtime is one process of a function, and what it wrote.
type runtime struct {
	*amazon.Runtime
	log *lockedBuffer
}

// launch starts a function's bootstrap with an environment, and waits until it asks for its first event. It ends with the
// test.
func launch(t testing.TB, step string, environment []string) *runtime {
	t.Helper()
	r := &runtime{log: &lockedBuffer{}}
	var err error
	r.Runtime, err = amazon.Launch(amazon.Program{Path: bootstrap(t, step), Function: step, Environment: environment, Output: r.log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Kill)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := r.Ready(ctx); err != nil {
		t.Fatalf("%s: %v: %s", step, err, r.log.String())
	}
	return r
}

// built holds the bootstraps of all functions, built for this machine by the first test that asks.
var built struct {
	once   sync.Once
	folder string
	err    error
}

// bootstrap is the path of a function's.
func bootstrap(t testing.TB, step string) string {
	t.Helper()
	built.once.Do(func() {
		if built.folder, built.err = os.MkdirTemp("", "countersign-functions-"); built.err != nil {
			return
		}
		build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", built.folder+string(filepath.Separator), "./...")
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.folder, step)
}

func TestMain(m *testing.M) {
	status := m.Run()
	if built.folder != "" {
		os.RemoveAll(built.folder)
	}
	os.Exit(status)
}

// A lockedBuffer is a log that several write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
