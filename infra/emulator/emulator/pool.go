package emulator

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"countersign/infra/amazon"
)

// A pool has the processes of one function, in places. A call waits until a place is free. The places are used one after the
// other, so calls that follow each other come to different processes. A place starts its process when it is first used, as in
// Lambda.
type pool struct {
	e      *Emulator
	f      *function
	folder string // where the built function is
	free   chan *place
	all    []*place
	canary atomic.Pointer[canary] // the next build of the function, if Deploy has made one ready
	limit  atomic.Int64           // after how many nanoseconds an invocation is ended; 0: when the template says
}

// A place has one process of a function. If the process ends, the place gets another one.
type place struct {
	name       string // names the process in the path of its calls
	mu         sync.Mutex
	process    process
	generation int64 // the number of the settings that the process was started with
	starting   bool  // the process has not asked for its first event yet
	events     int64 // how many events its processes have got
}

// newPool makes a pool of n places. name is the beginning of their names.
func (e *Emulator) newPool(f *function, folder, name string, n int) *pool {
	p := &pool{e: e, f: f, folder: folder, free: make(chan *place, n)}
	for i := range n {
		at := &place{name: fmt.Sprintf("%s-%d", name, i+1)}
		p.all = append(p.all, at)
		p.free <- at
	}
	return p
}

// invoke gives one process an event, and returns its answer.
func (p *pool) invoke(ctx context.Context, event []byte) ([]byte, error) {
	p = p.chosen()
	if p.e.counts.throttle(p.f.step) {
		return nil, errThrottled
	}
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
	p.e.running.Go(func() { // the process goes on when the caller has gone away
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

// startTime is how long a process may take until it asks for its first event.
const startTime = 20 * time.Second

func (p *pool) use(at *place, event []byte) (_ []byte, err error) {
	began := time.Now()
	defer func() { p.e.counts.invoked(p.f.step, time.Since(began), err) }()
	running, err := p.ensure(at)
	if err != nil {
		return nil, err
	}
	at.mu.Lock()
	at.events++
	at.mu.Unlock()
	answer, err := p.give(running, event)
	if err == nil && p.e.deaths.take(p.f.step, BeforeAnswer) {
		running.Kill()
		return nil, amazon.ErrEnded
	}
	return answer.Body, err
}

// give gives a process an event. If it takes too long, it is killed.
func (p *pool) give(to process, event []byte) (amazon.Answer, error) {
	ctx := p.e.ctx
	if limit := time.Duration(p.limit.Load()); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, amazon.ErrTimedOut)
		defer cancel()
	}
	return to.Invoke(ctx, event, p.f.timeout)
}

// Limit lets each invocation of a step run out of time after d from now on, as if the function had got stuck. The function is
// told that it has as long as the template says. With zero it has.
func (e *Emulator) Limit(step string, d time.Duration) { e.pools[step].limit.Store(int64(d)) }

// ensure returns the process of a place. It starts one if there is none, or if the settings have changed.
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
	started, err := p.e.start(ctx, p, at.name)
	at.mu.Lock()
	defer at.mu.Unlock()
	at.starting = false
	if err != nil {
		return nil, err
	}
	at.process, at.generation = started, now
	return started, nil
}

// kill kills the processes of a pool, and those of the next build, and returns how many there were.
func (p *pool) kill() (n int) {
	if c := p.canary.Load(); c != nil {
		n = c.pool.kill()
	}
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

// A Moment is a moment in the work of a process.
type Moment string

// These are the moments at which a process can be killed.
const (
	BeforeCommit Moment = "before the commit" // its write was not made
	AfterCommit  Moment = "after the commit"  // its write was made, and the process got no answer
	BeforeAnswer Moment = "before the answer" // it has answered, and the caller got no answer
)

// deaths says which processes are to be killed, and at which moment.
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
