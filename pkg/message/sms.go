package message

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"countersign/pkg/seal"
	"countersign/pkg/text"
)

// A Text is one complete text message (SMS). It is written in the GSM 7-bit default alphabet, and fits
// into one segment, or into two if it has a link.
type Text struct {
	To       string        // E.164
	Text     string        // lines are separated by a line feed, and the last one doesn't end with one
	Code     seal.Secret   // the code in the message, which the local server's outbox shows; it isn't sent beside the text
	ValidFor time.Duration // how long the code is valid; zero if the message has none. It is of no use to deliver the message later
}

// LongestHost is how many characters the host of OfCodeText can have at most, so that the message fits into one segment in every
// language. A host that long leaves no room for the name of the sender.
const LongestHost = 64

// OfCodeText writes the text message that carries a code. As in an email, the warning stands before the code. The last line
// binds the code to host, the domain of the pages that the user types it into: browsers offer to fill it in there, and
// nowhere else (https://wicg.github.io/sms-one-time-codes/). The host is in ASCII, and has at most LongestHost characters.
// What the code confirms stands before the last line if all of it can be written and fits into the segment. Otherwise it is left
// out, because a part of it would mislead.
func OfCodeText(to Addressee, c Code, host string) Text {
	_, w := wordsIn(to.Language)
	valid := w.codeTextUnderAMinute
	if n := int(c.ValidFor / time.Minute); n > 0 {
		valid = strings.ReplaceAll(w.codeTextMinutes, "{minutes}", strconv.Itoa(n))
	}
	digits := c.Code.Reveal()
	says := strings.NewReplacer("{sequence}", c.Sequence, "{valid}", valid).Replace(w.codeText) + digits
	last := "\n@" + host + " #" + digits
	if what := confirmed(c.Confirms); what != "" && strings.Count(gsm(what), "?") == strings.Count(what, "?") {
		if whole := says + "\n" + w.codeTextConfirms + what; width(whole+last) <= oneSegment {
			says = whole
		}
	}
	return Text{To: to.Address, Text: fitted(to.Sender, says, last), Code: c.Code, ValidFor: c.ValidFor}
}

// confirmed writes on one line what is confirmed.
func confirmed(lines []string) string {
	shown := make([]string, len(lines))
	for i, line := range lines {
		shown[i] = text.Line(line)
	}
	return strings.Join(shown, "; ")
}

// AboutText writes the notice about one of the topics as a text message, which has room for no more than what happened.
// With a link, it says in short what the link is for, and takes two segments.
func AboutText(topic string, to Addressee, link string) Text {
	_, w := wordsIn(to.Language)
	if link != "" {
		sender := strings.TrimRight(cutTo(shortSender(to.Sender), longestShownSender), " ")
		if sender != "" {
			sender += ": "
		}
		return Text{To: to.Address, Text: sender + gsm(w.resetAskedText) + link}
	}
	return noticeText(to, w, topics[topic](w, Facts{})[0])
}

// longestShownSender is how many septets of a sender a text message with a link shows.
const longestShownSender = 32

// SumText writes one notice about several topics as a text message.
func SumText(to Addressee) Text {
	_, w := wordsIn(to.Language)
	return noticeText(to, w, w.sumSubject)
}

// noticeText writes a subject as a text message. A sender that can't be written is left out.
func noticeText(to Addressee, w *words, subject string) Text {
	if shortSender(to.Sender) == "" {
		subject = strings.NewReplacer(" ({sender})", "", " {sender}", "").Replace(subject)
	}
	before, after, _ := strings.Cut(subject, "{sender}")
	room := oneSegment - width(before+after+". "+w.textNotYou)
	return Text{To: to.Address, Text: gsm(before) + strings.TrimRight(cutTo(shortSender(to.Sender), room), " ") + gsm(after+". "+w.textNotYou)}
}

// fitted puts the sender before what a text says and last, its last line, after it. It cuts the sender off where there is no
// room.
func fitted(sender, says, last string) string {
	says = gsm(says)
	sender = strings.TrimRight(cutTo(shortSender(sender), oneSegment-width(says+last)-len(": ")), " ")
	if sender == "" {
		return says + last
	}
	return sender + ": " + says + last
}

// shortSender returns a sender as text messages name it. It is empty if the GSM 7-bit default alphabet has no letter or digit
// of it.
func shortSender(sender string) string {
	sender = gsm(text.Line(sender))
	if !strings.ContainsFunc(sender, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
		return ""
	}
	return sender
}

// width returns how many septets s takes once it is written in the GSM 7-bit default alphabet.
func width(s string) int {
	n, _ := septets(gsm(s))
	return n
}
