package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"countersign/pkg/message"
	"countersign/pkg/mfa"
)

// A Hear takes what SES says about a message that came back. It is called at least once for each report.
type Hear func(context.Context, mfa.Feedback) error

// Feedback is the main of a function that EventBridge calls with the events of SES.
func Feedback(step string, build func(*Deployment) Hear) {
	lambda.Start(process(step).feedback(build))
}

// These are the names of the tags that go with each message. SES repeats them in its events. The rule in the template matches the
// first one, so a deployment is told only about its own messages.
const (
	tagTable   = "countersign-table"
	tagRoute   = "countersign-route"
	tagFactor  = "countersign-factor"
	tagAddress = "countersign-address"
)

// FeedbackTags returns a function that makes the tags of a message, by their names. A tag consists of ASCII letters, digits, _
// and - (MessageTag in the SES API v2). A value that has another character gets no tag. So a deployment whose table has a dot in
// its name is told about no message.
func (d *Deployment) FeedbackTags() func(message.Reference) map[string]string {
	table := d.tableName()
	return func(about message.Reference) map[string]string {
		tags := map[string]string{tagRoute: about.User, tagFactor: about.Factor, tagAddress: about.Address, tagTable: table}
		for name, value := range tags {
			if value == "" || !Word("_-")(value) {
				delete(tags, name)
			}
		}
		return tags
	}
}

// A mailEvent has the fields that are used of an event that SES puts on EventBridge. The fields of the detail are documented at
// https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
type mailEvent struct {
	Source     string `json:"source"`
	DetailType string `json:"detail-type"`
	Detail     struct {
		Mail struct {
			Timestamp string              `json:"timestamp"` // when SES took the message
			Tags      map[string][]string `json:"tags"`
		} `json:"mail"`
		Bounce struct {
			Type string `json:"bounceType"`
		} `json:"bounce"`
		Complaint struct {
			Type string `json:"complaintFeedbackType"`
		} `json:"complaint"`
	} `json:"detail"`
}

var errMailEvent = errors.New("the payload is not an event of SES about a message") // a decoder's own error quotes it

// readMailEvent reads an event of SES. matters is false if the event gives no reason to stop sending: if the refusal may be
// temporary, if a reader says that a message is not spam, or if the message is of another deployment.
func readMailEvent(payload []byte, table string) (f mfa.Feedback, matters bool, err error) {
	var e mailEvent
	if err := json.Unmarshal(payload, &e); err != nil || e.Source != "aws.ses" {
		return f, false, errMailEvent
	}
	switch e.DetailType {
	case "Email Bounced":
		matters = e.Detail.Bounce.Type == "Permanent"
	case "Email Complaint Received":
		f.Complaint = true
		matters = e.Detail.Complaint.Type != "not-spam"
	}
	tag := func(name string) string {
		if values := e.Detail.Mail.Tags[name]; len(values) == 1 {
			return values[0]
		}
		return ""
	}
	if !matters || tag(tagTable) != table {
		return f, false, nil
	}
	if f.Sent, err = time.Parse(time.RFC3339, e.Detail.Mail.Timestamp); err != nil {
		return f, false, errMailEvent
	}
	f.Reference = message.Reference{User: tag(tagRoute), Factor: tag(tagFactor), Address: tag(tagAddress)}
	return f, true, nil
}

func (d *Deployment) tableName() string {
	return d.Setting("COUNTERSIGN_TABLE", "the name of a table", Word("_.-"))
}

func (d *Deployment) feedback(build func(*Deployment) Hear) lambda.Handler {
	hear, table := build(d), d.tableName()
	broken := d.broken()
	return hearing(func(ctx context.Context, payload []byte) error {
		f, matters, err := readMailEvent(payload, table)
		switch {
		case broken != nil:
			err = broken
		case err == nil && matters:
			err = hear(ctx, f)
		}
		if err != nil {
			d.log.ErrorContext(ctx, "an event of SES could not be taken", "error", err)
			// Lambda logs the error that a function returns, and passes it on. The details are in the function's own log only.
			return errors.New("the event could not be taken; the log says why")
		}
		return nil
	})
}

// A hearing handles one event.
type hearing func(ctx context.Context, payload []byte) error

// Invoke handles one event. If it fails, Lambda calls it again with that event.
func (h hearing) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return []byte("null"), h(ctx, payload)
}
