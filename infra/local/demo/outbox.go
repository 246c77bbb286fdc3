package demo

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The page shows what Countersign sends to all users: emails in a mailbox, and text messages on the phone. They can be shown,
// because this is a demo whose messages are sent to nobody.

type outboxView struct {
	Mailbox mailboxView
	Texts   []textView // the newest first
}

type mailboxView struct {
	Mails   []mailView
	Earlier int
	Failed  bool
	Now     *moment
}

type mailView struct {
	ID          string // of the message's element on the page
	To, Subject string
	Passages    []passageView
	Time        *moment
	Latest      bool
}

type passageView struct {
	Text string
	Code bool // whether the passage is the code, which is shown large
}

// textView is a text message, with its code apart from what stands before and after it.
type textView struct {
	ID                      string
	To, Before, Code, After string
	Time                    *moment
}

// How many messages are shown.
const (
	mostMails = 4
	mostTexts = 3
)

// readOutbox reads the newest messages to all users.
func (d *Demo) readOutbox(ctx context.Context, now time.Time) (v outboxView) {
	v.Mailbox.Now = &moment{UTC: now.UTC().Format(time.RFC3339), Text: now.UTC().Format("2 January 2006, 15:04 UTC"), Day: true}
	var outbox struct{ Messages []sentMessage }
	if err := d.call(ctx, request{method: "GET", path: "/local/outbox"}, &outbox); err != nil {
		v.Mailbox.Failed = true
		return v
	}
	for i, m := range slices.Backward(outbox.Messages) {
		number := strconv.Itoa(i + 1)
		switch {
		case m.Channel == "sms" && len(v.Texts) < mostTexts:
			v.Texts = append(v.Texts, m.text("text-"+number, now))
		case m.Channel == "sms":
		case len(v.Mailbox.Mails) < mostMails:
			mail := m.mail("mail-"+number, now)
			mail.Latest = len(v.Mailbox.Mails) == 0
			v.Mailbox.Mails = append(v.Mailbox.Mails, mail)
		default:
			v.Mailbox.Earlier++
		}
	}
	return v
}

func (m *sentMessage) mail(id string, now time.Time) mailView {
	v := mailView{ID: id, To: m.To, Subject: m.Subject, Time: clockTime(m.At, now)}
	for passage := range strings.SplitSeq(strings.TrimSpace(m.Text), "\n\n") {
		v.Passages = append(v.Passages, passageView{Text: passage, Code: m.Code != "" && passage == m.Code})
	}
	return v
}

func (m *sentMessage) text(id string, now time.Time) textView {
	v := textView{ID: id, To: m.To, Before: m.Text, Time: clockTime(m.At, now)}
	if before, after, found := strings.Cut(m.Text, m.Code); found && m.Code != "" {
		v.Before, v.Code, v.After = before, m.Code, after
	}
	return v
}

// devicesPath is the page with the mailbox and the phone alone. It stands in a window of its own while a hosted page is in the other.
const devicesPath = "/demo/devices"

func (d *Demo) devices(w http.ResponseWriter, r *http.Request) {
	id, s := d.session(r)
	now := d.o.Now()
	sent := d.readOutbox(r.Context(), now)
	v := view{Title: "Mailbox and phone", Said: s.said, Page: devicesPath, Mailbox: sent.Mailbox, Phone: d.readPhone(session{}, now)}
	v.Phone.Texts, v.Phone.Page = sent.Texts, devicesPath
	d.render(w, "devices", v)
	d.heard(id, s)
}

func (d *Demo) mailbox(w http.ResponseWriter, r *http.Request) {
	d.render(w, "mailbox", d.readOutbox(r.Context(), d.o.Now()).Mailbox)
}

func (d *Demo) texts(w http.ResponseWriter, r *http.Request) {
	d.render(w, "texts", d.readOutbox(r.Context(), d.o.Now()).Texts)
}
