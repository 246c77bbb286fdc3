package walk

import (
	"sync"
	"testing"
)

// A coverage is what the walks of all stages have met. Without it, nobody would notice that no stage meets some fate, call
// or field any more.
type coverage struct {
	mu     sync.Mutex
	stages int
	fates  map[fate]bool
	deeds  map[string]bool
	fields map[string]bool
}

func newCoverage() *coverage {
	return &coverage{fates: map[fate]bool{}, deeds: map[string]bool{}, fields: map[string]bool{}}
}

func (c *coverage) stage() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stages++
}

// taken records the fate of an option, and the kind of its call if there is one.
func (c *coverage) taken(o option) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fates[o.fate] = true
	for _, m := range o.moves {
		c.deeds[m.call.kind] = true
	}
}

// field records that a field of a record was not empty.
func (c *coverage) field(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fields[name] = true
}

// complete fails the test if something was never met although all stages were walked.
func (c *coverage) complete(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stages < len(stages()) {
		return // only some stages were asked for
	}
	for f := passes; f <= jumps; f++ {
		if !c.fates[f] {
			t.Errorf("no walk has come across the fate %d", f)
		}
	}
	for _, kind := range deeds {
		if !c.deeds[kind] {
			t.Errorf("no walk has come across a call that %s", kind)
		}
	}
	for record, table := range fields {
		for path, m := range table {
			if m.form != "unmet" && !c.fields[record+"."+path] {
				t.Errorf("no walk has come across %s.%s", record, path)
			}
		}
	}
}
