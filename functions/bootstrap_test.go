package functions

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A runtime is one process of a function and what stands for Lambda's Runtime API before it: it hands out one event at a
// time and takes the answer. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
type runtime struct {
	function string
	waiting  chan []byte // events
	answered chan outcome
	ready    chan struct{} // closed when it has asked for its first event
	ended    chan struct{} // closed when the process has ended
	log      *lockedBuffer
	stop     func() // ends the process
}

type outcome struct {
	body []byte
	err  error
}

// launch starts a function's bootstrap with an environment. It ends with the test.
func launch(t testing.TB, step string, environment []string) *runtime {
	t.Helper()
	r := &runtime{
		function: step, waiting: make(chan []byte), answered: make(chan outcome),
		ready: make(chan struct{}), ended: make(chan struct{}), log: &lockedBuffer{},
	}
	var first sync.Once
	var number atomic.Int64
	api := http.NewServeMux()
	api.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, q *http.Request) {
		first.Do(func() { close(r.ready) })
		select {
		case event := <-r.waiting:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", fmt.Sprintf("00000000-0000-4000-8000-%012d", number.Add(1)))
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(10*time.Second).UnixMilli()))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:"+r.function)
			w.Write(event)
		case <-q.Context().Done():
		}
	})
	api.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/{kind}", func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err == nil && q.PathValue("kind") != "response" {
			err = fmt.Errorf("the function failed: %s", body)
		}
		w.WriteHeader(http.StatusAccepted)
		select {
		case r.answered <- outcome{body, err}:
		case <-t.Context().Done():
		}
	})
	server := httptest.NewServer(api)
	ctx, stop := context.WithCancel(context.Background())
	process := exec.CommandContext(ctx, bootstrap(t, step))
	process.Env = append(slices.Clone(environment), "AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(server.URL, "http://"))
	process.Stdout, process.Stderr = r.log, r.log
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		process.Wait() // killed, in the end
		close(r.ended)
	}()
	r.stop = sync.OnceFunc(func() {
		stop()
		<-r.ended
		server.CloseClientConnections()
		server.Close()
	})
	t.Cleanup(r.stop)
	return r
}

// invoke hands the function an event and gives its answer.
func (r *runtime) invoke(event []byte) ([]byte, error) {
	patience := time.NewTimer(time.Minute)
	defer patience.Stop()
	select {
	case r.waiting <- event:
	case <-r.ended:
		return nil, fmt.Errorf("the function ended: %s", r.log.String())
	case <-patience.C:
		return nil, fmt.Errorf("the function doesn't ask for events: %s", r.log.String())
	}
	select {
	case o := <-r.answered:
		return o.body, o.err
	case <-r.ended:
		return nil, fmt.Errorf("the function ended: %s", r.log.String())
	case <-patience.C:
		return nil, fmt.Errorf("the function gives no answer: %s", r.log.String())
	}
}

// built holds the bootstraps of all functions, built for this machine by the first test that asks.
var built struct {
	once   sync.Once
	folder string
	err    error
}

// bootstrap is the path of a function's.
func bootstrap(t testing.TB, step string) string {
	t.Helper()
	built.once.Do(func() {
		if built.folder, built.err = os.MkdirTemp("", "countersign-functions-"); built.err != nil {
			return
		}
		build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", built.folder+string(filepath.Separator), "./...")
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.folder, step)
}

func TestMain(m *testing.M) {
	status := m.Run()
	if built.folder != "" {
		os.RemoveAll(built.folder)
	}
	os.Exit(status)
}

// A lockedBuffer is a log that several write to.
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
