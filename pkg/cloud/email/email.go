// Package email sends a deployment's email by Amazon SES (API v2), through the SDK's client.
//
// The package guarantees that a message that SES may have taken is not handed over again (see cloud.Courier), that it goes to one
// address, from the deployment's own address, and that errors contain nothing of a message.
package email

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	"countersign/pkg/cloud"
	"countersign/pkg/message"
	"countersign/pkg/mfa"
)

// A Sender hands messages over to SES. It is an mfa.Mailer.
type Sender struct {
	courier       *cloud.Courier
	client        *sesv2.Client
	address       string
	name          string  // the sender's name, unless a message has another one
	configuration *string // nil if there is none

	tags func(message.Reference) map[string]string
}

var _ mfa.Mailer = (*Sender)(nil)

// reasons returns words for the codes with which SES refuses messages.
// https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
func reasons() map[string]string {
	return map[string]string{
		"AccountSuspendedException": "account", "SendingPausedException": "account", "LimitExceededException": "account",
		"MailFromDomainNotVerifiedException": "sender",
		"MessageRejected":                    "rejected", "BadRequestException": "rejected",
	}
}

// Of returns the Sender of a deployment. It reads the settings COUNTERSIGN_SENDER, COUNTERSIGN_SENDER_NAME and
// COUNTERSIGN_SES_CONFIGURATION_SET.
func Of(d *cloud.Deployment) *Sender {
	courier := d.Courier("email", "COUNTERSIGN_SES_ENDPOINT", reasons())
	s := &Sender{
		courier: courier,
		client:  sesv2.NewFromConfig(courier.Amazon),
		address: d.Setting("COUNTERSIGN_SENDER", "an email address", emailAddress),
		name:    cmp.Or(d.Optional("COUNTERSIGN_SENDER_NAME", "one line of text", cloud.Line), "Countersign"),
		tags:    d.FeedbackTags(),
	}
	if set := d.Optional("COUNTERSIGN_SES_CONFIGURATION_SET", "the name of an SES configuration set", cloud.Word("_-")); set != "" {
		s.configuration = &set
	}
	return s
}

// errAddress refuses a recipient before SES is asked, because SES would read several addresses in one text.
var errAddress = errors.New("the recipient is not one plain email address")

// SendMail hands m over. Its error has the code with which SES refused m, and nothing of m. The error wraps mfa.ErrNotTaken if no
// connection was made or SES refused the request. It doesn't wrap it if SES failed or its answer was lost.
func (s *Sender) SendMail(ctx context.Context, m message.Message) error {
	if err := s.send(ctx, m); err != nil {
		return fmt.Errorf("ses: %w", err)
	}
	return nil
}

func (s *Sender) send(ctx context.Context, m message.Message) error {
	if !emailAddress(m.To) {
		return s.courier.Withhold("address", errAddress)
	}
	from := mail.Address{Name: cmp.Or(m.From, s.name), Address: s.address}
	in := &sesv2.SendEmailInput{
		FromEmailAddress:     aws.String(from.String()),
		ConfigurationSetName: s.configuration,
		Destination:          &types.Destination{ToAddresses: []string{m.To}},
		Content: &types.EmailContent{Simple: &types.Message{
			Subject: utf8(m.Subject), Body: &types.Body{Text: utf8(m.Text), Html: utf8(m.HTML)},
		}},
	}
	tags := s.tags(m.Reference)
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		in.EmailTags = append(in.EmailTags, types.MessageTag{Name: aws.String(name), Value: aws.String(tags[name])})
	}
	return s.courier.HandOver(ctx, func(ctx context.Context) error {
		_, err := s.client.SendEmail(ctx, in)
		return err
	})
}

// utf8 makes a part of a message.
func utf8(text string) *types.Content {
	return &types.Content{Charset: aws.String("UTF-8"), Data: &text}
}

// emailAddress reports whether v is one address and nothing else.
func emailAddress(v string) bool {
	a, err := mail.ParseAddress(v)
	return err == nil && a.Name == "" && a.Address == v
}
