package mfa

import (
	"html"
	"strconv"
	"strings"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/text"
)

// A Message is one email, complete. Text and HTML say the same, in the same words. Neither holds a link, nor loads
// anything.
type Message struct {
	From    string // the name that it goes out under, on one line; the address is the deployment's
	To      string
	Subject string // never holds the code, nor the user's name
	Text    string // lines end with a line feed
	HTML    string
	Code    seal.Secret // the code it carries, for a recorder on a laptop; a provider ignores it
}

// A notice is what a message is about.
type notice struct {
	to, name string
	code     seal.Secret
	sequence string    // the letter of the code
	minutes  int       // that the code is good for
	until    time.Time // end of a lock
	browsers string    // in which a lock holds
	kind     string    // of a factor
	left     int       // recovery codes
	times    int       // that something happened
}

// The warning comes before the code, so that a lock screen, which shows how a message begins, doesn't show the code.
func codeMessage(sender, language string, n notice) Message {
	d := begin(sender, language, n)
	d.say(d.words.codeWarning)
	d.say(d.words.codeIs)
	d.digits = len(d.passages)
	d.passages = append(d.passages, n.code.Reveal())
	switch {
	case n.minutes < 1:
		d.say(d.words.underAMinute)
	case n.minutes == 1:
		d.say(d.words.oneMinute)
	default:
		d.say(d.words.minutes)
	}
	d.say(d.words.codeLatest)
	d.say(d.words.codeSpam)
	d.say(d.words.codeNotYou)
	m := d.message(d.words.codeSubject)
	m.Code = n.code
	return m
}

func lockMessage(sender, language string, n notice) Message {
	d := begin(sender, language, n)
	d.say(d.words.lockWhat)
	switch {
	case n.until.IsZero():
		d.say(d.words.lockOver)
	case n.until.Before(forever):
		d.say(d.words.lockUntil)
	default:
		d.say(d.words.lockForever)
	}
	d.sayWhere(n)
	d.say(d.words.lockNotYou)
	return d.message(d.words.lockSubject)
}

func theftMessage(sender, language string, n notice) Message {
	d := begin(sender, language, n)
	d.say(d.words.theftWhat)
	d.say(d.words.theftEnded)
	d.say(d.words.theftYou)
	d.say(d.words.theftNotYou)
	return d.message(d.words.theftSubject)
}

func recoveryLockMessage(sender, language string, n notice) Message {
	d := begin(sender, language, n)
	d.say(d.words.recoveryLockWhat)
	d.say(d.words.recoveryLockWait)
	d.sayWhere(n)
	d.say(d.words.lockNotYou)
	return d.message(d.words.recoveryLockSubject)
}

// sayWhere says in which browsers a lock holds, where it doesn't in all.
func (d *draft) sayWhere(n notice) {
	switch n.browsers {
	case knownBrowsers:
		d.say(d.words.lockKnown)
	case otherBrowsers:
		d.say(d.words.lockOther)
	}
}

func enrolledMessage(sender, language string, n notice) Message {
	d := begin(sender, language, n)
	d.say(d.words.enrolledWhat)
	d.say(d.words.changeNotYou)
	return d.message(d.words.enrolledSubject)
}

func removedMessage(sender, language string, n notice) Message {
	d := begin(sender, language, n)
	d.say(d.words.removedWhat)
	d.say(d.words.removedTrust)
	d.say(d.words.changeNotYou)
	return d.message(d.words.removedSubject)
}

func recoveryUsedMessage(sender, language string, n notice) Message {
	d := begin(sender, language, n)
	d.say(d.words.recoveryUsedWhat)
	switch n.left {
	case 0:
		d.say(d.words.recoveryNoneLeft)
	case 1:
		d.say(d.words.recoveryOneLeft)
	default:
		d.say(d.words.recoveryLeft)
	}
	d.say(d.words.changeNotYou)
	return d.message(d.words.recoveryUsedSubject)
}

func recoveryMadeMessage(sender, language string, n notice) Message {
	d := begin(sender, language, n)
	d.say(d.words.recoveryMadeWhat)
	d.say(d.words.changeNotYou)
	return d.message(d.words.recoveryMadeSubject)
}

func disabledMessage(sender, language string, n notice) Message {
	d := begin(sender, language, n)
	d.say(d.words.disabledWhat)
	d.say(d.words.removedTrust)
	d.say(d.words.changeNotYou)
	return d.message(d.words.disabledSubject)
}

func unlockedMessage(sender, language string, n notice) Message {
	d := begin(sender, language, n)
	d.say(d.words.unlockedWhat)
	d.say(d.words.unlockedNotYou)
	return d.message(d.words.unlockedSubject)
}

func movedMessage(sender, language string, n notice) Message {
	d := begin(sender, language, n)
	d.say(d.words.movedWhat)
	d.say(d.words.movedWhere)
	d.say(d.words.removedTrust)
	d.say(d.words.changeNotYou)
	return d.message(d.words.movedSubject)
}

// sumMessage says at once what there was no room to say singly.
func sumMessage(sender, language string, n notice, items []waited) Message {
	d := begin(sender, language, n)
	d.say(d.words.sumWhat)
	for _, item := range items {
		t := topicNamed(item.Topic)
		if t == nil {
			continue // one of a later build
		}
		n.kind, n.until, n.times = string(item.Kind), item.Last, item.Times
		d.fillWith(n)
		text := d.words.sumOnce
		if n.times > 1 {
			text = d.words.sumTimes
		}
		d.passages = append(d.passages, strings.Replace(d.fill.Replace(text), "{what}", d.fill.Replace(t.line(d.words)), 1))
	}
	d.say(d.words.changeNotYou)
	return d.message(d.words.sumSubject)
}

// A draft is a message being written. Text and HTML are both made of its passages, so that they can't differ.
type draft struct {
	language string
	words    *words
	sender   string
	to       string
	fill     *strings.Replacer // goes over a text once: what it puts in is not filled in again
	passages []string
	digits   int // the passage that is the code; 0, the greeting: there is none
}

// begin greets the user. A language that isn't ours is answered in English.
func begin(sender, language string, n notice) *draft {
	w, ok := languages[language]
	if !ok {
		language = "en"
		w = languages[language]
	}
	d := &draft{language: language, words: w, sender: text.Line(sender), to: n.to}
	d.fillWith(n)
	if shownName(n.name) == "" {
		d.say(w.greeting)
	} else {
		d.say(w.greetingByName)
	}
	return d
}

// fillWith has the texts that are said from now on filled with what n is about.
func (d *draft) fillWith(n notice) {
	d.fill = strings.NewReplacer(
		"{sender}", d.sender,
		"{name}", shownName(n.name),
		"{sequence}", n.sequence,
		"{minutes}", strconv.Itoa(n.minutes),
		"{time}", d.words.moment(n.until),
		"{kind}", d.words.kinds[Kind(n.kind)],
		"{left}", strconv.Itoa(n.left),
		"{times}", strconv.Itoa(n.times),
	)
}

func (d *draft) say(text string) { d.passages = append(d.passages, d.fill.Replace(text)) }

// The colours of the mail program are left as they are, and what is laid over them is translucent, so that a message
// can be read in light and in dark.
const (
	pageStyle   = "margin:0;padding:24px 16px;font-family:system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:16px;line-height:1.5"
	columnStyle = "max-width:34em;margin:0 auto;overflow-wrap:anywhere"
	textStyle   = "margin:0 0 16px"
	digitsStyle = "margin:0 0 16px;padding:16px 8px 16px 16px;border:1px solid rgba(128,128,128,.45);border-radius:8px;" +
		"background-color:rgba(128,128,128,.14);font-family:ui-monospace,Menlo,Consolas,monospace;font-size:32px;" +
		"line-height:1.25;font-weight:600;letter-spacing:8px;text-align:center;white-space:nowrap;-webkit-user-select:all;user-select:all"
	senderStyle = "margin:24px 0 0;padding:16px 0 0;border-top:1px solid rgba(128,128,128,.45)"
)

// message signs the draft and writes it out.
func (d *draft) message(subject string) Message {
	subject = d.fill.Replace(subject)
	var page strings.Builder
	page.WriteString("<!DOCTYPE html>\n" +
		`<html lang="` + d.language + `">` + "\n<head>\n" +
		`<meta charset="utf-8">` + "\n" +
		`<meta name="viewport" content="width=device-width, initial-scale=1">` + "\n" +
		`<meta name="color-scheme" content="light dark">` + "\n" +
		`<meta name="supported-color-schemes" content="light dark">` + "\n" +
		`<meta name="format-detection" content="telephone=no, date=no, address=no, email=no">` + "\n" +
		"<title>" + html.EscapeString(subject) + "</title>\n" +
		"<style>:root { color-scheme: light dark }</style>\n</head>\n" +
		`<body style="` + pageStyle + `">` + "\n" + `<div style="` + columnStyle + `">` + "\n")
	for i, passage := range d.passages {
		style := textStyle
		if i > 0 && i == d.digits {
			style = digitsStyle
		}
		page.WriteString(paragraph(style, passage))
	}
	page.WriteString(paragraph(senderStyle, d.sender) + "</div>\n</body>\n</html>\n")
	return Message{
		From: d.sender, To: d.to, Subject: subject, HTML: page.String(),
		Text: strings.Join(append(d.passages, d.sender), "\n\n") + "\n",
	}
}

func paragraph(style, text string) string {
	return `<p style="` + style + `">` + html.EscapeString(text) + "</p>\n"
}

// moment writes t in UTC and in words. It says the next whole minute, since before t no code is looked at.
func (w *words) moment(t time.Time) string {
	t = t.UTC().Add(time.Minute - 1).Truncate(time.Minute)
	day := strconv.Itoa(t.Day())
	if t.Day() == 1 {
		day = w.firstDay
	}
	return strings.NewReplacer(
		"{day}", day, "{month}", w.months[t.Month()-1], "{year}", strconv.Itoa(t.Year()),
		"{hour}", strconv.Itoa(t.Hour()), "{hh}", t.Format("15"), "{mm}", t.Format("04"),
	).Replace(w.moments)
}

// longestName is how much of a name a greeting shows, in characters.
const longestName = 40

// shownName is a name as a greeting shows it: on one line, cut where it is long, and with nothing that a mail program
// would make a link of. It may be empty.
func shownName(name string) string {
	name = text.Line(strings.NewReplacer(".", ". ", "。", ". ", "．", ". ", "｡", ". ", "/", " ", `\`, " ", ":", " ", "@", " ").Replace(name))
	runes := []rune(name)
	if len(runes) <= longestName {
		return name
	}
	name = string(runes[:longestName])
	if i := strings.LastIndexByte(name, ' '); i > len(name)/2 {
		name = name[:i]
	}
	return strings.TrimRight(name, " .") + "…"
}
