// Package message writes the messages that users get: their texts in all languages, and their layout. [OfCode] writes the message
// that carries a code, [About] a notice about one topic, and [Sum] one notice about several. The package knows neither users
// nor policies: its caller says to whom a message goes, in which language, and what it is about. Kinds of factor and topics are
// named by the words that the stored records use.
//
// The package guarantees:
//
//   - The plain text and the HTML of a message say the same in the same words. A message loads nothing. It has no
//     links, but for the notice of a request that its reader can cancel.
//   - A code is never in the subject, and never before its warning. A lock screen shows the beginning of a message, so it
//     doesn't show the code.
//   - What comes from users and clients is shown on one line, with visible characters only. It is never read as a placeholder
//     or as markup.
//
// To add a language, add its texts to languages. To add a topic, add a row to topics and its texts to every language.
package message

import (
	"html"
	"strconv"
	"strings"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/text"
)

// A Message is one complete email.
type Message struct {
	From    string // the name of the sender, on one line; the address of the sender is a setting of the deployment
	To      string
	Subject string // never has the code or the user's name
	Text    string // lines end with a line feed
	HTML    string
	Code    seal.Secret // the code in the message, which the local server's outbox shows; it isn't sent beside the text

	Reference Reference // goes with the message to the provider, and isn't shown to its reader
}

// A Reference is what a provider is given with a message and says again when the message comes back. It says nothing of the
// person. Its texts have ASCII letters, digits, _ and - only, and at most 256 of them.
type Reference struct {
	User    string // where the user is kept
	Factor  string // the id of the factor that the message has a code for, or a word for a message without a code
	Address string // a hash of the address that the message goes to, which can be checked only with what is kept of the user
}

// An Addressee is the person who gets a message, and how the message is addressed.
type Addressee struct {
	Sender   string // the name of the sender
	Address  string
	Name     string // the name of the person; may be empty
	Language string // one of Languages; any other means English
}

// A Code is a security code that is sent to a user.
type Code struct {
	Code     seal.Secret
	Sequence string // a letter by which the user can tell several codes apart
	ValidFor time.Duration
	Confirms []string // what the user confirms with the code, a line each; there may be none
}

// OfCode writes the message that carries a code. The warning stands before the code, so that a lock screen, which shows the
// beginning of a message, doesn't show the code. So do the lines that are confirmed, because they have to be read first.
func OfCode(to Addressee, c Code) Message {
	d := begin(to)
	minutes := int(c.ValidFor / time.Minute)
	d.fillWith("{sequence}", c.Sequence, "{minutes}", strconv.Itoa(minutes))
	d.say(d.words.codeWarning)
	if len(c.Confirms) > 0 {
		d.say(d.words.codeConfirms)
		for _, line := range c.Confirms {
			d.passages = append(d.passages, text.Line(line))
		}
	}
	d.say(d.words.codeIs)
	d.digits = len(d.passages)
	d.passages = append(d.passages, c.Code.Reveal())
	switch {
	case minutes < 1:
		d.say(d.words.underAMinute)
	case minutes == 1:
		d.say(d.words.oneMinute)
	default:
		d.say(d.words.minutes)
	}
	d.say(d.words.codeLatest, d.words.codeSpam, d.words.codeNotYou)
	m := d.message(d.words.codeSubject)
	m.Code = c.Code
	return m
}

// A draft is a message that is being written. Text and HTML are made of the same passages, so that they can't differ.
type draft struct {
	to       Addressee
	words    *words
	fill     *strings.Replacer // replaces placeholders; it doesn't replace anything in what it has put in
	passages []string
	digits   int    // the index of the passage that is the code; 0, which is the greeting, means that there is no code
	link     string // the passage that is a link; empty if none is
}

// begin makes a draft that has only the greeting.
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

// fillWith sets what placeholders in later texts are replaced by: the sender, the user's name, and the given pairs of a
// placeholder and its value.
func (d *draft) fillWith(placeholders ...string) {
	d.fill = strings.NewReplacer(append([]string{"{sender}", d.to.Sender, "{name}", shownName(d.to.Name)}, placeholders...)...)
}

// say adds texts to the message, and replaces their placeholders. It leaves out texts that are empty.
func (d *draft) say(texts ...string) {
	for _, t := range texts {
		if t != "" {
			d.passages = append(d.passages, d.fill.Replace(t))
		}
	}
}

// The layout keeps the colours of the mail program, and adds only translucent ones. So a message can be read in light and in
// dark mode.
const (
	pageStyle   = "margin:0;padding:24px 16px;font-family:system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:16px;line-height:1.5"
	columnStyle = "max-width:34em;margin:0 auto;overflow-wrap:anywhere"
	textStyle   = "margin:0 0 16px"
	digitsStyle = "margin:0 0 16px;padding:16px 8px 16px 16px;border:1px solid rgba(128,128,128,.45);border-radius:8px;" +
		"background-color:rgba(128,128,128,.14);font-family:ui-monospace,Menlo,Consolas,monospace;font-size:32px;" +
		"line-height:1.25;font-weight:600;letter-spacing:8px;text-align:center;white-space:nowrap;-webkit-user-select:all;user-select:all"
	senderStyle = "margin:24px 0 0;padding:16px 0 0;border-top:1px solid rgba(128,128,128,.45)"
)

// message adds the sender's name at the end, and makes the Message.
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
		if d.link != "" && passage == d.link {
			page.WriteString(linked(passage))
			continue
		}
		page.WriteString(paragraph(style, passage))
	}
	page.WriteString(paragraph(senderStyle, d.to.Sender) + "</div>\n</body>\n</html>\n")
	return Message{
		From: d.to.Sender, To: d.to.Address, Subject: subject, HTML: page.String(),
		Text: strings.Join(append(d.passages, d.to.Sender), "\n\n") + "\n",
	}
}

// linked writes a passage that is a link, as what it leads to.
func linked(link string) string {
	link = html.EscapeString(link)
	return `<p style="` + textStyle + `"><a href="` + link + `">` + link + "</a></p>\n"
}

func paragraph(style, passage string) string {
	return `<p style="` + style + `">` + html.EscapeString(passage) + "</p>\n"
}

// moment writes t in words and in UTC. It rounds up to a whole minute, because no code is accepted before t.
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

// longestName is how many characters of a name a greeting shows.
const longestName = 40

// shownName returns a name as a greeting shows it: on one line, cut off if it is long, and without anything that a mail program
// would turn into a link. It may be empty.
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
