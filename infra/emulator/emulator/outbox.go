package emulator

import (
	"encoding/json"
	"slices"

	"countersign/infra/amazon"
	"countersign/infra/local/machine"
)

// An outbox shows the messages and events of an account, in the form of the calls under /local/.
type outbox struct{ *amazon.Account }

// messages calls each with every message to an address. If to is empty, it does so for all addresses.
func (o outbox) messages(to string, each func(json.RawMessage) error) error {
	var all []machine.Message
	add := func(m machine.Message, code string) {
		if to != "" && m.To != to {
			return
		}
		if code != "" {
			m.Code = &code
		}
		all = append(all, m)
	}
	for _, m := range o.Messages() {
		add(machine.Message{At: m.At, Channel: "email", To: m.To, Subject: &m.Subject, Text: m.Text, HTML: &m.HTML}, m.Code())
	}
	for _, m := range o.Texts() {
		add(machine.Message{At: m.At, Channel: "sms", To: m.To, Text: m.Text}, m.Code())
	}
	slices.SortStableFunc(all, func(a, b machine.Message) int { return a.At.Compare(b.At) })
	for _, m := range all {
		text, err := json.Marshal(m)
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
