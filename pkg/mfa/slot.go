package mfa

import (
	"countersign/pkg/store"
	"slices"
	"time"
)

// A slot is what the guard knows of an open challenge or enrolment: what was tried, and how it ended.
type slot struct {
	ID               string        `json:"id"` // the challenge's, without prefix and route
	Begun            time.Time     `json:"begun"`
	Until            time.Time     `json:"until"`              // may be forgotten then
	Sequence         int           `json:"sequence,omitempty"` // of the code that is live
	Wrong            int           `json:"wrong,omitempty"`
	State            string        `json:"state,omitempty"`      // empty: pending
	EndedAt          time.Time     `json:"ended_at,omitzero"`    // when State was reached
	WrittenBy        store.Version `json:"written_by,omitempty"` // the commit of the last answer
	Kind             Kind          `json:"kind,omitempty"`       // of the factor that answered
	Browser          string        `json:"browser,omitempty"`
	KnownTokensEnded bool          `json:"known_tokens_ended,omitempty"` // known tokens have been ended since it was answered
	Proven           bool          `json:"proven,omitempty"`             // an enrolment's address was
	Factor           string        `json:"factor,omitempty"`             // that an enrolment brought
	Effect           string        `json:"effect,omitempty"`             // of the recovery code that answered
	CodesLeft        int           `json:"codes_left,omitempty"`         // recovery codes, after it
}

// A challenge's states.
const (
	pending  = "pending"
	verified = "verified"
	failed   = "failed"
	expired  = "expired"
)

// exhausted reports whether what has no end yet had more wrong answers than p allows: the policy was tightened since they
// were given.
func (s *slot) exhausted(p *orgPolicy) bool { return s.Wrong >= p.Challenge.Attempts }

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
	if g.EnrolmentSlot != nil && !now.Before(g.EnrolmentSlot.Until) {
		g.EnrolmentSlot = nil
	}
	for len(g.Slots) >= mostSlots {
		first := 0
		for i, s := range g.Slots {
			if s.Begun.Before(g.Slots[first].Begun) {
				first = i
			}
		}
		if g.Slots[first].Begun.After(g.EvictedUntil) {
			g.EvictedUntil = g.Slots[first].Begun
		}
		g.Slots = slices.Delete(g.Slots, first, first+1)
	}
	g.Slots = append(g.Slots, slot{ID: shortID(ch.ID), Begun: ch.Begun, Until: ch.Expires})
	return &g.Slots[len(g.Slots)-1]
}

// enrolmentSlot finds what the guard knows of an enrolment; nil: nothing yet.
func (g *guard) enrolmentSlot(en string) *slot {
	if g.EnrolmentSlot != nil && g.EnrolmentSlot.ID == shortID(en) {
		return g.EnrolmentSlot
	}
	return nil
}

// openEnrolmentSlot finds or makes the slot of the enrolment that is under way. What was there was of one that is dead.
func (g *guard) openEnrolmentSlot(en *enrolment) *slot {
	if s := g.enrolmentSlot(en.ID); s != nil {
		return s
	}
	g.EnrolmentSlot = &slot{ID: shortID(en.ID), Begun: en.Begun, Until: en.Expires}
	return g.EnrolmentSlot
}
