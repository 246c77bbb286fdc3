package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"countersign/infra/amazon"
)

// A function is a process of a bootstrap.
type function struct {
	*amazon.Runtime
	said  logged
	ready time.Duration // from its exec until it asked for its first event
}

// patience is how long a function may take for anything.
const patience = 30 * time.Second

// launch starts a bootstrap in a slot (nil: none) and waits until it asks for its first event.
func launch(ctx context.Context, program string, environment []string, in *slot) (*function, error) {
	f := &function{}
	var err error
	f.Runtime, err = amazon.Launch(amazon.Program{Path: program, Function: "bench", Environment: environment, Output: &f.said, Start: in.start})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if f.ready, err = f.Ready(ctx); err != nil {
		return nil, fmt.Errorf("start %s: %w: %s", program, err, f.said.text())
	}
	return f, nil
}

// invoke hands an event over and gives the answer, and how long it took from the one to the other.
func (f *function) invoke(ctx context.Context, event []byte) (body []byte, took time.Duration, err error) {
	answer, err := f.Invoke(ctx, event, patience)
	if err != nil {
		err = fmt.Errorf("%w: %s", err, f.said.text())
	}
	return answer.Body, answer.Took, err
}

// logged counts what a process writes, and keeps the beginning of it.
type logged struct {
	mu   sync.Mutex
	kept bytes.Buffer
	n    int
}

// Write implements io.Writer.
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n += len(p); l.kept.Len() < 4<<10 {
		l.kept.Write(p)
	}
	return len(p), nil
}

func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept.String()
}

func (l *logged) bytes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// A slot is a share of a core that processes are started in.
type slot struct {
	dir   string // of the cgroup
	tasks string // the file that takes what is to be in it
	group string // the same file of the group that this process is in
}

// start starts a command and tells when. A nil slot is all that the machine has.
func (s *slot) start(c *exec.Cmd) (time.Time, error) {
	if s == nil {
		at := time.Now()
		return at, c.Start()
	}
	return s.startIn(c)
}

// add moves a process that runs into the slot.
func (s *slot) add(pid int) error {
	if s == nil {
		return nil
	}
	return os.WriteFile(s.procs(), fmt.Append(nil, pid), 0)
}
