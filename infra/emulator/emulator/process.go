package emulator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// errDied says that a process ended, or was killed, before it answered.
var errDied = errors.New("the function's process ended before it answered")

// errTimedOut says that a function took longer than its time-out. Lambda kills its process then.
var errTimedOut = errors.New("the function timed out")

// A functionError is what a function failed with.
type functionError struct{ said string }

func (e *functionError) Error() string { return "the function failed: " + e.said }

// A process is one of a function. It works on one event at a time.
type process interface {
	invoke(ctx context.Context, event []byte, timeout time.Duration) ([]byte, error)
	kill()                 // as SIGKILL does, and waits until it has ended
	gone() <-chan struct{} // closed when it has ended
}

// A runtime is a process behind a Runtime API of its own, which hands out one event at a time and takes the answer.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
type runtime struct {
	command  *exec.Cmd
	web      *http.Server
	waiting  chan invocation
	answered chan outcome
	ready    chan struct{} // closed when it has asked for its first event
	ended    chan struct{}
	stop     sync.Once
}

type invocation struct {
	id       string
	event    []byte
	deadline time.Time
}

type outcome struct {
	id   string
	body []byte
	err  error
}

// mostAnswer is the most that a function may answer, in bytes.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const mostAnswer = 6 << 20

// launch starts a bootstrap and waits until it asks for its first event.
func launch(ctx context.Context, path, step string, environment []string, lines *recentLines) (process, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &runtime{
		waiting: make(chan invocation), answered: make(chan outcome), ready: make(chan struct{}), ended: make(chan struct{}),
	}
	var first sync.Once
	api := http.NewServeMux()
	api.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, q *http.Request) {
		first.Do(func() { close(r.ready) })
		select {
		case i := <-r.waiting:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", i.id)
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(i.deadline.UnixMilli()))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:"+region+":"+accountID+":function:"+step)
			w.Write(i.event)
		case <-q.Context().Done():
		}
	})
	api.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/{kind}", func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, mostAnswer))
		if err == nil && q.PathValue("kind") != "response" {
			err = &functionError{string(body)}
		}
		select {
		case r.answered <- outcome{q.PathValue("id"), body, err}:
			w.WriteHeader(http.StatusAccepted)
		case <-r.ended:
		}
	})
	r.web = &http.Server{Handler: api}
	go r.web.Serve(listener)
	r.command = exec.Command(path)
	r.command.Env = append(environment, "AWS_LAMBDA_RUNTIME_API="+listener.Addr().String())
	r.command.Stdout, r.command.Stderr = lines, lines
	if err := r.command.Start(); err != nil {
		r.web.Close()
		return nil, fmt.Errorf("start %s: %w", step, err)
	}
	go func() {
		r.command.Wait() // how it ended is told by what it didn't answer
		close(r.ended)
		r.web.Close()
	}()
	select {
	case <-r.ready:
		return r, nil
	case <-r.ended:
		return nil, fmt.Errorf("start %s: it ended: %s", step, lines)
	case <-ctx.Done():
		r.kill()
		return nil, fmt.Errorf("start %s: %w", step, ctx.Err())
	}
}

func (r *runtime) invoke(ctx context.Context, event []byte, timeout time.Duration) ([]byte, error) {
	i := invocation{rand.Text(), event, time.Now().Add(timeout)}
	late := time.NewTimer(timeout)
	defer late.Stop()
	select {
	case r.waiting <- i:
	case <-r.ended:
		return nil, errDied
	case <-ctx.Done():
		r.kill()
		return nil, ctx.Err()
	case <-late.C:
		r.kill()
		return nil, errTimedOut
	}
	for {
		select {
		case o := <-r.answered:
			if o.id == i.id {
				return o.body, o.err
			}
		case <-r.ended:
			return nil, errDied
		case <-ctx.Done():
			r.kill()
			return nil, ctx.Err()
		case <-late.C:
			r.kill()
			return nil, errTimedOut
		}
	}
}

func (r *runtime) kill() {
	r.stop.Do(func() { r.command.Process.Kill() })
	<-r.ended
}

func (r *runtime) gone() <-chan struct{} { return r.ended }

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
