package main

import (
	"context"
	"errors"
	"fmt"
	"os"
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

// figures are what one round on a server gave.
type figures struct {
	perSecond, p50, p99, cpu float64 // of what was completed; ms, ms, ms each
	resident                 float64 // MB, of the server without its store's processes
	ready                    float64 // ms from exec
}

// A contender is a server that second factors can be completed on.
type contender interface {
	// open starts a server and answers when it is ready.
	open(context.Context) (running, error)
}

// A running server can be measured.
type running interface {
	// prepare begins n sign-ins and gives what completes them, each once.
	prepare(ctx context.Context, n, atOnce int) (complete func(i int) error, err error)
	// processes are those that do the work, its store's too; the first of them is the server's own.
	processes() []int
	close()
}

// measure starts a server, begins sign-ins on it, and times how they are completed.
func measure(ctx context.Context, c contender, n, atOnce int) (f figures, err error) {
	begun := time.Now()
	r, err := c.open(ctx)
	if err != nil {
		return f, err
	}
	defer r.close()
	f.ready = milliseconds(time.Since(begun))
	complete, err := r.prepare(ctx, n, atOnce)
	if err != nil {
		return f, err
	}
	cpu := func() (ms float64) {
		for _, pid := range r.processes() {
			ms += cpuMS(pid)
		}
		return ms
	}
	before := cpu()
	begun = time.Now()
	took, err := all(n, atOnce, complete)
	if err != nil {
		return f, err
	}
	f.perSecond = float64(n) / time.Since(begun).Seconds()
	f.cpu = (cpu() - before) / float64(n)
	slices.Sort(took)
	f.p50, f.p99, f.resident = milliseconds(took[n/2]), milliseconds(took[n*99/100]), residentMB(r.processes()[0])
	return f, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func median(rounds []figures, of func(figures) float64) float64 {
	values := make([]float64, len(rounds))
	for i, f := range rounds {
		values[i] = of(f)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// cells are those of a row: the medians of several rounds.
func cells(rounds []figures) string {
	return fmt.Sprintf("%.0f | %.1f | %.1f | %.2f | %.0f",
		median(rounds, func(f figures) float64 { return f.perSecond }), median(rounds, func(f figures) float64 { return f.p50 }),
		median(rounds, func(f figures) float64 { return f.p99 }), median(rounds, func(f figures) float64 { return f.cpu }),
		median(rounds, func(f figures) float64 { return f.resident }))
}

// all does n things, so many at a time, and says how long each took. It goes on after one that failed.
func all(n, atOnce int, do func(i int) error) ([]time.Duration, error) {
	took, errs := make([]time.Duration, n), make([]error, atOnce)
	next := make(chan int)
	var workers sync.WaitGroup
	for w := range atOnce {
		workers.Go(func() {
			for i := range next {
				begun := time.Now()
				if err := do(i); errs[w] == nil {
					errs[w] = err
				}
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

// family is a process with all that it started, and they.
func family(pid int) []int {
	found := []int{pid}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range lists {
		said, _ := os.ReadFile(path)
		for _, child := range strings.Fields(string(said)) {
			n, _ := strconv.Atoi(child)
			found = append(found, family(n)...)
		}
	}
	return found
}
