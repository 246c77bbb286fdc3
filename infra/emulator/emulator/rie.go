package emulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"countersign/infra/amazon"
	"countersign/infra/local/machine"
)

// FindRIE returns the path of Amazon's Runtime Interface Emulator, which is part of the SAM CLI that infra/test installs. It is
// empty if there is none.
func FindRIE() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	machine := map[string]string{"amd64": "x86_64", "arm64": "arm64"}[goruntime.GOARCH]
	found, _ := filepath.Glob(filepath.Join(cache, "countersign", "sam-*", "lib", "*", "site-packages", "samcli", "local", "rapid", "aws-lambda-rie-"+machine))
	if len(found) == 0 || machine == "" || goruntime.GOOS != "linux" {
		return ""
	}
	return slices.Max(found)
}

// An interfaceEmulator is a process of a function under Amazon's Runtime Interface Emulator.
type interfaceEmulator struct {
	command *exec.Cmd
	url     string
	ended   chan struct{}
	client  *http.Client
	stop    sync.Once
	killed  atomic.Bool
}

// guarded is a shell script that runs the program in its arguments. When the script's input ends, it kills its process group.
// The input ends when the process at the other end of the pipe dies.
const guarded = `exec 3<&0; { read -r _ <&3; kill -KILL 0; } >/dev/null 2>&1 & exec "$@" </dev/null 3<&-`

// launchRIE starts a bootstrap under the program at rie, and waits until it takes events.
func launchRIE(ctx context.Context, rie, path string, f *function, environment []string, lines *recentLines) (process, error) {
	outer, inner := freeAddress(), freeAddress()
	r := &interfaceEmulator{
		url: "http://" + outer + "/2015-03-31/functions/function/invocations", ended: make(chan struct{}), client: &http.Client{},
	}
	r.command = exec.Command("/bin/sh", "-c", guarded, "sh",
		rie, "--log-level", "error", "--runtime-interface-emulator-address", outer, "--runtime-api-address", inner, path)
	r.command.Env = append(environment, fmt.Sprintf("AWS_LAMBDA_FUNCTION_TIMEOUT=%d", f.timeout/time.Second), "PATH="+os.Getenv("PATH"))
	r.command.Stdout, r.command.Stderr = lines, lines
	r.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r.command.WaitDelay = time.Second
	if _, err := r.command.StdinPipe(); err != nil {
		return nil, err
	}
	if err := r.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", f.step, err)
	}
	go func() {
		r.command.Wait()
		close(r.ended)
	}()
	for machine.Pause(ctx, 5*time.Millisecond) {
		conn, err := net.Dial("tcp", outer)
		if err == nil {
			conn.Close()
			return r, nil
		}
		select {
		case <-r.ended:
			return nil, fmt.Errorf("start %s: it ended: %s", f.step, lines)
		default:
		}
	}
	r.Kill()
	return nil, fmt.Errorf("start %s: %w", f.step, ctx.Err())
}

// freeAddress returns an address at which nobody listened a moment ago.
func freeAddress() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0"
	}
	defer listener.Close()
	return listener.Addr().String()
}

// Invoke gives the function an event, and returns its answer.
func (r *interfaceEmulator) Invoke(ctx context.Context, event []byte, timeout time.Duration) (amazon.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout+2*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(event))
	if err != nil {
		return amazon.Answer{}, err
	}
	res, err := r.client.Do(q)
	if err != nil {
		r.Kill() // otherwise the process could get the next event while it ends
		return amazon.Answer{}, errors.Join(amazon.ErrEnded, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || r.killed.Load() { // while it is being killed, the emulator can still answer in place of the function
		r.Kill()
		return amazon.Answer{}, errors.Join(amazon.ErrEnded, err)
	}
	var failed struct {
		Type string `json:"errorType"`
	}
	if json.Unmarshal(body, &failed) == nil && failed.Type != "" || res.StatusCode != http.StatusOK {
		return amazon.Answer{}, &amazon.FunctionError{Said: string(body)}
	}
	return amazon.Answer{Body: body}, nil
}

// Kill also kills the bootstrap, which has a process group of its own, before its parent can start another one.
func (r *interfaceEmulator) Kill() {
	r.killed.Store(true)
	r.stop.Do(func() {
		select {
		case <-r.ended: // another process may have its id by now
			return
		default:
		}
		group := -r.command.Process.Pid
		syscall.Kill(group, syscall.SIGSTOP)
		for _, child := range children(r.command.Process.Pid) {
			syscall.Kill(child, syscall.SIGKILL)
		}
		syscall.Kill(group, syscall.SIGKILL)
	})
	<-r.ended
}

// children returns the ids of the child processes of a process.
// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
func children(pid int) (found []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the process has ended
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // the state, the parent, …
		if len(fields) < 2 || fields[1] != strconv.Itoa(pid) {
			continue
		}
		if child, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			found = append(found, child)
		}
	}
	return found
}

// Ended returns a channel that is closed when the process has ended.
func (r *interfaceEmulator) Ended() <-chan struct{} { return r.ended }
