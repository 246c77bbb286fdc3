package emulator

import (
	"encoding/json"

	"countersign/infra/amazon"
	"countersign/infra/local/machine"
)

// An outbox shows the messages and events of an account, in the form of the calls under /local/.
type outbox struct{ *amazon.Account }

// messages calls each with every message to an address. If to is empty, it does so for all addresses.
func (o outbox) messages(to string, each func(json.RawMessage) error) error {
	for _, m := range o.Messages() {
		if to != "" && m.To != to {
			continue
		}
		said := machine.Message{At: m.At, Channel: "email", To: m.To, Subject: &m.Subject, Text: m.Text, HTML: &m.HTML}
		if code := m.Code(); code != "" {
			said.Code = &code
		}
		text, err := json.Marshal(said)
		if err == nil {
			err = each(text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (o outbox) clear() error {
	o.ClearMessages()
	return nil
}

// events calls each with every event on the bus.
func (o outbox) events(each func(json.RawMessage) error) error {
	for _, e := range o.Events() {
		if err := each(e.Detail); err != nil {
			return err
		}
	}
	return nil
}
