package dynamolocal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// startTimeout is how long DynamoDB Local may take to answer. It takes about 2 s on an idle machine.
const startTimeout = 60 * time.Second

// stopTimeout is how long DynamoDB Local may take to end before it is killed. It has no data that could be lost.
const stopTimeout = 10 * time.Second

// Options says how to run DynamoDB Local. The zero value is useful.
type Options struct {
	Port int // the port on 127.0.0.1; 0 stands for any free port
}

// A Server is a running DynamoDB Local. Its tables are the same for all credentials and regions.
type Server struct {
	Endpoint string // its URL, such as http://127.0.0.1:8000

	process *os.Process
	stdin   io.WriteCloser
	rolled  chan struct{}
	done    chan struct{} // closed when the process has ended
	stop    sync.Once
}

// Start starts DynamoDB Local, which must be installed, and returns when it answers. ctx limits only the start. The server ends
// when Stop is called, or when this process ends: it reads a pipe from this process, and stops when the pipe is closed.
func Start(ctx context.Context, o Options) (*Server, error) {
	dir, err := Dir()
	if err != nil {
		return nil, err
	}
	if !installed(dir) {
		return nil, errors.New("dynamolocal: DynamoDB Local is not installed")
	}
	java, err := find("java", "default-jdk-headless (or openjdk-17-jdk-headless)")
	if err != nil {
		return nil, fmt.Errorf("dynamolocal: start: %w", err)
	}
	temporary, err := os.MkdirTemp("", "countersign-dynamodb-")
	if err != nil {
		return nil, fmt.Errorf("dynamolocal: start: %w", err)
	}
	lib := filepath.Join(dir, "lib")
	cmd := exec.Command(java, "-Djava.library.path="+lib, "-Djava.net.preferIPv4Stack=true",
		"-Djava.io.tmpdir="+temporary, "-XX:-UsePerfData", // the file for PerfData would be in /tmp whatever the folder for temporary files is
		"-cp", filepath.Join(lib, "*")+string(filepath.ListSeparator)+dir, "Loopback", strconv.Itoa(o.Port), temporary)
	cmd.Dir = dir
	said := &head{limit: 4 << 10}
	cmd.Stderr = said
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("dynamolocal: start: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("dynamolocal: start: %w", err)
	}
	if err := cmd.Start(); err != nil {
		os.Remove(temporary)
		return nil, fmt.Errorf("dynamolocal: start: %w", err)
	}
	s := &Server{process: cmd.Process, stdin: stdin, rolled: make(chan struct{}, 1), done: make(chan struct{})}
	listening := make(chan string, 1)
	go func() {
		defer close(s.done)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if address, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
				listening <- address
			}
			if lines.Text() == "rolled" {
				s.rolled <- struct{}{}
			}
		}
		cmd.Wait()
		os.RemoveAll(temporary) // the server has removed the folder itself, unless it was killed
	}()

	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case address := <-listening:
		s.Endpoint = "http://" + address
	case <-s.done:
		return nil, fmt.Errorf("dynamolocal: start: java ended: %s", said)
	case <-ctx.Done():
		s.Stop()
		return nil, fmt.Errorf("dynamolocal: start: %w: %s", ctx.Err(), said)
	}
	if err := answers(ctx, s.Endpoint); err != nil {
		s.Stop()
		return nil, fmt.Errorf("dynamolocal: start: %w: %s", err, said)
	}
	return s, nil
}

// answers makes one request. DynamoDB Local refuses it, because it has no credentials, but that is an answer.
func answers(ctx context.Context, endpoint string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// RollShards makes the stream of each table end its shard and go on with a child of it, as DynamoDB does after four hours. It
// must not be called by several goroutines at once.
func (s *Server) RollShards(ctx context.Context) error {
	if _, err := io.WriteString(s.stdin, "\n"); err != nil {
		return fmt.Errorf("dynamolocal: roll shards: %w", err)
	}
	select {
	case <-s.rolled:
		return nil
	case <-s.done:
		return errors.New("dynamolocal: roll shards: the server has ended")
	case <-ctx.Done():
		return fmt.Errorf("dynamolocal: roll shards: %w", ctx.Err())
	}
}

// Stop ends the server and waits until it has ended. It can be called more than once.
func (s *Server) Stop() {
	s.stop.Do(func() { s.stdin.Close() })
	select {
	case <-s.done:
	case <-time.After(stopTimeout):
		s.process.Kill()
		<-s.done
	}
}

// Done returns a channel that is closed when the server has ended, by Stop or by itself.
func (s *Server) Done() <-chan struct{} { return s.done }

// A head keeps the first bytes that are written to it, and drops the rest.
type head struct {
	mu    sync.Mutex
	limit int
	buf   bytes.Buffer
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if room := h.limit - h.buf.Len(); room > 0 {
		h.buf.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.TrimSpace(h.buf.String())
}
