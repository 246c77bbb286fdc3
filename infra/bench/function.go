package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"time"
)

// A function is a process of a bootstrap behind a Runtime API of its own, which tells when it asked for its first event
// and when it answered. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
type function struct {
	command *exec.Cmd
	web     *http.Server
	waiting chan []byte
	given   chan time.Time // when an event was handed out
	answers chan answer
	next    chan time.Time // when it asked for its first event
	ended   chan struct{}
	said    logged

	started time.Time // when it was executed
	ready   time.Duration
}

type answer struct {
	at   time.Time
	body []byte
	err  error
}

// patience is how long a function may take for anything.
const patience = 30 * time.Second

// launch starts a bootstrap in a slot (nil: none) and waits until it asks for its first event.
func launch(ctx context.Context, program string, environment []string, in *slot) (*function, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &function{
		waiting: make(chan []byte), given: make(chan time.Time, 1), answers: make(chan answer, 1), next: make(chan time.Time, 1),
		ended: make(chan struct{}),
	}
	calls, first, number := http.NewServeMux(), sync.Once{}, 0
	calls.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, r *http.Request) {
		first.Do(func() { f.next <- time.Now() })
		select {
		case event := <-f.waiting:
			number++
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", fmt.Sprintf("00000000-0000-4000-8000-%012d", number))
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(patience).UnixMilli()))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:"+region+":123456789012:function:bench")
			f.given <- time.Now()
			w.Write(event)
		case <-r.Context().Done():
		case <-f.ended:
		}
	})
	calls.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/{kind}", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		at := time.Now()
		if err == nil && r.PathValue("kind") != "response" {
			err = fmt.Errorf("the function failed: %s", body)
		}
		w.WriteHeader(http.StatusAccepted)
		f.answers <- answer{at, body, err}
	})
	f.web = &http.Server{Handler: calls}
	go f.web.Serve(listener)
	f.command = exec.Command(program)
	f.command.Env = append([]string{"AWS_LAMBDA_RUNTIME_API=" + listener.Addr().String()}, environment...)
	f.command.Stdout, f.command.Stderr = &f.said, &f.said
	if f.started, err = in.start(f.command); err != nil {
		f.web.Close()
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() {
		f.command.Wait()
		close(f.ended)
	}()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case at := <-f.next:
		f.ready = at.Sub(f.started)
		return f, nil
	case <-f.ended:
		err = errors.New("it ended")
	case <-late.C:
		err = errors.New("it doesn't ask for events")
	case <-ctx.Done():
		err = ctx.Err()
	}
	f.kill()
	return nil, fmt.Errorf("start %s: %w: %s", program, err, f.said.text())
}

// invoke hands an event over and gives the answer, and how long it took from the one to the other.
func (f *function) invoke(ctx context.Context, event []byte) (body []byte, took time.Duration, err error) {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case f.waiting <- event:
	case <-f.ended:
		return nil, 0, fmt.Errorf("the function ended: %s", f.said.text())
	case <-late.C:
		return nil, 0, errors.New("the function doesn't ask for events")
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	given := <-f.given
	select {
	case a := <-f.answers:
		return a.body, a.at.Sub(given), a.err
	case <-f.ended:
		return nil, 0, fmt.Errorf("the function ended: %s", f.said.text())
	case <-late.C:
		return nil, 0, errors.New("the function gives no answer")
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
}

// kill ends the process and waits until it has ended.
func (f *function) kill() {
	f.command.Process.Kill()
	<-f.ended
	f.web.Close()
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
func (s *slot) add(p *os.Process) error {
	if s == nil {
		return nil
	}
	return os.WriteFile(s.procs(), fmt.Append(nil, p.Pid), 0)
}
