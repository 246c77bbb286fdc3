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

// A function is a running process of a function's bootstrap.
type function struct {
	*amazon.Runtime
	said  logged
	ready time.Duration // the time from its exec until it asked for its first event
}

// patience is how long the bench waits for a start or an answer.
const patience = 30 * time.Second

// launch starts a bootstrap in a slot, which may be nil, and waits until it asks for its first event.
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

// invoke gives the function an event, and returns the answer and the time that it took.
func (f *function) invoke(ctx context.Context, event []byte) (body []byte, took time.Duration, err error) {
	answer, err := f.Invoke(ctx, event, patience)
	if err != nil {
		err = fmt.Errorf("%w: %s", err, f.said.text())
	}
	return answer.Body, answer.Took, err
}

// A logged counts the bytes that a process writes, and keeps the first of them.
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

// A slot is a cgroup whose processes have a share of a core.
type slot struct {
	dir   string // the folder of the cgroup
	tasks string // the file to which the id of a thread is written to put the thread into the cgroup; empty with version 2
	group string // the same file of the cgroup of this process
}

// start starts a command, and returns the time at which it did. Without a slot the command has whole cores.
func (s *slot) start(c *exec.Cmd) (time.Time, error) {
	if s == nil {
		at := time.Now()
		return at, c.Start()
	}
	return s.startIn(c)
}

// add moves a running process into the slot.
func (s *slot) add(pid int) error {
	if s == nil {
		return nil
	}
	return os.WriteFile(s.procs(), fmt.Append(nil, pid), 0)
}
