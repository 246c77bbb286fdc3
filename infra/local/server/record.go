package server

import (
	"context"
	"encoding/json"
	"time"

	"countersign/infra/local/machine"
	"countersign/pkg/mfa"
)

// An outbox records messages instead of sending them.
type outbox struct {
	*journal[machine.Message]
	now func() time.Time
}

// SendMail implements mfa.Mailer.
func (o outbox) SendMail(_ context.Context, m mfa.Message) error {
	kept := machine.Message{At: o.now(), Channel: "email", To: m.To, Subject: &m.Subject, Text: m.Text, HTML: &m.HTML}
	if !m.Code.IsZero() {
		code := m.Code.Reveal()
		kept.Code = &code
	}
	return o.add(kept)
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
