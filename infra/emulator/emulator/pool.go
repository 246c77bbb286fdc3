package emulator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"countersign/infra/amazon"
)

// A pool is the processes of one function. Who wants one waits for its turn; places are used in turn, so that calls that
// follow each other come to different processes. A place gets its process when it is first used, as in Lambda.
type pool struct {
	e    *Emulator
	f    *function
	free chan *place
	all  []*place
}

// A place is where one process of a function runs, and another after it.
type place struct {
	name       string // of the process, in the path of its endpoints
	mu         sync.Mutex
	process    process
	generation int64 // of the settings it was started with
	starting   bool  // and has not asked for its first event
	events     int64 // that its processes have been given
}

func (e *Emulator) newPool(f *function, n int) *pool {
	p := &pool{e: e, f: f, free: make(chan *place, n)}
	for i := range n {
		at := &place{name: fmt.Sprintf("%s-%d", f.step, i+1)}
		p.all = append(p.all, at)
		p.free <- at
	}
	return p
}

// invoke has one process work on an event.
func (p *pool) invoke(ctx context.Context, event []byte) ([]byte, error) {
	var at *place
	select {
	case at = <-p.free:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	type result struct {
		body []byte
		err  error
	}
	done := make(chan result, 1)
	p.e.running.Go(func() { // which goes on when the caller has gone away
		defer func() { p.free <- at }()
		body, err := p.use(at, event)
		done <- result{body, err}
	})
	select {
	case r := <-done:
		return r.body, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// startTime is how long a process may take before it asks for its first event, at the most.
const startTime = 20 * time.Second

func (p *pool) use(at *place, event []byte) ([]byte, error) {
	running, err := p.ensure(at)
	if err != nil {
		return nil, err
	}
	at.mu.Lock()
	at.events++
	at.mu.Unlock()
	answer, err := running.Invoke(p.e.ctx, event, p.f.timeout)
	if err == nil && p.e.deaths.take(p.f.step, BeforeAnswer) {
		running.Kill()
		return nil, amazon.ErrEnded
	}
	return answer.Body, err
}

// ensure gives the process of a place, and starts one if there is none, or only one with settings that have changed.
func (p *pool) ensure(at *place) (process, error) {
	now := p.e.generation.Load()
	at.mu.Lock()
	old, of := at.process, at.generation
	at.mu.Unlock()
	if old != nil {
		select {
		case <-old.Ended():
		default:
			if of == now {
				return old, nil
			}
			old.Kill()
		}
	}
	at.mu.Lock()
	at.starting = true
	at.mu.Unlock()
	ctx, cancel := context.WithTimeout(p.e.ctx, startTime)
	defer cancel()
	started, err := p.e.start(ctx, p.f, at.name)
	at.mu.Lock()
	defer at.mu.Unlock()
	at.starting = false
	if err != nil {
		return nil, err
	}
	at.process, at.generation = started, now
	return started, nil
}

// kill ends the processes of a pool, and answers how many there were.
func (p *pool) kill() (n int) {
	for _, at := range p.all {
		at.mu.Lock()
		running := at.process
		at.mu.Unlock()
		if running != nil {
			running.Kill()
			n++
		}
	}
	return n
}

// A Moment is one in the work of a process.
type Moment string

// When a process may be killed.
const (
	BeforeCommit Moment = "before the commit" // its write has not been made
	AfterCommit  Moment = "after the commit"  // its write has been made, and it was not told
	BeforeAnswer Moment = "before the answer" // it has answered, and nobody was told
)

// deaths are those that wait for processes to come to their moment.
type deaths struct {
	mu      sync.Mutex
	waiting map[string]Moment // by step
	died    map[string]int    // by step
}

func (d *deaths) set(step string, at Moment) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting[step] = at
}

func (d *deaths) take(step string, at Moment) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting[step] != at {
		return false
	}
	delete(d.waiting, step)
	d.died[step]++
	return true
}

func (d *deaths) count(step string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.died[step]
}
