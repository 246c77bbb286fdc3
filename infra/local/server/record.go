package server

import (
	"context"
	"encoding/json"
	"time"

	"countersign/pkg/mfa"
)

// A message is one that would have been sent, codes in clear.
type message struct {
	At      time.Time `json:"at"`
	Channel string    `json:"channel"` // email or sms
	To      string    `json:"to"`
	Subject *string   `json:"subject"` // null: the channel has none
	Text    string    `json:"text"`
	HTML    *string   `json:"html"` // null: the channel has none
	Code    *string   `json:"code"` // null: it carries none
}

// An outbox records messages instead of sending them.
type outbox struct {
	*journal[message]
	now func() time.Time
}

// SendMail implements mfa.Mailer.
func (o outbox) SendMail(_ context.Context, m mfa.Message) error {
	kept := message{At: o.now(), Channel: "email", To: m.To, Subject: &m.Subject, Text: m.Text, HTML: &m.HTML}
	if !m.Code.IsZero() {
		code := m.Code.Reveal()
		kept.Code = &code
	}
	return o.add(kept)
}

// to is what would have been sent to one address or number, oldest first; with "", everything.
func (o outbox) to(address string) []message {
	all := o.all()
	if address == "" {
		return all
	}
	var found []message
	for i := range all {
		if all[i].To == address {
			found = append(found, all[i])
		}
	}
	return found
}

// A bus records events, as a program that listens would get them: at least once each.
type bus struct{ *journal[json.RawMessage] }

// PutEvents implements mfa.Bus.
func (b bus) PutEvents(_ context.Context, events []mfa.Event) error {
	lines := make([]json.RawMessage, len(events))
	for i, e := range events {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		lines[i] = line
	}
	return b.add(lines...)
}
