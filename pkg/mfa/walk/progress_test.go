package walk

import (
	"sync"
	"testing"
	"time"
)

// logEvery is how often a walk logs how far it has come.
const logEvery = time.Minute

// A progress is how far a walk has come. It is read outside of the walk, because time stands still inside.
type progress struct {
	mu            sync.Mutex
	walks, states int
	done          float64 // from 0 to 1: see walker.done
}

func (p *progress) at(walks, states int, done float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.walks, p.states, p.done = walks, states, done
}

// log logs how far the walk has come, again and again until the returned function is called.
func (p *progress) log(t *testing.T) (stop func()) {
	began, over := time.Now(), make(chan struct{})
	var logger sync.WaitGroup
	logger.Go(func() {
		every := time.NewTicker(logEvery)
		defer every.Stop()
		for {
			select {
			case <-over:
				return
			case <-every.C:
				p.mu.Lock()
				t.Logf("after %s: %d states in %d walks, and at least %.1f %% of the way", time.Since(began).Round(time.Second), p.states, p.walks, 100*p.done)
				p.mu.Unlock()
			}
		}
	})
	return func() {
		close(over)
		logger.Wait()
	}
}
