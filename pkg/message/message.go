// Package message writes the messages that users get: their texts in every language that there is, and how they look. It
// knows neither users nor policies: whoever sends says to whom, in which language, and about what. Kinds of factor and
// topics come as the words that records have for them.
//
// What it keeps: plain text and HTML say the same in the same words; no message holds a link or loads anything; a code
// stands in no subject, and in no text before its warning, so that a lock screen, which shows how a message begins, doesn't
// show it; what comes from users and clients is shown on one line, as characters that are seen, and is never filled in or
// taken for markup.
//
// To write in one more language is to add its texts to languages; to tell users of one thing more is to add a row to
// topics, and its texts to every language.
package message

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

// An Addressee is the person who gets a message, and how the message is addressed.
type Addressee struct {
	Sender   string // the name that the message goes out under
	Address  string
	Name     string // the person's; may be empty
	Language string // one of Languages; English for any other
}

// A Code is a security code that is sent.
type Code struct {
	Code     seal.Secret
	Sequence string // the letter by which the user tells codes from each other
	Minutes  int    // that the code is good for
}

// OfCode is the message that carries a code. The warning comes before the code, so that a lock screen, which shows how a
// message begins, doesn't show the code.
func OfCode(to Addressee, c Code) Message {
	d := begin(to)
	d.fillWith("{sequence}", c.Sequence, "{minutes}", strconv.Itoa(c.Minutes))
	d.say(d.words.codeWarning, d.words.codeIs)
	d.digits = len(d.passages)
	d.passages = append(d.passages, c.Code.Reveal())
	switch {
	case c.Minutes < 1:
		d.say(d.words.underAMinute)
	case c.Minutes == 1:
		d.say(d.words.oneMinute)
	default:
		d.say(d.words.minutes)
	}
	d.say(d.words.codeLatest, d.words.codeSpam, d.words.codeNotYou)
	m := d.message(d.words.codeSubject)
	m.Code = c.Code
	return m
}

// A draft is a message being written. Text and HTML are both made of its passages, so that they can't differ.
type draft struct {
	to       Addressee
	words    *words
	fill     *strings.Replacer // goes over a text once: what it puts in is not filled in again
	passages []string
	digits   int // the passage that is the code; 0, the greeting: there is none
}

// begin greets the user.
func begin(to Addressee) *draft {
	language, w := wordsIn(to.Language)
	to.Language, to.Sender = language, text.Line(to.Sender)
	d := &draft{to: to, words: w}
	d.fillWith()
	if shownName(to.Name) == "" {
		d.say(d.words.greeting)
	} else {
		d.say(d.words.greetingByName)
	}
	return d
}

// fillWith has the texts that are said from now on filled with the sender, the user's name and what placeholders stands
// for: pairs of a placeholder and what goes there.
func (d *draft) fillWith(placeholders ...string) {
	d.fill = strings.NewReplacer(append([]string{"{sender}", d.to.Sender, "{name}", shownName(d.to.Name)}, placeholders...)...)
}

// say adds texts, filled in. It leaves out those that are empty.
func (d *draft) say(texts ...string) {
	for _, t := range texts {
		if t != "" {
			d.passages = append(d.passages, d.fill.Replace(t))
		}
	}
}

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
		`<html lang="` + d.to.Language + `">` + "\n<head>\n" +
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
	page.WriteString(paragraph(senderStyle, d.to.Sender) + "</div>\n</body>\n</html>\n")
	return Message{
		From: d.to.Sender, To: d.to.Address, Subject: subject, HTML: page.String(),
		Text: strings.Join(append(d.passages, d.to.Sender), "\n\n") + "\n",
	}
}

func paragraph(style, passage string) string {
	return `<p style="` + style + `">` + html.EscapeString(passage) + "</p>\n"
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
