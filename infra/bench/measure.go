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

// machine describes this machine.
func machine() string {
	return fmt.Sprintf("%d cores, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// figures are the results of one round on a server.
type figures struct {
	perSecond, p50, p99, cpu float64 // how many were completed in a second; the percentiles of their times and the processor time of each, in ms
	resident                 float64 // memory in MB of the server, without the processes of its store
	ready                    float64 // time from exec until the server is ready, in ms
}

// A contender is a server whose second step can be measured.
type contender interface {
	// open starts a server, and returns when it is ready.
	open(context.Context) (running, error)
}

// A running is a server that runs.
type running interface {
	// prepare begins n sign-ins. complete completes one of them, once.
	prepare(ctx context.Context, n, atOnce int) (complete func(i int) error, err error)
	// processes returns the ids of the server's process, which comes first, and of the processes of its store.
	processes() []int
	close()
}

// measure starts a server, begins n sign-ins, and measures how they are completed, atOnce at a time.
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

// cells returns the cells of a row, which are the medians of several rounds.
func cells(rounds []figures) string {
	return fmt.Sprintf("%.0f | %.1f | %.1f | %.2f | %.0f",
		median(rounds, func(f figures) float64 { return f.perSecond }), median(rounds, func(f figures) float64 { return f.p50 }),
		median(rounds, func(f figures) float64 { return f.p99 }), median(rounds, func(f figures) float64 { return f.cpu }),
		median(rounds, func(f figures) float64 { return f.resident }))
}

// all calls do n times, atOnce at a time, and returns how long each call took. It goes on after an error.
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

// cpuMS returns the processor time that the threads of a process have used, in ms. It is 0 if this machine doesn't say it.
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

// residentMB returns the resident memory of a process in MB. It is 0 if this machine doesn't say it.
func residentMB(pid int) float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kb, _ := strconv.ParseFloat(strings.Fields(rest + " 0")[0], 64)
	return kb / 1024
}

// family returns the ids of a process and of all its descendants.
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
