package emulator

import (
	"context"
	"io"
	"strings"
	"sync"
	"time"

	"countersign/infra/amazon"
)

// A process is one of a function. It works on one event at a time.
type process interface {
	Invoke(ctx context.Context, event []byte, timeout time.Duration) (amazon.Answer, error)
	Kill()                  // as SIGKILL does, and waits until it has ended
	Ended() <-chan struct{} // closed when it has ended
}

// recentLines keeps the end of what a process writes, and copies it on.
type recentLines struct {
	mu   sync.Mutex
	text strings.Builder
	copy io.Writer    // nil: nowhere
	see  func([]byte) // nil: nobody
}

// mostKept bounds what recentLines keeps, in bytes.
const mostKept = 1 << 20

func (l *recentLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text.Len() > mostKept {
		l.text.Reset()
	}
	l.text.Write(p)
	if l.see != nil {
		l.see(p)
	}
	if l.copy != nil {
		l.copy.Write(p)
	}
	return len(p), nil
}

func (l *recentLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
