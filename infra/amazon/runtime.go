package amazon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// ErrEnded says that a function's process ended or was killed before it answered.
var ErrEnded = errors.New("the function's process ended before it answered")

// ErrTimedOut says that a function took longer than its timeout and was killed, as Lambda does it.
var ErrTimedOut = errors.New("the function timed out")

// A FunctionError is the error that a function has reported.
type FunctionError struct {
	Said string // JSON, as the function has sent it to the Runtime API
}

// Error returns the report of the function.
func (e *FunctionError) Error() string { return "the function failed: " + e.Said }

// A Program is the bootstrap of a function, and how to run it.
type Program struct {
	Path        string
	Function    string    // the name of the function in its ARN
	Environment []string  // NAME=value; Launch adds the address of the Runtime API
	Output      io.Writer // gets everything that the process writes
	// Start starts the process and returns the time at which it did. If Start is nil, Launch starts the process.
	Start func(*exec.Cmd) (time.Time, error)
}

// A Runtime is one process of a function, behind a Runtime API of its own. The API gives the process one event at a time, and
// takes its answer. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
type Runtime struct {
	command  *exec.Cmd
	web      *http.Server
	waiting  chan invocation
	given    chan time.Time // the time at which the process got an event
	answered chan outcome
	ready    chan struct{} // closed when the process has asked for its first event
	took     time.Duration // from the start of the process until then
	ended    chan struct{} // closed when the process has ended
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
	at   time.Time
	err  error
}

// An Answer is the answer of a function to an event, with the time from when the function got the event.
type Answer struct {
	Body []byte
	Took time.Duration
}

// mostAnswer is the length of the longest answer of a function, in bytes.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const mostAnswer = 6 << 20

// Launch starts a function's process. The Runtime API listens on 127.0.0.1 until the process has ended.
func Launch(p Program) (*Runtime, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Runtime{
		waiting: make(chan invocation), given: make(chan time.Time, 1), answered: make(chan outcome),
		ready: make(chan struct{}), ended: make(chan struct{}),
	}
	asked := make(chan time.Time, 1)
	var first sync.Once
	api := http.NewServeMux()
	api.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, q *http.Request) {
		first.Do(func() { asked <- time.Now() })
		select {
		case i := <-r.waiting:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", i.id)
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(i.deadline.UnixMilli()))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:"+Region+":"+AccountID+":function:"+p.Function)
			r.given <- time.Now()
			w.Write(i.event)
		case <-q.Context().Done():
		case <-r.ended:
		}
	})
	api.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/{kind}", func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, mostAnswer))
		at := time.Now()
		if err == nil && q.PathValue("kind") != "response" {
			err = &FunctionError{string(body)}
		}
		select {
		case r.answered <- outcome{q.PathValue("id"), body, at, err}:
			w.WriteHeader(http.StatusAccepted)
		case <-r.ended:
		}
	})
	r.web = &http.Server{Handler: api}
	go r.web.Serve(listener)
	r.command = exec.Command(p.Path)
	r.command.Env = append(slices.Clone(p.Environment), "AWS_LAMBDA_RUNTIME_API="+listener.Addr().String())
	r.command.Stdout, r.command.Stderr = p.Output, p.Output
	start := p.Start
	if start == nil {
		start = func(c *exec.Cmd) (time.Time, error) { return time.Now(), c.Start() }
	}
	started, err := start(r.command)
	if err != nil {
		r.web.Close()
		return nil, fmt.Errorf("start %s: %w", p.Path, err)
	}
	go func() {
		r.command.Wait() // Invoke reports an end by ErrEnded, whatever the exit status is
		close(r.ended)
		r.web.Close()
	}()
	go func() {
		select {
		case at := <-asked:
			r.took = at.Sub(started)
			close(r.ready)
		case <-r.ended:
		}
	}()
	return r, nil
}

// Ready waits until the function asks for its first event, and returns the time from the start of the process. If ctx ends
// before, it kills the process.
func (r *Runtime) Ready(ctx context.Context) (time.Duration, error) {
	select {
	case <-r.ready:
		return r.took, nil
	case <-r.ended:
		return 0, ErrEnded
	case <-ctx.Done():
		r.Kill()
		return 0, ctx.Err()
	}
}

// Invoke gives the function an event and returns its answer, or a *FunctionError. If the function takes longer than timeout,
// or if ctx ends before, Invoke kills the process.
func (r *Runtime) Invoke(ctx context.Context, event []byte, timeout time.Duration) (Answer, error) {
	i := invocation{requestID(), event, time.Now().Add(timeout)}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, ErrTimedOut)
	defer cancel()
	var given time.Time
	waiting := r.waiting
	for {
		select {
		case waiting <- i:
			waiting, given = nil, <-r.given
		case o := <-r.answered:
			if o.id == i.id {
				return Answer{o.body, o.at.Sub(given)}, o.err
			}
		case <-r.ended:
			return Answer{}, ErrEnded
		case <-ctx.Done():
			r.Kill()
			return Answer{}, context.Cause(ctx)
		}
	}
}

// requestID returns an id of the form that Lambda uses.
func requestID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Kill kills the process (SIGKILL), and waits until it has ended.
func (r *Runtime) Kill() {
	r.stop.Do(func() { r.command.Process.Kill() })
	<-r.ended
}

// Ended returns a channel that is closed when the process has ended.
func (r *Runtime) Ended() <-chan struct{} { return r.ended }

// Pid returns the id of the process.
func (r *Runtime) Pid() int { return r.command.Process.Pid }
