package demo

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A view is what the page shows.
type view struct {
	Said    remark
	Waiting *codeStep
	In      *desk
	User    string // to begin with
	Mailbox mailboxView
}

// codeStep is the page's second question.
type codeStep struct {
	User, Hint, Letter, Why string
	Until                   string
	UntilS                  int // seconds left
	ResendS                 int // seconds to wait for a new code
	SendsLeft               int
	Sent                    bool
	TrustDays               int // 0: not offered
}

// desk is what somebody sees who is in.
type desk struct {
	User, Decision, Reason, Why string
	Trusted                     string
	Claims                      string
	Asked                       bool
}

type mailboxView struct {
	Mails   []mailView
	Earlier int
	Failed  bool
	Now     string
}

type mailView struct {
	To, Subject string
	Passages    []passageView
	Time        string
	Number      int
	Latest      bool
}

type passageView struct {
	Text string
	Code bool // the passage is the code, and stands out
}

// mostMails is how many messages the mailbox shows.
const mostMails = 4

// why says in words what a reason is, after "You are asked because" or "You weren’t asked, because".
var why = map[string]string{
	"new_browser":     "this browser isn’t trusted yet",
	"trust_expired":   "this browser’s 30 days of trust are over",
	"required":        "the organisation asks everyone",
	"enabled":         "you turned two-factor sign-in on",
	"trusted_browser": "you trust this browser",
	"sso":             "the company’s single sign-on vouched for you",
	"not_required":    "the organisation doesn’t ask you",
}

// page shows where the browser's session is.
func (d *Demo) page(w http.ResponseWriter, r *http.Request) {
	id, s := d.session(r)
	now := d.o.Now()
	v := view{Said: s.said, User: "ana", Mailbox: d.readMailbox(r.Context(), now)}
	switch {
	case s.waiting != nil:
		v.Waiting = s.waiting.shown(now)
	case s.in != nil:
		v.In = s.in.shown(now)
	}
	d.render(w, "page", v)
	d.heard(id, s)
}

func (d *Demo) mailbox(w http.ResponseWriter, r *http.Request) {
	d.render(w, "mailbox", d.readMailbox(r.Context(), d.o.Now()))
}

func (d *Demo) render(w http.ResponseWriter, name string, v any) {
	var page bytes.Buffer
	if err := d.pages.ExecuteTemplate(&page, name, v); err != nil {
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(page.Bytes())
}

func (w *waiting) shown(now time.Time) *codeStep {
	c := &w.challenge
	v := &codeStep{
		User: w.user, Why: why[w.reason], Until: clockTime(c.Expires, now), UntilS: secondsTo(c.Expires, now),
	}
	if c.Trust != nil {
		v.TrustDays = c.Trust.Days
	}
	if len(c.Methods) > 0 {
		v.Hint = c.Methods[0].Hint
	}
	v.SendsLeft = 1
	if c.Sent != nil {
		v.Sent, v.Hint, v.Letter = true, c.Sent.Hint, c.Sent.Sequence
		v.ResendS, v.SendsLeft = secondsTo(c.Sent.ResendAfter, now), c.Sent.SendsLeft
	}
	return v
}

func (in *signedIn) shown(now time.Time) *desk {
	v := &desk{
		User: in.user, Decision: in.decision, Reason: in.reason, Why: why[in.reason], Claims: in.claims.text,
		Asked: in.decision == "challenge",
	}
	if in.trusted != nil {
		v.Trusted = clockTime(*in.trusted, now)
	}
	return v
}

func secondsTo(at, now time.Time) int {
	return max(0, int((at.Sub(now)+time.Second-1)/time.Second))
}

// readMailbox reads the newest messages of everybody: it is a demo, and its mail goes nowhere else.
func (d *Demo) readMailbox(ctx context.Context, now time.Time) mailboxView {
	v := mailboxView{Now: now.UTC().Format("2 January 2006, 15:04")}
	var outbox struct{ Messages []mail }
	if err := d.call(ctx, request{method: "GET", path: "/local/outbox"}, &outbox); err != nil {
		v.Failed = true
		return v
	}
	v.Earlier = max(0, len(outbox.Messages)-mostMails)
	for i, m := range slices.Backward(outbox.Messages[v.Earlier:]) {
		number := v.Earlier + i + 1
		shown := mailView{To: m.To, Subject: m.Subject, Time: clockTime(m.At, now), Number: number, Latest: i == len(outbox.Messages)-v.Earlier-1}
		for passage := range strings.SplitSeq(strings.TrimSpace(m.Text), "\n\n") {
			shown.Passages = append(shown.Passages, passageView{Text: passage, Code: m.Code != "" && passage == m.Code})
		}
		v.Mails = append(v.Mails, shown)
	}
	return v
}

// ID is the message's name within the page.
func (m mailView) ID() string { return "mail-" + strconv.Itoa(m.Number) }
