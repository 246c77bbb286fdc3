package walk

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"countersign/pkg/store"
)

// guardView is what a test reads of a guard.
type guardView struct {
	User               string           `json:"user"`
	Epoch              string           `json:"epoch"`
	TrustEpoch         string           `json:"trust_epoch"`
	KnownWord          string           `json:"known_word"`
	Slots              []slotView       `json:"slots"`
	EnrolmentSlot      *slotView        `json:"enrolment_slot"`
	WrongCodes         wrongAnswersView `json:"wrong_codes"`
	WrongRecoveryCodes wrongAnswersView `json:"wrong_recovery_codes"`
	EvictedUntil       time.Time        `json:"evicted_until"`
	EmailsSent         []int64          `json:"emails_sent"`

	Recovery struct {
		ID    string   `json:"id"`
		Codes []string `json:"codes"`
	} `json:"recovery"`
	Factors []struct {
		ID   string `json:"id"`
		Step int64  `json:"step"`
	} `json:"factors"`
}

type slotView struct {
	ID        string        `json:"id"`
	Begun     time.Time     `json:"begun"`
	Wrong     int           `json:"wrong"`
	State     string        `json:"state"`
	WrittenBy store.Version `json:"written_by"`
	Browser   string        `json:"browser"`
	Effect    string        `json:"effect"`
	Factor    string        `json:"factor"`
	Proven    bool          `json:"proven"`
}

// wrongAnswersView are the wrong answers of one sort: those of browsers that aren't known, and Known.
type wrongAnswersView struct {
	attemptsView
	Known  attemptsView `json:"known_browsers"`
	InARow int          `json:"in_a_row"`
}

type attemptsView struct {
	At    []int64   `json:"at"`
	Until time.Time `json:"until"`
}

func (w wrongAnswersView) in(known bool) attemptsView {
	if known {
		return w.Known
	}
	return w.attemptsView
}

// all is how many are counted in both budgets.
func (w wrongAnswersView) all() int { return len(w.At) + len(w.Known.At) }

func (g guardView) attempts(c *call) attemptsView {
	if c.kind == recovers {
		return g.WrongRecoveryCodes.in(c.known)
	}
	return g.WrongCodes.in(c.known)
}

// locked reports whether anything of the user's was locked at a moment. No stage has so many wrong answers in a row that
// their number alone locks.
func (g *guardView) locked(at time.Time) bool {
	return slices.ContainsFunc([]attemptsView{g.WrongCodes.attemptsView, g.WrongCodes.Known, g.WrongRecoveryCodes.attemptsView, g.WrongRecoveryCodes.Known},
		func(t attemptsView) bool { return at.Before(t.Until) })
}

// answered is how many right codes of challenges the slot holds.
func (s slotView) answered() int {
	if s.State == "verified" && s.Effect == "" && s.Factor == "" {
		return 1
	}
	return 0
}

// evicted is how many right codes were in slots of before that were evicted since.
func (g guardView) evicted(before guardView) (n int) {
	for _, slot := range before.Slots {
		left := slices.ContainsFunc(g.Slots, func(s slotView) bool { return s.ID == slot.ID })
		if !left && !slot.Begun.After(g.EvictedUntil) {
			n += slot.answered()
		}
	}
	return n
}

// A shown record is what an item holds, as the walk sees it.
type shownRecord struct {
	json  []byte // as ctl show prints it
	text  string // all of it: two of the same text are alike
	guard guardView
}

// recordOf is the name of the record that an item holds; empty: the walk doesn't look at it.
func recordOf(key store.Key) string {
	of, _, _ := strings.Cut(key.Partition, "#")
	sort, _, _ := strings.Cut(key.Sort, "#")
	switch of {
	case "key", "org", "filter": // no call changes them
		return ""
	case "roster":
		return "rosterEntry"
	case "due":
		return "expiryEntry"
	case "idem":
		return "remembered"
	}
	if sort == "factor" {
		return "factorRecord"
	}
	return sort
}

// show shows the record of an item. What it has shown it remembers, since the same records are looked at over and over.
func (s *schedule) show(item store.Item) *shownRecord {
	if r, ok := s.props.records[string(item.Body)]; ok {
		return r
	}
	if r, ok := s.records[string(item.Body)]; ok {
		return r
	}
	r := &shownRecord{json: item.Body, text: string(item.Body)}
	if name := recordOf(item.Key); name != "" && len(item.Body) > 0 {
		s.blame(s.props.meet(name, r.json))
		if name == "guard" {
			s.blame(json.Unmarshal(r.json, &r.guard))
		}
	}
	s.records[string(item.Body)] = r
	return r
}

// guards reads all guards, and counts the browsers.
func (s *schedule) guards() (guards map[string]guardView, browsers int) {
	guards = map[string]guardView{}
	for _, item := range s.model.Items() {
		if strings.HasPrefix(item.Key.Sort, "browser#") {
			browsers++
		}
		if item.Key.Sort != "guard" {
			continue
		}
		g := s.show(item).guard
		guards[g.User] = g
	}
	return guards, browsers
}
