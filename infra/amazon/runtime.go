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

// ErrEnded says that a function's process ended, or was killed, before it answered.
var ErrEnded = errors.New("the function's process ended before it answered")

// ErrTimedOut says that a function took longer than it may, and was killed, as Lambda does.
var ErrTimedOut = errors.New("the function timed out")

// A FunctionError is what a function failed with.
type FunctionError struct {
	Said string // as Lambda's Runtime API has it: JSON
}

// Error says what the function said.
func (e *FunctionError) Error() string { return "the function failed: " + e.Said }

// A Program is a function's bootstrap, and how to run it.
type Program struct {
	Path        string
	Function    string    // its name, for its ARN
	Environment []string  // NAME=value; where to find the Runtime API is added
	Output      io.Writer // gets all that it writes
	// Start starts the process, and tells when. Nil: it is started at once.
	Start func(*exec.Cmd) (time.Time, error)
}

// A Runtime is one process of a function, behind a Runtime API of its own which hands out one event at a time and takes the
// answer. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
type Runtime struct {
	command  *exec.Cmd
	web      *http.Server
	waiting  chan invocation
	given    chan time.Time // when an event was handed out
	answered chan outcome
	ready    chan struct{} // closed when it has asked for its first event
	took     time.Duration // until then, since it was executed
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

// An Answer is what a function gave to an event, and how long it took from the event's being handed out.
type Answer struct {
	Body []byte
	Took time.Duration
}

// mostAnswer is the most that a function may answer, in bytes.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const mostAnswer = 6 << 20

// Launch starts a function's process. It listens on 127.0.0.1 for it until it has ended.
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
		r.command.Wait() // how it ended is told by what it didn't answer
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

// Ready waits until the function asks for its first event, and gives how long that took since it was executed. When ctx ends
// before, the function is killed.
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

// Invoke hands the function an event and gives its answer, or a *FunctionError. A function that takes longer than timeout,
// or than ctx, is killed.
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

// requestID is one as Lambda's are.
func requestID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Kill ends the process as SIGKILL does, and waits until it has ended.
func (r *Runtime) Kill() {
	r.stop.Do(func() { r.command.Process.Kill() })
	<-r.ended
}

// Ended is closed when the process has ended.
func (r *Runtime) Ended() <-chan struct{} { return r.ended }

// Pid is the number of the process.
func (r *Runtime) Pid() int { return r.command.Process.Pid }
