package amazon

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"time"
)

// Bounced returns the event with which SES says on EventBridge that m was not delivered. kind is Permanent, Transient or
// Undetermined.
// https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-examples.html
func (m Message) Bounced(kind string) []byte {
	return m.event("Email Bounced", "Bounce", "bounce", object{
		"bounceType": kind, "bounceSubType": "General", "feedbackId": rand.Text(), "reportingMTA": "dns; mta.example.com",
		"bouncedRecipients": []object{{
			"emailAddress": m.To, "action": "failed", "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 user unknown",
		}},
	})
}

// Complained returns the event with which SES says on EventBridge that the reader of m has complained about it. kind is one of
// the feedback types of the IANA registry of them, such as abuse; it can be empty, because not every provider says it.
func (m Message) Complained(kind string) []byte {
	said := object{
		"complainedRecipients": []object{{"emailAddress": m.To}}, "complaintSubType": nil, "feedbackId": rand.Text(),
		"userAgent": "ExampleCorp Feedback Loop (V0.01)",
	}
	if kind != "" {
		said["complaintFeedbackType"] = kind
	}
	return m.event("Email Complaint Received", "Complaint", "complaint", said)
}

// simulated returns the event that a message to Amazon's mailbox simulator brings. It is nil for a message to anybody else, and
// for one that the simulator takes.
// https://docs.aws.amazon.com/ses/latest/dg/send-an-email-from-console.html
func (m Message) simulated() []byte {
	local, domain, _ := strings.Cut(m.To, "@")
	if domain != "simulator.amazonses.com" {
		return nil
	}
	switch name, _, _ := strings.Cut(local, "+"); name {
	case "bounce", "suppressionlist":
		return m.Bounced("Permanent")
	case "complaint":
		return m.Complained("abuse")
	}
	return nil
}

// event makes an event about m. What is particular to its type stands under a name of its own.
func (m Message) event(detailType, eventType, name string, said object) []byte {
	at := m.At.Add(3 * time.Second).UTC()
	said["timestamp"] = at.Format("2006-01-02T15:04:05.000Z")
	tags := map[string][]string{
		"ses:source-ip": {"203.0.113.9"}, "ses:from-domain": {"countersign.example"}, "ses:caller-identity": {"verify"}, "ses:operation": {"SendEmail"},
	}
	set := m.ConfigurationSet
	if set == "" {
		set = "the-default-of-the-identity" // without any set, SES would say nothing
	}
	tags["ses:configuration-set"] = []string{set}
	for name, value := range m.Tags {
		tags[name] = []string{value}
	}
	event, err := json.Marshal(object{
		"version": "0", "id": rand.Text(), "detail-type": detailType, "source": "aws.ses", "account": AccountID,
		"time": at.Format(time.RFC3339), "region": Region, "resources": []string{"arn:aws:ses:" + Region + ":" + AccountID + ":configuration-set/" + set},
		"detail": object{
			"eventType": eventType, name: said,
			"mail": object{
				"timestamp": m.At.UTC().Format("2006-01-02T15:04:05.000Z"), "source": m.FromName + " <" + Sender + ">", "sendingAccountId": AccountID,
				"sourceArn": "arn:aws:ses:" + Region + ":" + AccountID + ":identity/" + Sender, "messageId": m.ID, "destination": []string{m.To},
				"headersTruncated": false, "headers": []object{{"name": "Subject", "value": m.Subject}},
				"commonHeaders": object{"to": []string{m.To}, "messageId": m.ID, "subject": m.Subject}, "tags": tags,
			},
		},
	})
	if err != nil {
		panic(err) // it has texts only
	}
	return event
}
