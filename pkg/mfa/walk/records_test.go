package walk

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// guardView is what the tests read from a guard.
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
	TextsSent          []int64          `json:"texts_sent"`
	Reset              resetView        `json:"reset"`

	digests string // digests of the recovery codes that are left, of which ctl show prints only the length

	Recovery struct {
		ID    string   `json:"id"`
		Codes []string `json:"codes"`
	} `json:"recovery"`
	Factors []struct {
		ID        string `json:"id"`
		Kind      string `json:"kind"`
		Step      int64  `json:"step"`
		SignCount uint32 `json:"sign_count"`
	} `json:"factors"`
}

type resetView struct {
	ID    string `json:"id"`
	State string `json:"state"`
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

// wrongAnswersView are the wrong answers of one sort. Those in known browsers are in Known.
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

// all returns how many wrong answers are counted in both budgets.
func (w wrongAnswersView) all() int { return len(w.At) + len(w.Known.At) }

func (g guardView) attempts(c *call) attemptsView {
	if c.kind == recovers {
		return g.WrongRecoveryCodes.in(c.known)
	}
	return g.WrongCodes.in(c.known)
}

// locked reports whether anything was locked for the user at a moment. No stage has so many wrong answers in a row that they
// alone lock the user.
func (g *guardView) locked(at time.Time) bool {
	return slices.ContainsFunc([]attemptsView{g.WrongCodes.attemptsView, g.WrongCodes.Known, g.WrongRecoveryCodes.attemptsView, g.WrongRecoveryCodes.Known},
		func(t attemptsView) bool { return at.Before(t.Until) })
}

// allSlots returns the slots of challenges and the slot of an enrolment.
func (g *guardView) allSlots() []slotView {
	if g.EnrolmentSlot == nil {
		return g.Slots
	}
	return append(slices.Clip(g.Slots), *g.EnrolmentSlot)
}

// wrong returns how many wrong answers a slot counts, and 0 if there is no such slot.
func (g *guardView) wrong(slot string) int {
	for _, s := range g.allSlots() {
		if s.ID == slot {
			return s.Wrong
		}
	}
	return 0
}

// answered returns how many right codes of challenges are recorded in the slot.
func (s slotView) answered() int {
	if s.State == "verified" && s.Effect == "" && s.Factor == "" {
		return 1
	}
	return 0
}

// evicted returns how many right codes were recorded in slots of before that have since been removed to make room.
func (g guardView) evicted(before guardView) (n int) {
	for _, slot := range before.Slots {
		left := slices.ContainsFunc(g.Slots, func(s slotView) bool { return s.ID == slot.ID })
		if !left && !slot.Begun.After(g.EvictedUntil) {
			n += slot.answered()
		}
	}
	return n
}

// A shownRecord is the record of an item, as the walk sees it.
type shownRecord struct {
	json  []byte // as ctl show prints it
	text  string // the whole record, so that records with the same text are alike
	guard guardView
	key   keyView
}

// looksAt reports whether the walk looks at the item with a key. Of the policy, whose copies are always equal, it looks at the
// first copy, and only on stages that save one.
func (s *schedule) looksAt(key store.Key) bool {
	return recordOf(key) != "" || key.Sort == "policy" && strings.Count(key.Partition, "#") == 1 && s.written.any(key.Partition+" policy")
}

// unwritten reports whether no call writes the item with a key.
func unwritten(key store.Key) bool {
	of, _, _ := strings.Cut(key.Partition, "#")
	return of != "org" && of != "fanout" && recordOf(key) == ""
}

// recordOf returns the name of the record in an item, or an empty name if the walk doesn't look into it.
func recordOf(key store.Key) string {
	of, _, _ := strings.Cut(key.Partition, "#")
	sort, _, _ := strings.Cut(key.Sort, "#")
	switch of {
	case "key", "orgs", "filter", "act", "active", "notice", "replayed", "org", "fanout":
		return ""
	case "reset":
		return "resetRecord"
	case "handle":
		if sort == "cancel" {
			return "cancelToken"
		}
		return "handle"
	case "roster":
		return "rosterEntry"
	case "due":
		return "expiryEntry"
	case "idem":
		return "remembered"
	case "cred":
		return "credentialOwner"
	}
	if sort == "factor" {
		return "factorRecord"
	}
	return sort
}

// isOf reports whether the slot belongs to the challenge or enrolment with this id. A slot holds the random part of the id.
func (s slotView) isOf(id string) bool {
	_, rest, _ := strings.Cut(id, "_")
	raw, err := base64.RawURLEncoding.DecodeString(rest)
	return err == nil && len(raw) >= seal.IDRandom && base64.RawURLEncoding.EncodeToString(raw[len(raw)-seal.IDRandom:]) == s.ID
}

// recoverySetNumber is the number of the field in which a guard keeps its recovery codes.
const recoverySetNumber = 12

// hidden returns the byte strings of a record, of which ctl show prints only the length. With them, records that differ only
// in a byte string have different texts.
func hidden(body []byte) string {
	var all any
	if cbor.Unmarshal(body, &all) != nil {
		return ""
	}
	var text strings.Builder
	var list func(any)
	list = func(v any) {
		switch v := v.(type) {
		case []byte:
			text.WriteString("\n" + base64.RawURLEncoding.EncodeToString(v))
		case []any:
			for _, inner := range v {
				list(inner)
			}
		case map[any]any:
			for _, key := range slices.SortedFunc(maps.Keys(v), func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }) {
				list(v[key])
			}
		}
	}
	list(all)
	return text.String()
}

// show returns the record of an item. It keeps the result, because the same records are needed again and again.
func (s *schedule) show(item store.Item) *shownRecord {
	if r, ok := s.props.records[string(item.Body)]; ok {
		return r
	}
	if r, ok := s.records[string(item.Body)]; ok {
		return r
	}
	r := &shownRecord{text: string(item.Body)}
	if name := recordOf(item.Key); name != "" && len(item.Body) > 0 {
		shown, err := mfa.ShowItem(item)
		s.blame(err)
		r.json, r.text = shown, string(shown)+hidden(item.Body)
		s.blame(s.props.meet(name, r.json))
		if name == "guard" {
			s.blame(json.Unmarshal(r.json, &r.guard))
			var kept map[uint64]cbor.RawMessage
			s.blame(cbor.Unmarshal(item.Body, &kept))
			r.guard.digests = hidden(kept[recoverySetNumber])
		}
		if name == "factorRecord" || name == "credentialOwner" {
			s.blame(json.Unmarshal(r.json, &r.key))
			s.blame(r.key.read(item.Body))
		}
	}
	s.records[string(item.Body)] = r
	return r
}

// guards returns all guards by user, and the number of browsers.
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
