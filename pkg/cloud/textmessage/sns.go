package textmessage

import (
	"context"
	"errors"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/smithy-go"

	"countersign/pkg/cloud"
	"countersign/pkg/message"
)

// newSNS makes a sender that uses SNS. SNS accepts no time to live, so it may deliver a message after its code has expired.
func newSNS(d *cloud.Deployment) *sender {
	courier := d.Courier(channel, "COUNTERSIGN_SNS_ENDPOINT", snsReasons())
	client := sns.NewFromConfig(courier.Amazon)
	attributes := map[string]types.MessageAttributeValue{"AWS.SNS.SMS.SMSType": attribute("String", "Transactional")}
	senderID := regexp.MustCompile(`^[A-Za-z0-9-]{0,10}[A-Za-z][A-Za-z0-9-]{0,10}$`)
	if id := d.Optional("COUNTERSIGN_SMS_SENDER_ID", "a sender id of 1 to 11 letters, digits and hyphens with a letter in it", func(v string) bool {
		return len(v) <= 11 && senderID.MatchString(v)
	}); id != "" {
		attributes["AWS.SNS.SMS.SenderID"] = attribute("String", id)
	}
	if number := d.Optional("COUNTERSIGN_SMS_ORIGINATION_NUMBER", "a phone number such as +18005550100", isE164); number != "" {
		attributes["AWS.MM.SMS.OriginationNumber"] = attribute("String", number)
	}
	if price := highestPrice(d); price != nil {
		attributes["AWS.SNS.SMS.MaxPrice"] = attribute("Number", *price)
	}
	// SNS takes most messages to a number that has opted out, and delivers none. The SDK has no type for this error of Publish.
	optedOut := func(err error) bool {
		refused, ok := errors.AsType[smithy.APIError](err)
		return ok && refused.ErrorCode() == (&types.OptedOutException{}).ErrorCode()
	}
	return &sender{provider: bySNS, courier: courier, optedOut: optedOut, send: func(ctx context.Context, m message.Text) error {
		_, err := client.Publish(ctx, &sns.PublishInput{PhoneNumber: &m.To, Message: &m.Text, MessageAttributes: attributes})
		return err
	}}
}

// attribute makes one of the attributes of a text message.
// https://docs.aws.amazon.com/sns/latest/dg/sms_publish-to-phone.html
func attribute(kind, value string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: aws.String(kind), StringValue: &value}
}

// snsReasons returns words for the codes with which SNS refuses messages.
// https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
func snsReasons() map[string]string {
	return map[string]string{
		"OptedOut":         "recipient",
		"InvalidParameter": "rejected", "ParameterValueInvalid": "rejected", "ValidationException": "rejected",
		"AuthorizationError": "account",
	}
}
