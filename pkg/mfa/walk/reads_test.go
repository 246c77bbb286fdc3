package walk

import (
	"maps"
	"slices"
	"testing"

	"countersign/pkg/store"
)

// This file chooses which reads can happen next. A call goes on when it has the last of its reads. So it makes a difference which of
// them are carried out before a commit that changes what they find, and nothing else about their order does. Therefore
// a read goes ahead of the other reads of its call only right before such a commit. Otherwise all of them are carried out together.

// reads returns what an actor's call can read next.
func (s *schedule) reads(a *actor) (all []option) {
	var waiting, still []*move
	for _, m := range s.waiting {
		if m.call.actor() != a.index || m.touches == nil {
			continue
		}
		waiting = append(waiting, m)
		if s.still(a, m) {
			still = append(still, m)
		}
	}
	if s.apart {
		for _, m := range waiting {
			all = append(all, option{fate: passes, moves: []*move{m}})
		}
		return all
	}
	if len(waiting) == 0 {
		return nil
	}
	for _, m := range waiting {
		if ahead := len(still) + 1; ahead < len(waiting) && !slices.Contains(still, m) && s.goesAhead(m) {
			all = append(all, option{fate: passes, moves: append(slices.Clip(still), m)})
		}
	}
	return append(all, option{fate: passes, moves: waiting})
}

// goesAhead reports whether a read can happen right before something that changes what it finds.
func (s *schedule) goesAhead(m *move) bool {
	changes := func(f *flight) bool { return f != nil && s.fits(f) == fitsNow && f.changes(m) }
	return slices.ContainsFunc(s.waiting, func(w *move) bool { return changes(w.made) }) || slices.ContainsFunc(s.air, changes) || s.ends(m)
}

// changes reports whether a commit changes what a read finds.
func (f *flight) changes(m *move) bool {
	return slices.ContainsFunc(f.writes, func(w store.Write) bool { return m.touches(w.Key) })
}

// ends reports whether a jump of the clock may end an item that a read touches.
func (s *schedule) ends(m *move) bool {
	if s.jumps == 0 {
		return false
	}
	latest := s.clock.Now().Add(slices.Max(s.stage.jumps))
	return slices.ContainsFunc(s.model.Items(), func(item store.Item) bool {
		return m.touches(item.Key) && !item.Expires.IsZero() && !latest.Before(item.Expires)
	})
}

// still reports whether nothing can change any more what a read of an actor finds: no other actor, no lost commit, and no jump.
func (s *schedule) still(a *actor, m *move) bool {
	if s.ends(m) || slices.ContainsFunc(s.air, func(f *flight) bool { return f.changes(m) }) {
		return false
	}
	return !slices.ContainsFunc(s.actors, func(other *actor) bool {
		return other != a && !other.ended && s.written.by(other.index, m.within)
	})
}

// A written says which places the actors of a stage write to, as far as the walk has found out. When it finds out more, it begins anew.
// A place that an actor never writes to in such a walk is one to which it can't write. For to write there, it or another actor would
// have to read something else before, and that could only be a place to which someone has written.
type written struct {
	places map[writing]bool
	grown  bool
}

// A writing is that an actor writes to a place.
type writing struct {
	actor int
	place string
}

// by reports whether an actor writes to one of some places.
func (w *written) by(actor int, places func(string) bool) bool {
	for at := range w.places {
		if at.actor == actor && places(at.place) {
			return true
		}
	}
	return false
}

// place is a key in which every word that was made at random during the calls is replaced with a number. So it is the same in every
// schedule.
func (p *props) place(key store.Key) string {
	return string(p.renamed([]byte(key.Partition + " " + key.Sort)))
}

// any reports whether any actor writes to a place.
func (w *written) any(place string) bool {
	return w != nil && slices.ContainsFunc(slices.Collect(maps.Keys(w.places)), func(at writing) bool { return at.place == place })
}

// note notes the writes of an actor.
func (w *written) note(p *props, actor int, writes []store.Write) {
	if w.places == nil {
		w.places = map[writing]bool{}
	}
	for _, write := range writes {
		at := writing{actor, p.place(write.Key)}
		w.grown = w.grown || !w.places[at]
		w.places[at] = true
	}
}

func TestAStageIsAtFaultIfACallWaitsForTwoMovesOfOneName(t *testing.T) {
	for name, faults := range map[string]int{"reads the guard": 1, "reads the facts": 0} {
		c := &call{}
		s := &schedule{waiting: []*move{{call: c, name: "reads the guard"}, {call: c, name: name}}}
		s.options()
		if len(s.faults) != faults {
			t.Errorf("%s: got the faults %v, want %d", name, s.faults, faults)
		}
	}
}
