package mfa

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// life returns a name for the time from the making of the guard to the erasure of the user. It is a hash of ActivityKey, the
// key under which the org's activity encrypts what it says of the user, and reveals nothing of that key. The key is in the
// guard and nowhere else, so erasing the user makes all of that unreadable at once. An event carries the life that it
// belongs to. So if the event is handed on after an erasure, it is not filed under the key of a user who was made again
// under the same id.
func (g *guard) life() string {
	sum := sha256.Sum256(seal.Join("life of an activity key", string(g.ActivityKey)))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// renew gives the guard a new epoch. Everything that carries the old one is dead with that write: challenges, enrolments,
// trust, proofs and known tokens. So is the user's pass. Limits, locks and factors stay.
func (g *guard) renew() { g.renewTo(newEpoch()) }

func (g *guard) renewTo(epoch string) {
	g.Epoch, g.TrustEpoch, g.KnownWord = epoch, "", ""
	g.Slots, g.EvictedUntil, g.EnrolmentSlot, g.Pass = nil, time.Time{}, nil, nil
}

// follow brings a guard that was read to the epoch of the deployment. If the guard was written before the data was restored
// from a backup, it gets a new epoch, and its recovery codes are dead: the next verify makes others. So is a request for a reset
// that waits. Until the guard is
// written, each process that reads it has to come to the same new epoch. So that is a hash, and it says to nobody what it was
// made from. A guard that is of a later epoch than the key ring says fails with seal.ErrUnknownKey, because the ring is old.
func (g *guard) follow(deployment int64) error {
	switch {
	case g.DeploymentEpoch == deployment:
		return nil
	case g.DeploymentEpoch > deployment:
		return fmt.Errorf("the guard is of a later epoch of the deployment than the key ring: %w", seal.ErrUnknownKey)
	}
	sum := sha256.Sum256(seal.Join("epoch after a restore", g.Epoch, strconv.FormatInt(deployment, 10)))
	g.renewTo(base64.RawURLEncoding.EncodeToString(sum[:16]))
	if g.Recovery != nil {
		g.Recovery, g.RecoveryCodesDue = nil, true
	}
	if g.Reset != nil && g.Reset.State == "" {
		g.changeReset().State = cancelled
	}
	g.DeploymentEpoch = deployment
	return nil
}

// browserEpoch returns the word that a trusted browser must carry to count.
func (g *guard) browserEpoch() string {
	if g.TrustEpoch != "" {
		return g.TrustEpoch
	}
	return g.Epoch
}

// required reports whether the user has to give a second factor, whether 2FA was turned on or not.
func (g *guard) required(p *Policy) bool {
	f := g.facts()
	return p.demand().requires(&f)
}

func (g *guard) event(kind string, policyVersion int, data map[string]any) pendingEvent {
	return pendingEvent{
		Event: activity.Event{Type: kind, Org: g.Org, User: g.User, PolicyVersion: policyVersion, Data: data},
		Life:  g.life(),
		key:   g.ActivityKey,
	}
}

// enrolled returns what the guard holds of an enrolled factor. It returns nil for a factor that doesn't count.
func (g *guard) enrolled(id string) *enrolledFactor {
	for i := range g.Factors {
		if g.Factors[i].ID == id {
			return &g.Factors[i]
		}
	}
	return nil
}

// kinds returns the kinds of the user's enrolled factors, each once, the strongest first.
func (g *guard) kinds() []Kind {
	var kinds []Kind
	for _, f := range g.Factors {
		if !slices.Contains(kinds, f.Kind) {
			kinds = append(kinds, f.Kind)
		}
	}
	slices.SortFunc(kinds, func(x, y Kind) int { return cmp.Compare(x.strength(), y.strength()) })
	return kinds
}

func newEpoch() string { return string(store.NewVersion()) }

// unlock forgets all wrong answers if the user is locked in any budget, and reports whether that was so.
func (g *guard) unlock(now time.Time) (was bool) {
	for _, known := range []bool{false, true} {
		_, codes := g.WrongCodes.locked(known, now)
		_, recovery := g.WrongRecoveryCodes.locked(known, now)
		was = was || codes || recovery
	}
	if was {
		g.WrongCodes, g.WrongRecoveryCodes = wrongAnswers{}, wrongAnswers{}
	}
	return was
}

// A guard is the one item of a user that decides. The package comment says how.
type guard struct {
	record.Head
	Org     string  `json:"org" record:"1"`
	User    string  `json:"user" record:"2"`
	Epoch   string  `json:"epoch" record:"3,word"` // a random word; what carries another one is dead
	Profile profile `json:"profile" record:"4"`

	// The key under which the org's activity encrypts what it says of the user.
	ActivityKey []byte `json:"activity_key" record:"5"`

	// The random word that trusted browsers carry in place of the epoch. It is empty until all trust is ended without a new
	// epoch.
	TrustEpoch string `json:"trust_epoch" record:"6,word"`

	// The random word that known tokens are bound to besides the epoch. It is empty until they are ended without a new epoch.
	KnownWord string `json:"known_word" record:"7,word"`

	Enabled       bool `json:"enabled" record:"8"`        // 2FA is turned on, by the user or with the first factor
	Enforced      bool `json:"enforced" record:"9"`       // an administrator requires 2FA of this user, whatever the policy requires
	Deprovisioned bool `json:"deprovisioned" record:"10"` // the client has deprovisioned the user, and hasn't put the user again since

	Factors          []enrolledFactor `json:"factors" record:"11"`            // all factors that count
	Recovery         *recoverySet     `json:"recovery" record:"12"`           // nil if the user has no recovery codes
	RecoveryCodesDue bool             `json:"recovery_codes_due" record:"13"` // the next verify makes recovery codes and shows them

	Slots              []slot       `json:"slots" record:"14"`
	EvictedUntil       time.Time    `json:"evicted_until" record:"15"`        // a challenge that has no slot and was begun then or before is dead
	EnrolmentSlot      *slot        `json:"enrolment_slot" record:"16"`       // of the newest enrolment that something was sent for or tried against
	WrongCodes         wrongAnswers `json:"wrong_codes" record:"17"`          // wrong answers that were no recovery codes
	WrongRecoveryCodes wrongAnswers `json:"wrong_recovery_codes" record:"18"` // wrong recovery codes
	EmailsSent         []int64      `json:"emails_sent" record:"19"`          // marks of the codes by email of the last 24 hours (see countSend), the oldest first
	LastUncounted      int64        `json:"last_uncounted" record:"20"`       // the latest mark that was taken out of EmailsSent or TextsSent again; 0 if none was
	NoticesSent        []int64      `json:"notices_sent" record:"21"`         // when notices were sent in the last 24 hours, in Unix milliseconds
	NoticesWaiting     []waiting    `json:"notices_waiting" record:"22"`      // what the user is told once there is room
	MFATime            time.Time    `json:"mfa_time" record:"23"`             // when a challenge was last answered with a factor, or by enrolling one

	RosterVersion store.Version `json:"roster_version" record:"24,word"` // the commit that last wrote the user's roster entry

	TextsSent []int64 `json:"texts_sent" record:"25"` // marks of the codes by SMS, as in EmailsSent

	Handle []byte `json:"handle" record:"26,word"` // the user handle of the user's passkeys: 32 random bytes, or empty if the user has never had one

	DeploymentEpoch int64 `json:"deployment_epoch" record:"27"` // of the deployment, when the guard was written: see seal.Ring.Epoch

	Returned []returned `json:"returned" record:"28"` // what is known of messages that came back in the last 24 hours, the oldest first

	SessionsEnded *sessionEnd `json:"sessions_ended" record:"29"` // nil if the user's sessions were never ended
	Settled       int         `json:"settled" record:"30"`        // the version of the last cut-off that is taken into account in SessionsEnded
	GraceUntil    *time.Time  `json:"grace_until" record:"31"`    // until when this user may skip setting a factor up; nil if the policy says it
	Skips         int         `json:"skips" record:"32"`          // how many skips the user has spent, of those that policies count

	Pass  *pass         `json:"pass" record:"40"`  // nil if the user has none
	Reset *resetRequest `json:"reset" record:"41"` // the newest request for a reset; nil if there was none

	// The address that the user has to prove before enrolling a factor, because of a reset that they have asked for themselves. It
	// is the one that was known when they asked. Empty if there was no such reset since the last enrolment.
	ProveAddress string `json:"prove_address" record:"42"`
}
