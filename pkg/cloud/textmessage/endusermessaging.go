package textmessage

import (
	"context"
	"errors"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/pinpointsmsvoicev2"
	"github.com/aws/aws-sdk-go-v2/service/pinpointsmsvoicev2/types"

	"countersign/pkg/cloud"
	"countersign/pkg/message"
)

// shortestLife is the shortest time to live that End User Messaging accepts for a message.
const shortestLife = 5 * time.Second

// newEndUserMessaging makes a sender that uses AWS End User Messaging (the API SMS and Voice V2). A message with a code is not
// delivered after the code has expired.
func newEndUserMessaging(d *cloud.Deployment) *sender {
	courier := d.Courier(channel, "COUNTERSIGN_SMS_VOICE_ENDPOINT", messagingReasons())
	client := pinpointsmsvoicev2.NewFromConfig(courier.Amazon)
	arn := regexp.MustCompile(`^arn:[a-z-]+:sms-voice:[a-z0-9-]+:[0-9]{12}:(phone-number|sender-id|pool)/[A-Za-z0-9_/-]+$`)
	origination := d.Setting("COUNTERSIGN_SMS_ORIGINATION_ARN", "the ARN of a phone number, a sender id or a pool of End User Messaging", arn.MatchString)
	set := given(d.Optional("COUNTERSIGN_SMS_CONFIGURATION_SET", "the name or ARN of a configuration set", cloud.Word("_:/-")))
	protect := given(d.Optional("COUNTERSIGN_SMS_PROTECT_CONFIGURATION", "the id or ARN of a protect configuration", cloud.Word("_:/-")))
	price := highestPrice(d)
	optedOut := func(err error) bool {
		conflict, ok := errors.AsType[*types.ConflictException](err)
		return ok && conflict.Reason == types.ConflictExceptionReasonDestinationPhoneNumberOptedOut
	}
	return &sender{provider: byEndUserMessaging, courier: courier, optedOut: optedOut, send: func(ctx context.Context, m message.Text) error {
		in := &pinpointsmsvoicev2.SendTextMessageInput{
			DestinationPhoneNumber: &m.To, MessageBody: &m.Text, MessageType: types.MessageTypeTransactional, OriginationIdentity: &origination,
			ConfigurationSetName: set, ProtectConfigurationId: protect, MaxPrice: price,
		}
		if m.ValidFor >= shortestLife {
			in.TimeToLive = aws.Int32(int32(m.ValidFor / time.Second))
		}
		_, err := client.SendTextMessage(ctx, in)
		return err
	}}
}

// messagingReasons returns words for the codes with which End User Messaging refuses messages.
// https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendTextMessage.html
func messagingReasons() map[string]string {
	return map[string]string{
		"ConflictException":             "recipient", // the number opted out, or isn't verified while the account is in the sandbox
		"ValidationException":           "rejected",
		"ServiceQuotaExceededException": "account", // the monthly spend limit is reached
		"AccessDeniedException":         "account",
		"ResourceNotFoundException":     "sender",
	}
}
