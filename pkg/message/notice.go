package message

import (
	"strconv"
	"strings"
	"time"

	"countersign/pkg/text"
)

// The topics of notices, by the names that records use. A name must never be used for another topic.
const (
	Lock          = "lock"
	RecoveryLock  = "recovery_lock"
	Unlocked      = "unlocked"
	Theft         = "theft"
	Enrolled      = "enrolled"
	Removed       = "removed"
	RecoveryUsed  = "recovery_used"
	RecoveryMade  = "recovery_made"
	Disabled      = "disabled"
	Moved         = "moved"
	MovedPhone    = "moved_phone"
	Undeliverable = "undeliverable"
	Reset         = "reset"
	PassIssued    = "pass_issued"

	WatchLock     = "watch_lock" // these three are for administrators
	WatchReset    = "watch_reset"
	WatchApproval = "watch_approval"

	ResetAsked     = "reset_asked"
	ResetCancelled = "reset_cancelled"

	PassUsed = "pass_used"
)

// The browsers in which a lock stops codes, by the names that records use.
const (
	KnownBrowsers = "known" // the browsers in which the user has given a right answer before
	OtherBrowsers = "other" // all other browsers
	AllBrowsers   = "all"
)

// Facts are what a notice says beside its topic. Each topic uses only the facts that its texts need.
type Facts struct {
	Until    time.Time // when a lock ends, or when a reset is due at the earliest; zero if a lock has ended already, or a reset waits for an approver only
	ForGood  bool      // whether a lock doesn't end by itself
	Browsers string    // the browsers in which a lock stops codes; empty if the notice doesn't say that
	Kind     string    // a kind of factor: webauthn, totp, sms or email
	Left     int       // how many recovery codes are left
	User     string    // the id of the user, for administrators
	Link     string    // an address of the deployment that undoes what the notice tells of; empty if there is none
}

// An Item is one topic in a notice about several.
type Item struct {
	Topic string
	Kind  string // a kind of factor; empty if the topic isn't about a factor
	Times int    // how often it happened
	Last  time.Time
}

// topics has, for each topic, a function that returns the texts of its notice: the subject, what happened, and everything else.
// In a notice about several topics, only the second text is used. An empty text is left out.
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
	MovedPhone: func(w *words, _ Facts) []string {
		return []string{w.movedPhoneSubject, w.movedPhoneWhat, w.movedPhoneFactor, w.removedTrust, w.changeNotYou}
	},
	Undeliverable: func(w *words, _ Facts) []string {
		return []string{w.undeliverableSubject, w.undeliverableWhat, w.undeliverableDo}
	},
	Reset: func(w *words, _ Facts) []string {
		return []string{w.resetSubject, w.resetWhat, w.resetNext, w.removedTrust, w.changeNotYou}
	},
	WatchLock: func(w *words, _ Facts) []string {
		return []string{w.watchLockSubject, w.watchLockWhat, w.watchLockDo}
	},
	WatchReset: func(w *words, _ Facts) []string {
		return []string{w.watchResetSubject, w.watchResetWhat, w.watchResetDo}
	},
	WatchApproval: func(w *words, _ Facts) []string {
		return []string{w.watchApprovalSubject, w.watchResetWhat, w.watchApprovalDo}
	},
	ResetAsked: func(w *words, f Facts) []string {
		return []string{w.resetAskedSubject, w.resetAskedWhat, w.resetDue(f), w.resetCancelling(f), f.Link, w.resetAskedNotYou}
	},
	ResetCancelled: func(w *words, _ Facts) []string {
		return []string{w.resetCancelledSubject, w.resetCancelledWhat, w.resetCancelledNotYou}
	},
	PassIssued: func(w *words, _ Facts) []string {
		return []string{w.passIssuedSubject, w.passIssuedWhat, w.passNever, w.changeNotYou}
	},
	PassUsed: func(w *words, _ Facts) []string {
		return []string{w.passUsedSubject, w.passUsedWhat, w.changeNotYou}
	},
}

// About writes the notice about one topic. It reports false for an unknown topic.
func About(topic string, to Addressee, f Facts) (Message, bool) {
	says, ok := topics[topic]
	if !ok {
		return Message{}, false
	}
	d := begin(to)
	d.fillWith("{time}", d.words.moment(f.Until), "{kind}", d.words.kinds[f.Kind], "{left}", strconv.Itoa(f.Left), "{user}", text.Line(f.User))
	d.link = f.Link
	texts := says(d.words, f)
	d.say(texts[1:]...)
	return d.message(texts[0]), true
}

// Sum writes one notice about several topics. It leaves out items with an unknown topic.
func Sum(to Addressee, items []Item) Message {
	d := begin(to)
	d.say(d.words.sumWhat)
	for _, item := range items {
		says, ok := topics[item.Topic]
		if !ok {
			continue
		}
		d.fillWith("{time}", d.words.moment(item.Last), "{kind}", d.words.kinds[item.Kind], "{times}", strconv.Itoa(item.Times), "{user}", "")
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

// lockEnd returns the text that says when a lock ends.
func (w *words) lockEnd(f Facts) string {
	switch {
	case f.ForGood:
		return w.lockForever
	case f.Until.IsZero():
		return w.lockOver
	}
	return w.lockUntil
}

// lockWhere returns the text that says in which browsers a lock stops codes. It is empty for a lock of all browsers.
func (w *words) lockWhere(f Facts) string {
	switch f.Browsers {
	case KnownBrowsers:
		return w.lockKnown
	case OtherBrowsers:
		return w.lockOther
	}
	return ""
}

// resetDue returns the text that says what a request for a reset waits for.
func (w *words) resetDue(f Facts) string {
	if f.Until.IsZero() {
		return w.resetAskedApprove
	}
	return w.resetAskedDue
}

// resetCancelling returns the text that stands before the link. It is empty without a link.
func (w *words) resetCancelling(f Facts) string {
	if f.Link == "" {
		return ""
	}
	return w.resetAskedCancel
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
