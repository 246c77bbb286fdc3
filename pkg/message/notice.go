package message

import (
	"strconv"
	"strings"
	"time"
)

// The topics of notices, as records name them. A name is never given to another topic.
const (
	Lock         = "lock"
	RecoveryLock = "recovery_lock"
	Unlocked     = "unlocked"
	Theft        = "theft"
	Enrolled     = "enrolled"
	Removed      = "removed"
	RecoveryUsed = "recovery_used"
	RecoveryMade = "recovery_made"
	Disabled     = "disabled"
	Moved        = "moved"
)

// In which browsers a lock holds, as records name it.
const (
	KnownBrowsers = "known" // those where the user has answered rightly before
	OtherBrowsers = "other" // all but those
	AllBrowsers   = "all"
)

// Facts are what a notice tells beside its topic. Each topic uses the facts that its texts name.
type Facts struct {
	Until    time.Time // when a lock ends; zero: it is over
	ForGood  bool      // a lock doesn't end by itself
	Browsers string    // in which a lock holds; empty: not said
	Kind     string    // of a factor: webauthn, totp, sms or email
	Left     int       // how many recovery codes are left
}

// An Item is a topic in a notice that sums up.
type Item struct {
	Topic string
	Kind  string // of a factor; empty: the topic isn't about one
	Times int    // how often it happened
	Last  time.Time
}

// topics gives what a notice says of a topic: its subject, what happened, which is also its line in a notice that sums up,
// and what else there is to say. An empty text is left out.
var topics = map[string]func(w *words, f Facts) []string{
	Lock: func(w *words, f Facts) []string {
		return []string{w.lockSubject, w.lockWhat, w.lockEnd(f), w.lockWhere(f), w.lockNotYou}
	},
	RecoveryLock: func(w *words, f Facts) []string {
		return []string{w.recoveryLockSubject, w.recoveryLockWhat, w.recoveryLockWait, w.lockWhere(f), w.lockNotYou}
	},
	Unlocked: func(w *words, _ Facts) []string {
		return []string{w.unlockedSubject, w.unlockedWhat, w.unlockedNotYou}
	},
	Theft: func(w *words, _ Facts) []string {
		return []string{w.theftSubject, w.theftWhat, w.theftEnded, w.theftYou, w.theftNotYou}
	},
	Enrolled: func(w *words, _ Facts) []string {
		return []string{w.enrolledSubject, w.enrolledWhat, w.changeNotYou}
	},
	Removed: func(w *words, _ Facts) []string {
		return []string{w.removedSubject, w.removedWhat, w.removedTrust, w.changeNotYou}
	},
	RecoveryUsed: func(w *words, f Facts) []string {
		return []string{w.recoveryUsedSubject, w.recoveryUsedWhat, w.recoveryCodesLeft(f), w.changeNotYou}
	},
	RecoveryMade: func(w *words, _ Facts) []string {
		return []string{w.recoveryMadeSubject, w.recoveryMadeWhat, w.changeNotYou}
	},
	Disabled: func(w *words, _ Facts) []string {
		return []string{w.disabledSubject, w.disabledWhat, w.removedTrust, w.changeNotYou}
	},
	Moved: func(w *words, _ Facts) []string {
		return []string{w.movedSubject, w.movedWhat, w.movedWhere, w.removedTrust, w.changeNotYou}
	},
}

// About is the notice of a topic. It reports false for a topic that this build doesn't know.
func About(topic string, to Addressee, f Facts) (Message, bool) {
	says, ok := topics[topic]
	if !ok {
		return Message{}, false
	}
	d := begin(to)
	d.fillWith("{time}", d.words.moment(f.Until), "{kind}", d.words.kinds[f.Kind], "{left}", strconv.Itoa(f.Left))
	texts := says(d.words, f)
	d.say(texts[1:]...)
	return d.message(texts[0]), true
}

// Sum is one notice of all items. It leaves out those of a topic that this build doesn't know.
func Sum(to Addressee, items []Item) Message {
	d := begin(to)
	d.say(d.words.sumWhat)
	for _, item := range items {
		says, ok := topics[item.Topic]
		if !ok {
			continue
		}
		d.fillWith("{time}", d.words.moment(item.Last), "{kind}", d.words.kinds[item.Kind], "{times}", strconv.Itoa(item.Times))
		line := d.words.sumOnce
		if item.Times > 1 {
			line = d.words.sumTimes
		}
		what := d.fill.Replace(says(d.words, Facts{})[1])
		d.passages = append(d.passages, strings.Replace(d.fill.Replace(line), "{what}", what, 1))
	}
	d.say(d.words.changeNotYou)
	return d.message(d.words.sumSubject)
}

// lockEnd says when a lock ends.
func (w *words) lockEnd(f Facts) string {
	switch {
	case f.ForGood:
		return w.lockForever
	case f.Until.IsZero():
		return w.lockOver
	}
	return w.lockUntil
}

// lockWhere says in which browsers a lock holds, where it doesn't in all; empty: it isn't said.
func (w *words) lockWhere(f Facts) string {
	switch f.Browsers {
	case KnownBrowsers:
		return w.lockKnown
	case OtherBrowsers:
		return w.lockOther
	}
	return ""
}

func (w *words) recoveryCodesLeft(f Facts) string {
	switch f.Left {
	case 0:
		return w.recoveryNoneLeft
	case 1:
		return w.recoveryOneLeft
	}
	return w.recoveryLeft
}
