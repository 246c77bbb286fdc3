package functions

import (
	"bytes"
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"countersign/infra/amazon"
	"countersign/infra/emulator/emulatortest"
)

// A runtime is one process of a function, with what it has logged.
type runtime struct {
	*amazon.Runtime
	log *lockedBuffer
}

// launch starts a function's bootstrap with an environment, and waits until it asks for its first event. When the test ends,
// the process is killed.
func launch(t testing.TB, step string, environment []string) *runtime {
	t.Helper()
	r := &runtime{log: &lockedBuffer{}}
	var err error
	r.Runtime, err = amazon.Launch(amazon.Program{Path: emulatortest.Bootstrap(t, step), Function: step, Environment: environment, Output: r.log})
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

func TestMain(m *testing.M) { os.Exit(emulatortest.Main(m)) }

// A lockedBuffer is a log that several goroutines can write to.
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
