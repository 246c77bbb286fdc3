package walk

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// A walker goes through all schedules of a stage, depth first. It begins each schedule from the start, and makes the calls
// anew up to the point where the schedules part. When it comes to a state that it has seen, it has also seen everything that
// can follow, so it turns back.
type walker struct {
	testing.TB
	stage     *stage
	props     *props
	losses    int
	shortcuts // naive: it never turns back either
	written   written

	path  []fork
	seen  map[state]float64 // the states that were seen, and the number of ways that lead on from each
	ends  map[state]bool    // the outcomes: the store at the end, and the answers
	all   float64           // the number of schedules
	walks int               // the schedules that were walked, to the end or to a state that had been seen

	*progress
}

// A fork is a state on the path, and the option that is being walked from there.
type fork struct {
	state
	options, taken int
	ways           float64
}

// walk goes through all schedules.
func (w *walker) walk(ctx context.Context) {
	w.written.grown = true
	for more := true; (more || w.written.grown) && !w.Failed(); more = w.back() {
		if w.written.grown {
			w.path, w.seen, w.ends, w.written.grown = nil, map[state]float64{}, map[state]bool{}, false
		}
		for !w.one(ctx) {
		}
		w.walks++
		w.at(w.walks, len(w.seen), w.done())
	}
}

// done estimates from 0 to 1 how much of the tree of schedules was walked, as if all options of a fork led to equally much.
// In fact less is left, because most of the states still to come will have been seen already.
func (w *walker) done() (done float64) {
	share := 1.0
	for _, f := range w.path {
		share /= float64(f.options)
		done += share * float64(f.taken)
	}
	return done
}

// back moves on to the next option of the last fork that has one left.
func (w *walker) back() bool {
	for len(w.path) > 0 {
		last := &w.path[len(w.path)-1]
		if last.taken++; last.taken < last.options {
			return true
		}
		ways := last.ways
		w.all = ways
		w.seen[last.state] = ways
		w.path = w.path[:len(w.path)-1]
		if len(w.path) > 0 {
			w.path[len(w.path)-1].ways += ways
		}
	}
	return false
}

// one walks the schedule of the path, and from its end always takes the first option. It returns false if chance has spoilt
// the schedule.
func (w *walker) one(ctx context.Context) bool {
	s := w.props.open(ctx, w.stage, w.losses, w.shortcuts, &w.written)
	defer s.close()
	known, depth := len(w.path), 0
	var story []string
	for {
		options := s.options()
		if depth >= known {
			if !w.enter(s, options, story) {
				return true
			}
		} else if w.path[depth].options != len(options) {
			w.Errorf("%s: a schedule can't be repeated; got %d options, want %d:\n%s",
				w.stage.name, len(options), w.path[depth].options, strings.Join(story, "\n"))
			return true
		}
		o := options[w.path[depth].taken]
		story = append(story, o.String())
		w.props.coverage.taken(o)
		s.take(o)
		if s.chance {
			w.undo(known)
			return false
		}
		depth++
	}
}

// undo forgets everything that was found since the path had this length.
func (w *walker) undo(known int) {
	for _, f := range w.path[known:] {
		delete(w.seen, f.state)
	}
	w.path = w.path[:known]
}

// enter adds a state to the path, and returns false if there is nothing more to see.
func (w *walker) enter(s *schedule, options []option, story []string) bool {
	here := s.state()
	if len(s.faults) > 0 {
		w.Errorf("%s: the stage is at fault: %v, after\n%s", w.stage.name, s.faults[0], strings.Join(story, "\n"))
		return false
	}
	if s.broken != nil {
		w.Errorf("%s: %v, after\n%s", w.stage.name, s.broken, strings.Join(story, "\n"))
		return false
	}
	last := &fork{}
	if len(w.path) > 0 {
		last = &w.path[len(w.path)-1]
	}
	ways, seen := w.seen[here]
	if seen && !w.naive {
		if slices.ContainsFunc(w.path, func(f fork) bool { return f.state == here }) {
			w.Errorf("%s: the calls go round in circles:\n%s", w.stage.name, strings.Join(story, "\n"))
		}
		last.ways += ways
		return false
	}
	w.seen[here] = 0
	next := fork{state: here, options: len(options)}
	if len(s.waiting) == 0 {
		next.ways = 1
		w.ends[s.outcome()] = true
		if err := s.judge(); err != nil {
			w.Errorf("%s: %v, after\n%s", w.stage.name, err, strings.Join(story, "\n"))
			return false
		}
	}
	if len(options) == 0 {
		w.seen[here] = 1
		last.ways++
		return false
	}
	w.path = append(w.path, next)
	return true
}
