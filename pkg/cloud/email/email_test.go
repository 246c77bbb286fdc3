package email

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/mail"
	"strings"
	"sync/atomic"
	"testing"

	"countersign/infra/amazon"
	"countersign/infra/amazon/amazontest"
	"countersign/pkg/cloud"
	"countersign/pkg/message"
	"countersign/pkg/mfa"
)

// open makes the Sender of a process that has just started.
func open(w *amazontest.World) *Sender {
	return Of(cloud.Open(cloud.Process{Step: "verify", Environment: w.Getenv, Output: &w.Log, Now: w.Now}))
}

var anyMessage = message.Message{To: "bob@example.com", Subject: "The subject", Text: "code 123456", HTML: "<b>123456</b>"}

func TestAMessageThatMayHaveBeenTakenIsNotSentAgain(t *testing.T) {
	quoting := `{"message":"Email address is not verified: bob@example.com, 123456"}`
	for name, test := range map[string]struct {
		answer   amazontest.Answers
		sends    int
		reason   string // empty if the message was taken
		notTaken bool   // whether the message was surely not taken
	}{
		"taken":                              {func(amazontest.Asked) (int, string) { return 200, `{"MessageId":"1"}` }, 1, "", false},
		"answer lost":                        {func(amazontest.Asked) (int, string) { return amazontest.Lose, "" }, 1, "no_answer", false},
		"server error":                       {func(amazontest.Asked) (int, string) { return 500, quoting }, 1, "refused", false},
		"unavailable":                        {func(amazontest.Asked) (int, string) { return 503, quoting }, 1, "refused", false},
		"a server error that says throttled": {func(amazontest.Asked) (int, string) { return 503, `{"__type":"ThrottlingException"}` }, 1, "throttled", false},
		"a redirect":                         {func(amazontest.Asked) (int, string) { return 302, quoting }, 1, "refused", false},
		"one too many, then taken": {func(q amazontest.Asked) (int, string) {
			if q.N == 1 {
				return 429, `{"__type":"TooManyRequestsException"}`
			}
			return 200, "{}"
		}, 2, "", false},
		"one too many, then lost": {func(q amazontest.Asked) (int, string) {
			if q.N == 1 {
				return 429, `{"__type":"TooManyRequestsException"}`
			}
			return amazontest.Lose, ""
		}, 2, "no_answer", false},
		"always one too many": {func(amazontest.Asked) (int, string) { return 429, quoting }, 2, "throttled", true},
		"throttled by code":   {func(amazontest.Asked) (int, string) { return 400, `{"__type":"ThrottlingException"}` }, 2, "throttled", true},
		"suspended":           {func(amazontest.Asked) (int, string) { return 400, `{"__type":"AccountSuspendedException"}` }, 1, "account", true},
		"unverified sender":   {func(amazontest.Asked) (int, string) { return 400, `{"__type":"MailFromDomainNotVerifiedException"}` }, 1, "sender", true},
		"rejected": {func(amazontest.Asked) (int, string) {
			return 400, `{"__type":"MessageRejected","message":"bob@example.com"}`
		}, 1, "rejected", true},
		"the last of the 4xx": {func(amazontest.Asked) (int, string) { return 499, quoting }, 1, "refused", true},
	} {
		w := amazontest.New(t)
		w.Answer(test.answer)
		err := open(w).SendMail(t.Context(), anyMessage)
		if (err == nil) != (test.reason == "") {
			t.Errorf("%s: got %v", name, err)
		}
		if errors.Is(err, mfa.ErrNotTaken) != test.notTaken {
			t.Errorf("%s: got %v, want that it says so where the message was surely not taken", name, err)
		}
		if got := len(w.Requests()); got != test.sends {
			t.Errorf("%s: got %d requests, want %d", name, got, test.sends)
		}
		want := `"channel":"email","reason":"` + test.reason + `","step":"verify"}`
		if counted := w.Log.String(); strings.Contains(counted, "DeliveryFailures") != (err != nil) || err != nil && !strings.Contains(counted, want) {
			t.Errorf("%s: got %s counted, want %s", name, counted, want)
		}
		checkNothingOfTheMessage(t, name, w, err)
	}
}

func checkNothingOfTheMessage(t *testing.T, name string, w *amazontest.World, err error) {
	t.Helper()
	said := w.Log.String()
	if err != nil {
		said += err.Error()
	}
	for _, secret := range []string{"bob", "example.com", "123456", "subject", "127.0.0.1"} {
		if strings.Contains(said, secret) {
			t.Errorf("%s: %q is in %s", name, secret, said)
		}
	}
}

// counting counts the attempts that are made through it.
type counting struct {
	http.RoundTripper
	n atomic.Int32
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.RoundTripper.RoundTrip(r)
}

func TestWhereNoConnectionCameAboutAMessageIsTriedAgain(t *testing.T) {
	w := amazontest.New(t)
	w.Env["COUNTERSIGN_SES_ENDPOINT"] = amazontest.ClosedPort(t)
	m := open(w)
	count := &counting{RoundTripper: m.courier.Amazon.HTTPClient.(*http.Client).Transport}
	m.courier.Amazon.HTTPClient.(*http.Client).Transport = count
	err := m.SendMail(t.Context(), anyMessage)
	if tries := count.n.Load(); err == nil || tries != 2 || !strings.Contains(w.Log.String(), `"reason":"unconnected"`) {
		t.Errorf("got %v after %d attempts, want an error after 2; log %s", err, tries, w.Log.String())
	}
	if !errors.Is(err, mfa.ErrNotTaken) {
		t.Errorf("got %v, want that it says that nothing was sent", err)
	}
}

func TestAMessageToMoreOrLessThanOneAddressIsNotSent(t *testing.T) {
	w := amazontest.New(t)
	m := open(w)
	for _, to := range []string{"", "bob", "bob@example.com,eve@example.com", "Bob <bob@example.com>", "bob@example.com\r\nBcc: eve@example.com", " bob@example.com"} {
		err := m.SendMail(t.Context(), message.Message{To: to, Subject: "s", Text: "t", HTML: "h"})
		if !errors.Is(err, mfa.ErrNotTaken) {
			t.Errorf("%q: got %v, want that it says that nothing was sent", to, err)
		}
		checkNothingOfTheMessage(t, to, w, err)
	}
	if got := len(w.Requests()); got > 0 {
		t.Errorf("got %d requests, want none", got)
	}
}

func TestAMessageGoesOutUnderItsOwnNameFromTheOneAddress(t *testing.T) {
	w := amazontest.New(t)
	w.Env["COUNTERSIGN_SENDER_NAME"] = "House"
	m := open(w)
	for _, name := range []string{
		"", "Anna's Shop", "Zoë’s bank", `"Quoted", (Ltd) <b>; & Co.: \`, "eve@evil.example", "<eve@evil.example>, x", "日本株式会社",
		strings.Repeat("é", 32), strings.Repeat("\"", 64), "=?utf-8?q?x?=", "A\r\nBcc: eve@evil.example", "A\x00\u2028B",
	} {
		message := anyMessage
		message.From = name
		if err := m.SendMail(t.Context(), message); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		asked := w.Requests()
		var said struct{ FromEmailAddress string }
		if err := json.Unmarshal(asked[len(asked)-1].Body, &said); err != nil {
			t.Fatal(err)
		}
		from := said.FromEmailAddress
		if strings.ContainsFunc(from, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q: got %q, which is no text for a header", name, from)
		}
		all, err := mail.ParseAddressList(from)
		if err != nil || len(all) != 1 || all[0].Address != amazon.Sender || all[0].Name != cmp.Or(name, "House") {
			t.Errorf("%q: got %q, which is read as %v, %v", name, from, all, err)
		}
	}
}

func TestAMessageCarriesTheTagsByWhichItIsFoundAgain(t *testing.T) {
	w := amazontest.New(t)
	m := anyMessage
	m.Reference = message.Reference{User: "b3Jn", Factor: "fa_C4JpwfI11D49iChwCqPFBw", Address: "aGFzaA"}
	if err := open(w).SendMail(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"countersign-table": "countersign", "countersign-route": "b3Jn", "countersign-factor": "fa_C4JpwfI11D49iChwCqPFBw", "countersign-address": "aGFzaA",
	}
	if got := w.Messages(); len(got) != 1 || !maps.Equal(got[0].Tags, want) {
		t.Errorf("got %+v, want the tags %v", got, want)
	}
}

func TestEachMessageGetsAConnectionOfItsOwn(t *testing.T) {
	w := amazontest.New(t)
	m := open(w)
	for range 3 {
		if err := m.SendMail(t.Context(), anyMessage); err != nil {
			t.Fatal(err)
		}
	}
	// Lambda can freeze the process. The other end would close a connection that was kept open, and an answer would be lost on
	// it.
	seen := map[string]bool{}
	for _, q := range w.Requests() {
		seen[q.Request.RemoteAddr] = true
	}
	if len(seen) != 3 {
		t.Errorf("got %d connections for 3 messages, want 3", len(seen))
	}
}

func TestACancelledCallSendsNothing(t *testing.T) {
	w := amazontest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := open(w).SendMail(ctx, anyMessage); err == nil || len(w.Requests()) > 0 {
		t.Errorf("got %v after %d requests", err, len(w.Requests()))
	}
}
