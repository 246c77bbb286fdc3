package emulator

import (
	"os"
	"path/filepath"
	"sync/atomic"
)

// A canary is the next build of a function. A share of the calls goes to it, as CodeDeploy weighs the versions of an alias.
// https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
type canary struct {
	pool    *pool
	percent atomic.Int64 // of the calls, that go to this build
	calls   atomic.Int64 // of the function since Deploy, to both builds
	taken   atomic.Int64 // how many of them went to this build
}

// chosen returns the pool that the next call goes to. Lambda draws lots for each call; here the share is exact.
func (p *pool) chosen() *pool {
	c := p.canary.Load()
	if c == nil {
		return p
	}
	n, percent := c.calls.Add(1), c.percent.Load()
	if n*percent/100 == (n-1)*percent/100 {
		return p
	}
	c.taken.Add(1)
	return c.pool
}

// builds returns the pools of both builds of a function, or the one if there is no other.
func (p *pool) builds() []*pool {
	if c := p.canary.Load(); c != nil {
		return []*pool{p, c.pool}
	}
	return []*pool{p}
}

// Deploy makes the functions in a folder ready as the next build. No call goes to them before Shift. A function that isn't in the
// folder stays as it is.
func (e *Emulator) Deploy(folder string) error {
	for step, p := range e.pools {
		switch _, err := os.Stat(filepath.Join(folder, step)); {
		case os.IsNotExist(err):
		case err != nil:
			return err
		default:
			p.canary.Store(&canary{pool: e.newPool(p.f, folder, step+"-next", len(p.all))})
		}
	}
	return nil
}

// Shift lets a share of the calls of each function, in percent, go to the build of Deploy from now on.
func (e *Emulator) Shift(percent int) {
	for _, p := range e.pools {
		if c := p.canary.Load(); c != nil {
			c.percent.Store(int64(percent))
		}
	}
}

// Shifted returns how many calls of a step have come since Deploy, and how many of them went to the next build.
func (e *Emulator) Shifted(step string) (calls, next int) {
	c := e.pools[step].canary.Load()
	if c == nil {
		return 0, 0
	}
	return int(c.calls.Load()), int(c.taken.Load())
}
