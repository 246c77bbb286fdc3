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

// stopTimeout is how long it may take to end before it is killed. It keeps nothing that could be lost.
const stopTimeout = 10 * time.Second

// Options say how to run DynamoDB Local. The zero value is useful.
type Options struct {
	Port int // on 127.0.0.1; zero: a free one
}

// A Server is a DynamoDB Local that runs. All credentials and regions see the same tables.
type Server struct {
	Endpoint string // its URL, http://127.0.0.1:port

	process *os.Process
	stdin   io.WriteCloser
	rolled  chan struct{}
	done    chan struct{} // closed when the process has ended
	stop    sync.Once
}

// Start runs what Install has installed and returns when it answers. ctx bounds the start only. The server ends with
// Stop, or with this process: it reads a pipe that nobody else holds, and its end is the sign to go.
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
		"-Djava.io.tmpdir="+temporary, "-XX:-UsePerfData", // whose file would lie in /tmp whatever is said
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
		os.RemoveAll(temporary) // it has done so itself, unless it was killed
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

// answers makes one request. DynamoDB Local refuses it, for it carries no credentials; that is answer enough.
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

// RollShards makes each table's stream end its shard and go on in a child of it, as it does by itself after four hours.
// It is called by one goroutine at a time.
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

// Done is closed when the server has ended, asked to or not.
func (s *Server) Done() <-chan struct{} { return s.done }

// A head keeps the first bytes of what it is given, and swallows the rest.
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
