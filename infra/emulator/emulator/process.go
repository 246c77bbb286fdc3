package emulator

import (
	"context"
	"io"
	"strings"
	"sync"
	"time"

	"countersign/infra/amazon"
)

// A process is a process of a function. It works on one event at a time.
type process interface {
	Invoke(ctx context.Context, event []byte, timeout time.Duration) (amazon.Answer, error)
	Kill()                  // kills the process (SIGKILL), and waits until it has ended
	Ended() <-chan struct{} // closed when it has ended
}

// A recentLines keeps the end of what a process writes, and copies everything.
type recentLines struct {
	mu   sync.Mutex
	text strings.Builder
	copy io.Writer    // gets the copy; may be nil
	see  func([]byte) // is called with everything that is written; may be nil
}

// mostKept is the number of bytes after which recentLines drops what it has kept, and begins again.
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
