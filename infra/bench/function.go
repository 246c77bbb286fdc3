package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"countersign/infra/amazon"
)

// A function is a running process of a function's bootstrap.
type function struct {
	*amazon.Runtime
	said  *journal
	ready time.Duration // the time from its exec until it asked for its first event
}

// patience is how long the bench waits for a start or an answer.
const patience = 30 * time.Second

// launch starts a bootstrap in a slot, which may be nil, and waits until it asks for its first event.
func launch(ctx context.Context, program string, environment []string, in *slot) (*function, error) {
	said, err := newJournal()
	if err != nil {
		return nil, err
	}
	f := &function{said: said}
	f.Runtime, err = amazon.Launch(amazon.Program{Path: program, Function: "bench", Environment: environment, Output: said.File, Start: in.start})
	if err != nil {
		said.Close()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if f.ready, err = f.Ready(ctx); err != nil {
		err = fmt.Errorf("start %s: %w: %s", program, err, said.text())
		f.Kill()
		return nil, err
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

// Kill ends the process.
func (f *function) Kill() {
	f.Runtime.Kill()
	f.said.Close()
}

// A journal is a file to which a process writes what it logs. The process writes to the file itself, so everything that it wrote
// before it answered is there when the answer comes. A pipe would still have some of it.
type journal struct{ *os.File }

// newJournal makes a journal. Its file has no name any longer, so it is gone when it is closed.
func newJournal() (*journal, error) {
	file, err := os.CreateTemp("", "countersign-bench-log")
	if err != nil {
		return nil, err
	}
	os.Remove(file.Name())
	return &journal{file}, nil
}

// text returns the beginning of the journal.
func (j *journal) text() string {
	text := make([]byte, 4<<10)
	n, _ := j.ReadAt(text, 0)
	return string(text[:n])
}

// bytes returns how many bytes the journal has.
func (j *journal) bytes() int {
	about, err := j.Stat()
	if err != nil {
		return 0
	}
	return int(about.Size())
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
