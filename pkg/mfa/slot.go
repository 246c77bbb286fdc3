package mfa

import (
	"slices"
	"time"

	"countersign/pkg/store"
)

// A slot is what the guard holds of one challenge or enrolment: what was tried, and how it ended.
type slot struct {
	ID               string        `json:"id" record:"1,word"` // the id of the challenge or enrolment, without prefix and route
	Begun            time.Time     `json:"begun" record:"2"`
	Until            time.Time     `json:"until" record:"3"`               // from then on the slot may be removed
	Sequence         int           `json:"sequence" record:"4"`            // the number of the one code that is good; 0 if there is none
	Wrong            int           `json:"wrong" record:"5"`               // how many wrong answers were given
	State            string        `json:"state" record:"6"`               // empty means pending
	EndedAt          time.Time     `json:"ended_at" record:"7"`            // when State was reached
	WrittenBy        store.Version `json:"written_by" record:"8,word"`     // the commit of the last answer
	Kind             Kind          `json:"kind" record:"9"`                // the kind of the factor that answered
	Browser          string        `json:"browser" record:"10,id=tb_"`     // the browser that was trusted with the answer; empty if none was
	KnownTokensEnded bool          `json:"known_tokens_ended" record:"11"` // known tokens have been ended since the answer
	Proven           bool          `json:"proven" record:"12"`             // the user has proven the known address, and may begin an enrolment
	Factor           string        `json:"factor" record:"13,id=fa_"`      // the factor that was enrolled; empty if none was
	Effect           string        `json:"effect" record:"14"`             // the effect of the recovery code or the pass that was given; empty if none was
	CodesLeft        int           `json:"codes_left" record:"15"`         // how many recovery codes were left after that
	AMR              []string      `json:"amr" record:"16"`                // what the answer adds to the amr of the token
	Later            int64         `json:"later" record:"17"`              // by how many microseconds after EndedAt the session begins that the answer let in
}

// The states of a challenge.
const (
	pending  = "pending"
	verified = "verified"
	failed   = "failed"
	expired  = "expired"
)

// issuedAt returns when the session begins that the answer has let in.
func (s *slot) issuedAt() time.Time { return s.EndedAt.Add(time.Duration(s.Later) * time.Microsecond) }

// exhausted reports whether a challenge or enrolment that is still open has had as many wrong answers as p allows. The
// policy was tightened after they were given.
func (s *slot) exhausted(p *orgPolicy) bool { return s.Wrong >= p.Challenge.Attempts }

// slot returns the slot of a challenge, or nil if it has none yet.
func (g *guard) slot(id string) *slot {
	for i := range g.Slots {
		if g.Slots[i].ID == shortID(id) {
			return &g.Slots[i]
		}
	}
	return nil
}

// mostSlots bounds the guard. A challenge gets a slot with its first send or answer. Sends and wrong codes are limited per
// user. So only a user who signs in more than twice a minute ever has that many, or one whose password somebody uses to
// give wrong credentials in many challenges: these lock nothing, but end the user's older challenges.
const mostSlots = 32

// openSlot returns the slot of a challenge, and makes it if there is none. To make one it removes the slots whose time is
// over. If there are still too many, it removes the one that was begun first. From then on, a challenge that was begun no
// later than that one and has no slot is dead.
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

// enrolmentSlot returns the slot of an enrolment, or nil if it has none yet.
func (g *guard) enrolmentSlot(en string) *slot {
	if g.EnrolmentSlot != nil && g.EnrolmentSlot.ID == shortID(en) {
		return g.EnrolmentSlot
	}
	return nil
}

// openEnrolmentSlot returns the slot of the enrolment that is under way, and makes it if there is none. It may replace the
// slot of an earlier enrolment, which is dead.
func (g *guard) openEnrolmentSlot(en *enrolment) *slot {
	if s := g.enrolmentSlot(en.ID); s != nil {
		return s
	}
	g.EnrolmentSlot = &slot{ID: shortID(en.ID), Begun: en.Begun, Until: en.Expires}
	return g.EnrolmentSlot
}
