package amazon

import (
	"crypto/rand"
	"net/mail"
	"regexp"
	"slices"
	"time"
)

// A Message is a message that SES has accepted.
type Message struct {
	ID               string
	At               time.Time
	FromName         string // the display name that the message gives for Sender
	To               string
	Subject          string
	Text, HTML       string
	ConfigurationSet string // empty if the message names none
	Tags             map[string]string
}

// messageTag matches the name and the value of a tag. https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageTag.html
var messageTag = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

var sixDigits = regexp.MustCompile(`(?m)^[0-9]{6}$`)

// Code returns the code in the message, which is its only line of six digits. It is empty if there is none.
func (m Message) Code() string {
	if found := sixDigits.FindAllString(m.Text, -1); len(found) == 1 {
		return found[0]
	}
	return ""
}

// A content is the subject or a body of a message.
type content struct{ Data, Charset string }

// sendEmail accepts a message to one address.
// https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
func (a *Account) sendEmail(c *Call) (object, error) {
	var said struct {
		FromEmailAddress     string
		ConfigurationSetName *string
		EmailTags            []struct{ Name, Value string }
		Destination          struct{ ToAddresses []string }
		Content              struct {
			Simple struct {
				Subject content
				Body    struct{ Text, HTML content }
			}
		}
	}
	if err := c.read(&said); err != nil {
		return nil, err
	}
	from, err := mail.ParseAddress(said.FromEmailAddress)
	if err != nil {
		return nil, refused("BadRequestException", "The sender is not an address.")
	}
	if from.Address != Sender {
		return nil, refused("MailFromDomainNotVerifiedException", "The address %s is not verified.", from.Address)
	}
	to := said.Destination.ToAddresses
	if len(to) != 1 {
		return nil, refused("BadRequestException", "There must be one recipient, and the request has %d.", len(to))
	}
	if one, err := mail.ParseAddress(to[0]); err != nil || one.Address != to[0] {
		return nil, refused("BadRequestException", "The recipient must be one address without a display name.")
	}
	sent := said.Content.Simple
	for _, part := range []content{sent.Subject, sent.Body.Text, sent.Body.HTML} {
		if part.Data == "" || part.Charset != "UTF-8" {
			return nil, refused("BadRequestException", "The message must have a subject, a text and HTML, all of them in UTF-8.")
		}
	}
	m := Message{ID: rand.Text(), Tags: map[string]string{}, At: a.now(), FromName: from.Name, To: to[0], Subject: sent.Subject.Data, Text: sent.Body.Text.Data, HTML: sent.Body.HTML.Data}
	if said.ConfigurationSetName != nil {
		if m.ConfigurationSet = *said.ConfigurationSetName; m.ConfigurationSet == "" {
			return nil, refused("BadRequestException", "The configuration set has no name.")
		}
	}
	for _, tag := range said.EmailTags {
		if _, there := m.Tags[tag.Name]; there || !messageTag.MatchString(tag.Name) || !messageTag.MatchString(tag.Value) {
			return nil, refused("BadRequestException", "The tag %q can't have the value %q, or is there twice.", tag.Name, tag.Value)
		}
		m.Tags[tag.Name] = tag.Value
	}
	a.mu.Lock()
	a.messages = append(a.messages, m)
	a.mu.Unlock()
	if event := m.simulated(); event != nil && a.Returned != nil {
		a.Returned(event)
	}
	return object{"MessageId": m.ID}, nil
}

func (a *Account) now() time.Time {
	if a.Now == nil {
		return time.Now()
	}
	return a.Now()
}

// Messages returns the messages that SES has accepted since the last call of ClearMessages, in their order.
func (a *Account) Messages() []Message {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clip(a.messages)
}

// LastMessage returns the last of these messages that went to an address.
func (a *Account) LastMessage(to string) (m Message, there bool) {
	for _, m := range slices.Backward(a.Messages()) {
		if m.To == to {
			return m, true
		}
	}
	return Message{}, false
}

// ClearMessages forgets all messages.
func (a *Account) ClearMessages() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.messages, a.texts = nil, nil
}
