package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"countersign/infra/amazon/amazontest"
	"countersign/infra/local/machine"
	"countersign/pkg/cloud"
	"countersign/pkg/cloud/email"
	"countersign/pkg/cloud/textmessage"
	"countersign/pkg/message"
)

func TestTheOutboxHasEmailAndTextMessagesInTheirOrder(t *testing.T) {
	w := amazontest.New(t)
	w.Account.Now = func() time.Time { w.At = w.At.Add(time.Second); return w.At }
	w.Env["COUNTERSIGN_SMS_PROVIDER"] = "sns"
	d := cloud.Open(cloud.Process{Step: "challenge", Environment: w.Getenv, Output: &w.Log, Now: w.Now})
	mail, texts := email.Of(d), textmessage.Of(d)
	const number = "+447400123456"
	for i, code := range []string{"111111", "222222", "333333"} {
		if i%2 == 0 {
			if err := texts.SendText(t.Context(), message.Text{To: number, Text: "Acme: " + code + "\n@acme.example #" + code}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := mail.SendMail(t.Context(), message.Message{To: "bob@example.com", Subject: "s", Text: "code\n" + code + "\n", HTML: "h"}); err != nil {
			t.Fatal(err)
		}
	}
	for to, want := range map[string][]string{
		"": {"sms 111111 true", "email 222222 false", "sms 333333 true"}, number: {"sms 111111 true", "sms 333333 true"}, "bob@example.com": {"email 222222 false"}, "eve": nil,
	} {
		var got []string
		err := outbox{w.Account}.messages(to, func(text json.RawMessage) error {
			var m machine.Message
			if err := json.Unmarshal(text, &m); err != nil {
				return err
			}
			got = append(got, fmt.Sprintf("%s %s %t", m.Channel, *m.Code, m.Subject == nil && m.HTML == nil))
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v, want %q", to, got, err, want)
		}
	}
	stop := errors.New("stop")
	if err := (outbox{w.Account}).messages("", func(json.RawMessage) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want %v", err, stop)
	}
	if err := (outbox{w.Account}).clear(); err != nil || len(w.Texts())+len(w.Messages()) > 0 {
		t.Errorf("got %v, want nothing left", err)
	}
}
