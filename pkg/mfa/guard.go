package mfa

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// life names the time from the guard's making to its erasure, and tells nothing of the key that what the activity says of
// the user is sealed under. That key is in the guard and nowhere else, so erasing the user erases what was said at once. An
// event names the life that it is of, so that what is handed on after an erasure is not filed under the key of a user who
// was made again under the same id.
func (g *guard) life() string {
	sum := sha256.Sum256(seal.Join("life of an activity key", string(g.Activity)))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// slot finds what the guard knows of a challenge; nil: nothing yet.
func (g *guard) slot(id string) *slot {
	for i := range g.Slots {
		if g.Slots[i].ID == shortID(id) {
			return &g.Slots[i]
		}
	}
	return nil
}

// mostSlots bounds the guard. Challenges come to it with their first send or answer, and both are limited per user, so
// only a user who signs in more than twice a minute ever gets there.
const mostSlots = 32

// openSlot finds or makes the slot of a challenge. Making one forgets those whose time is over and, when there are too
// many, the one begun first; what was begun no later and has no slot is dead from then on.
func (g *guard) openSlot(ch *challenge, now time.Time) *slot {
	if s := g.slot(ch.ID); s != nil {
		return s
	}
	g.Slots = slices.DeleteFunc(g.Slots, func(s slot) bool { return !now.Before(s.Until) })
	if g.Pending != nil && !now.Before(g.Pending.Until) {
		g.Pending = nil
	}
	for len(g.Slots) >= mostSlots {
		first := 0
		for i, s := range g.Slots {
			if s.Begun.Before(g.Slots[first].Begun) {
				first = i
			}
		}
		if g.Slots[first].Begun.After(g.Floor) {
			g.Floor = g.Slots[first].Begun
		}
		g.Slots = slices.Delete(g.Slots, first, first+1)
	}
	g.Slots = append(g.Slots, slot{ID: shortID(ch.ID), Begun: ch.Begun, Until: ch.Expires})
	return &g.Slots[len(g.Slots)-1]
}

// renew kills everything the user has open or has earned, in one write: challenges, enrolments, trust and proofs carry
// the epoch, and known tokens too. Limits, locks and factors stay.
func (g *guard) renew() {
	g.Epoch, g.Trust, g.KnownWord = newEpoch(), "", ""
	g.Slots, g.Floor, g.Pending = nil, time.Time{}, nil
}

// trustEpoch is what a trusted browser must carry to be believed.
func (g *guard) trustEpoch() string {
	if g.Trust != "" {
		return g.Trust
	}
	return g.Epoch
}

// required reports whether the user has to give a second factor, whether or not it was turned on.
func (g *guard) required(p *Policy) bool { return p.Require == Everyone || g.Enforced }

func (g *guard) event(kind string, policyVersion int, data map[string]any) pendingEvent {
	return pendingEvent{
		Event: activity.Event{Type: kind, Org: g.Org, User: g.User, PolicyVersion: policyVersion, Data: data},
		Life:  g.life(),
	}
}

// enrolled finds an enrolled factor that counts; nil: it is none.
func (g *guard) enrolled(id string) *enrolledFactor {
	for i := range g.Factors {
		if g.Factors[i].ID == id {
			return &g.Factors[i]
		}
	}
	return nil
}

// kinds are those of the user's enrolled factors, each once.
func (g *guard) kinds() []Kind {
	var kinds []Kind
	for _, l := range g.Factors {
		if !slices.Contains(kinds, l.Kind) {
			kinds = append(kinds, l.Kind)
		}
	}
	slices.SortFunc(kinds, func(x, y Kind) int { return cmp.Compare(x.strength(), y.strength()) })
	return kinds
}

// enrolmentSlot finds what the guard knows of an enrolment; nil: nothing yet.
func (g *guard) enrolmentSlot(en string) *slot {
	if g.Pending != nil && g.Pending.ID == shortID(en) {
		return g.Pending
	}
	return nil
}

// openEnrolmentSlot finds or makes the slot of the enrolment that is under way. What was there was of one that is dead.
func (g *guard) openEnrolmentSlot(en *enrolment) *slot {
	if s := g.enrolmentSlot(en.ID); s != nil {
		return s
	}
	g.Pending = &slot{ID: shortID(en.ID), Begun: en.Begun, Until: en.Expires}
	return g.Pending
}

// exhausted reports whether what has no end yet had more wrong answers than p allows: the policy was tightened since they
// were given.
func (s *slot) exhausted(p *orgPolicy) bool { return s.Wrong >= p.Challenge.Attempts }

func newEpoch() string { return string(store.NewVersion()) }

// unlock forgets all wrong answers if there is a lock, and reports whether there was.
func (g *guard) unlock(now time.Time) (was bool) {
	for _, known := range []bool{false, true} {
		_, codes := g.Guesses.locked(known, now)
		_, recovery := g.Looked.locked(known, now)
		was = was || codes || recovery
	}
	if was {
		g.Guesses, g.Looked = attempts{}, attempts{}
	}
	return was
}
