package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// machine says what kind of machine this is.
func machine() string {
	return fmt.Sprintf("%d cores, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// figures are what one round gave.
type figures struct {
	perSecond, p50, p99, cpu float64 // verifies, ms, ms, ms a verify
	resident                 float64 // MB
}

// localServer measures verify, right codes by email, on the local server with its durable store, over loopback HTTP. The
// challenges are begun outside the timed phase, each by a user of its own.
func localServer(out io.Writer, verifies, rounds int) error {
	dir, err := os.MkdirTemp("", "countersign-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "local")
	if text, err := exec.Command("go", "build", "-o", binary, "countersign/infra/local").CombinedOutput(); err != nil {
		return fmt.Errorf("build the local server: %w\n%s", err, text)
	}
	fmt.Fprint(out, "| verify on the local server | per second | p50, ms | p99, ms | CPU a verify, ms | resident, MB |\n|---|---|---|---|---|---|\n")
	var ready []float64
	for _, atOnce := range []int{4, 64} {
		var all []figures
		for round := range rounds {
			f, start, err := localRound(binary, filepath.Join(dir, fmt.Sprintf("%d-%d", atOnce, round)), verifies, atOnce)
			if err != nil {
				return err
			}
			all, ready = append(all, f), append(ready, start)
		}
		fmt.Fprintf(out, "| %d at a time | %.0f | %.1f | %.1f | %.2f | %.0f |\n", atOnce,
			median(all, func(f figures) float64 { return f.perSecond }), median(all, func(f figures) float64 { return f.p50 }),
			median(all, func(f figures) float64 { return f.p99 }), median(all, func(f figures) float64 { return f.cpu }),
			median(all, func(f figures) float64 { return f.resident }))
	}
	slices.Sort(ready)
	fmt.Fprintf(out, "\nMedian of %d rounds of %d verifies, each a conditional write that is synced to disk before the answer; "+
		"client on the same cores. From exec to ready: %.0f ms.\n", rounds, verifies, ready[len(ready)/2])
	return nil
}

func median(all []figures, of func(figures) float64) float64 {
	values := make([]float64, len(all))
	for i, f := range all {
		values[i] = of(f)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// A local is a running local server.
type local struct {
	base, key string
	http      *http.Client
	process   *os.Process
}

func localRound(binary, data string, verifies, atOnce int) (f figures, readyMS float64, err error) {
	command := exec.Command(binary, "-addr", "127.0.0.1:0", "-data", data)
	stdout, err := command.StdoutPipe()
	if err != nil {
		return f, 0, err
	}
	begun := time.Now()
	if err := command.Start(); err != nil {
		return f, 0, err
	}
	defer func() { err = errors.Join(err, command.Process.Kill()); command.Wait() }()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return f, 0, err
	}
	readyMS = float64(time.Since(begun).Microseconds()) / 1000
	key, err := os.ReadFile(filepath.Join(data, "api-key"))
	if err != nil {
		return f, 0, err
	}
	l := &local{
		base: strings.TrimSpace(strings.TrimPrefix(line, "listening on ")), key: strings.TrimSpace(string(key)), process: command.Process,
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}},
	}
	f, err = l.round(verifies, atOnce)
	return f, readyMS, err
}

// round begins the challenges, then times their verifies.
func (l *local) round(verifies, atOnce int) (f figures, err error) {
	if _, err := l.call("PUT", "/v1/orgs/bench/policy", `{"profile":"kls"}`); err != nil {
		return f, err
	}
	ids := make([]string, verifies)
	if _, err := l.all(verifies, atOnce, func(i int) error {
		a, err := l.call("POST", "/v1/challenges", fmt.Sprintf(`{"org":"bench","user":{"id":"u%d","email":"u%[1]d@bench.example"}}`, i))
		ids[i], _ = a["challenge"].(map[string]any)["id"].(string)
		return err
	}); err != nil {
		return f, err
	}
	outbox, err := l.call("GET", "/local/outbox", "")
	if err != nil {
		return f, err
	}
	codes := map[string]string{}
	for _, m := range outbox["messages"].([]any) {
		m := m.(map[string]any)
		codes[m["to"].(string)] = m["code"].(string)
	}
	cpu := cpuMS(l.process.Pid)
	begun := time.Now()
	took, err := l.all(verifies, atOnce, func(i int) error {
		_, err := l.call("POST", "/v1/challenges/"+ids[i]+"/verify", `{"code":"`+codes[fmt.Sprintf("u%d@bench.example", i)]+`"}`)
		return err
	})
	if err != nil {
		return f, err
	}
	f.perSecond = float64(verifies) / time.Since(begun).Seconds()
	f.cpu = (cpuMS(l.process.Pid) - cpu) / float64(verifies)
	slices.Sort(took)
	ms := func(at int) float64 { return float64(took[at].Microseconds()) / 1000 }
	f.p50, f.p99, f.resident = ms(len(took)/2), ms(len(took)*99/100), residentMB(l.process.Pid)
	return f, nil
}

// all does n things, so many at a time, and says how long each took.
func (l *local) all(n, atOnce int, do func(i int) error) ([]time.Duration, error) {
	took, errs := make([]time.Duration, n), make([]error, atOnce)
	next := make(chan int)
	var workers sync.WaitGroup
	for w := range atOnce {
		workers.Go(func() {
			for i := range next {
				begun := time.Now()
				errs[w] = errors.Join(errs[w], do(i))
				took[i] = time.Since(begun)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
	return took, errors.Join(errs...)
}

func (l *local) call(method, path, body string) (map[string]any, error) {
	request, err := http.NewRequest(method, l.base+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+l.key)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if method == "PUT" {
		request.Header.Set("If-Match", `"0"`)
	}
	response, err := l.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s %s", method, path, response.Status, text)
	}
	var answer map[string]any
	return answer, json.Unmarshal(text, &answer)
}

// cpuMS is the processor time that the threads of a process have used; 0: it can't be told here.
// https://docs.kernel.org/scheduler/sched-stats.html
func cpuMS(pid int) (ms float64) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, path := range threads {
		said, _ := os.ReadFile(path)
		first, _, _ := strings.Cut(string(said), " ")
		ns, _ := strconv.ParseFloat(first, 64)
		ms += ns / 1e6
	}
	return ms
}

// residentMB is a process's resident memory; 0: it can't be told here.
func residentMB(pid int) float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kb, _ := strconv.ParseFloat(strings.Fields(rest + " 0")[0], 64)
	return kb / 1024
}
