package cloud

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/mail"

	"countersign/pkg/message"
	"countersign/pkg/mfa"
)

// A Mail hands messages over to Amazon SES (API v2). It is an mfa.Mailer.
//
// SES has no token by which a message that is handed over again would be known. So one that may have been taken is never
// handed over again: only where no connection came about, or SES said that it was one too many, is there a second attempt.
type Mail struct {
	ses           service
	address       string
	name          string // beside the address, where a message doesn't say another one
	configuration string
	failed        func(reason string)
}

var _ mfa.Mailer = (*Mail)(nil)

// Mail is what sends the deployment's email.
func (d *Deployment) Mail() *Mail {
	ses := d.service("ses", "COUNTERSIGN_SES_ENDPOINT")
	// A connection that went stale while the process was frozen would lose an answer, which can't be asked for again.
	fresh := newTransport()
	fresh.DisableKeepAlives = true
	ses.client = &http.Client{Transport: fresh, Timeout: mailTime, CheckRedirect: stay}
	ses.attempts, ses.again = 2, tooEarly
	address := d.setting("COUNTERSIGN_SENDER", "an email address", emailAddress)
	name := d.optional("COUNTERSIGN_SENDER_NAME", "one line of text", line)
	if name == "" {
		name = "Countersign"
	}
	return &Mail{
		ses:           ses,
		address:       address,
		name:          name,
		configuration: d.optional("COUNTERSIGN_SES_CONFIGURATION_SET", "the name of an SES configuration set", word("_-")),
		failed:        func(reason string) { d.out.countUndelivered(d.wall(), d.step, reason) },
	}
}

// https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
type sendEmail struct {
	From          string `json:"FromEmailAddress"`
	Configuration string `json:"ConfigurationSetName,omitempty"`
	Destination   struct {
		To []string `json:"ToAddresses"`
	} `json:"Destination"`
	Content struct {
		Simple struct {
			Subject content `json:"Subject"`
			Body    struct {
				Text content `json:"Text"`
				HTML content `json:"Html"`
			} `json:"Body"`
		} `json:"Simple"`
	} `json:"Content"`
}

type content struct{ Charset, Data string }

func utf8Content(text string) content { return content{"UTF-8", text} }

// SendMail hands m over. Its error names what SES refused it for, out of a closed list, and nothing of m. It wraps
// mfa.ErrNotTaken where no connection came about and where SES refused the request, and not where SES failed with it or its
// answer was lost.
func (m *Mail) SendMail(ctx context.Context, message message.Message) error {
	reason, err := m.send(ctx, message)
	if err != nil {
		m.failed(reason)
		if surelyNotTaken(err) {
			return fmt.Errorf("ses: %w: %w", mfa.ErrNotTaken, err)
		}
		return fmt.Errorf("ses: %w", err)
	}
	return nil
}

// errAddress says that SES wasn't asked, since it would read several addresses out of one text.
var errAddress = errors.New("the recipient is not one plain email address")

func (m *Mail) send(ctx context.Context, message message.Message) (reason string, err error) {
	if !emailAddress(message.To) {
		return "address", errAddress
	}
	from := mail.Address{Name: cmp.Or(message.From, m.name), Address: m.address}
	in := sendEmail{From: from.String(), Configuration: m.configuration}
	in.Destination.To = []string{message.To}
	in.Content.Simple.Subject = utf8Content(message.Subject)
	in.Content.Simple.Body.Text = utf8Content(message.Text)
	in.Content.Simple.Body.HTML = utf8Content(message.HTML)
	err = m.ses.call(ctx, request{operation: "SendEmail", path: "/v2/email/outbound-emails", in: &in})
	if err == nil {
		return "", nil
	}
	return undeliveredReason(err), err
}

// undeliveredReason is why a message wasn't handed over, in words few enough to be a metric's dimension.
func undeliveredReason(err error) string {
	if _, ok := errors.AsType[*unconnected](err); ok {
		return "unconnected"
	}
	refused, ok := errors.AsType[*refusal](err)
	switch {
	case !ok:
		return "no_answer"
	case throttled(refused):
		return "throttled"
	}
	switch refused.code {
	case "AccountSuspendedException", "SendingPausedException", "LimitExceededException":
		return "account"
	case "MailFromDomainNotVerifiedException":
		return "sender"
	case "MessageRejected", "BadRequestException":
		return "rejected"
	}
	return "refused"
}

// surelyNotTaken reports whether an error says that SES hasn't taken the message.
func surelyNotTaken(err error) bool {
	if _, ok := errors.AsType[*unconnected](err); ok || errors.Is(err, errAddress) {
		return true
	}
	refused, ok := errors.AsType[*refusal](err)
	return ok && refused.status >= 400 && refused.status < 500
}

// tooEarly reports whether SES surely hasn't taken the message, and may take it a moment later.
func tooEarly(err error) bool {
	refused, ok := errors.AsType[*refusal](err)
	return surelyNotTaken(err) && (!ok || throttled(refused))
}

// emailAddress reports whether v is one address and nothing else.
func emailAddress(v string) bool {
	a, err := mail.ParseAddress(v)
	return err == nil && a.Name == "" && a.Address == v
}
