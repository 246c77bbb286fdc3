package amazon_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/pinpointsmsvoicev2"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"

	"countersign/infra/amazon"
)

const text = "Acme: your code A is 123456\n@acme.example #123456"

// published returns a message that SNS accepts, after change.
func published(change func(*sns.PublishInput)) *sns.PublishInput {
	in := &sns.PublishInput{
		PhoneNumber: aws.String("+447700900123"), Message: aws.String(text),
		MessageAttributes: map[string]snstypes.MessageAttributeValue{"AWS.SNS.SMS.SMSType": attribute("String", "Transactional")},
	}
	change(in)
	return in
}

func attribute(kind, value string) snstypes.MessageAttributeValue {
	return snstypes.MessageAttributeValue{DataType: &kind, StringValue: &value}
}

func TestSNSTakesATransactionalTextToOneNumber(t *testing.T) {
	a, config := open(t, "/challenge-1")
	client := sns.NewFromConfig(config)
	with := func(name, kind, value string) func(*sns.PublishInput) {
		return func(in *sns.PublishInput) { in.MessageAttributes[name] = attribute(kind, value) }
	}
	for name, test := range map[string]struct {
		change func(*sns.PublishInput)
		want   string
	}{
		"as a function sends it":        {func(*sns.PublishInput) {}, ""},
		"with a sender id":              {with("AWS.SNS.SMS.SenderID", "String", "ACME"), ""},
		"with a sender id that is none": {with("AWS.SNS.SMS.SenderID", "String", "ACME & Sons"), "InvalidParameter"},
		"with a number":                 {with("AWS.MM.SMS.OriginationNumber", "String", "+18005550100"), ""},
		"with a number that is none":    {with("AWS.MM.SMS.OriginationNumber", "String", "8005550100"), "InvalidParameter"},
		"with a price":                  {with("AWS.SNS.SMS.MaxPrice", "Number", "0.25"), ""},
		"with a price as a text":        {with("AWS.SNS.SMS.MaxPrice", "String", "0.25"), "InvalidParameter"},
		"with another attribute":        {with("AWS.SNS.SMS.Else", "String", "x"), "InvalidParameter"},
		"promotional":                   {with("AWS.SNS.SMS.SMSType", "String", "Promotional"), "InvalidParameter"},
		"of no type":                    {func(in *sns.PublishInput) { in.MessageAttributes = nil }, "InvalidParameter"},
		"to no number":                  {func(in *sns.PublishInput) { in.PhoneNumber = aws.String("447700900123") }, "InvalidParameter"},
		"to a topic":                    {func(in *sns.PublishInput) { in.TopicArn = aws.String("arn:aws:sns:eu-west-1:1:x") }, "InvalidParameter"},
		"empty":                         {func(in *sns.PublishInput) { in.Message = aws.String("") }, "InvalidParameter"},
		"too long":                      {func(in *sns.PublishInput) { in.Message = aws.String(strings.Repeat("x", 1601)) }, "InvalidParameter"},
	} {
		before := len(a.Texts())
		_, err := client.Publish(t.Context(), published(test.change))
		if got := code(err); got != test.want || (err == nil) != (test.want == "") {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if taken := len(a.Texts()) > before; taken != (err == nil) {
			t.Errorf("%s: got taken %v, and the answer %v", name, taken, err)
		}
	}
	m, there := a.LastText("+447700900123")
	if !there || m.By != amazon.SNS || m.Text != text || m.Code() != "123456" {
		t.Errorf("got %+v, %v, want the message as it was sent", m, there)
	}
	if a.ClearMessages(); len(a.Texts()) > 0 {
		t.Error("text messages were kept although messages were cleared")
	}
}

func TestEndUserMessagingTakesATransactionalTextToOneNumber(t *testing.T) {
	a, config := open(t, "")
	client := pinpointsmsvoicev2.NewFromConfig(config)
	type input = pinpointsmsvoicev2.SendTextMessageInput
	for name, test := range map[string]struct {
		change func(*input)
		want   string
	}{
		"as a function sends it": {func(*input) {}, ""},
		"with all there is": {func(in *input) {
			in.ConfigurationSetName, in.ProtectConfigurationId, in.MaxPrice, in.TimeToLive = aws.String("mfa"), aws.String("protect-1"), aws.String("0.25"), aws.Int32(600)
		}, ""},
		"promotional":                       {func(in *input) { in.MessageType = "PROMOTIONAL" }, "ValidationException"},
		"to no number":                      {func(in *input) { in.DestinationPhoneNumber = aws.String("447700900123") }, "ValidationException"},
		"from nobody":                       {func(in *input) { in.OriginationIdentity = aws.String("") }, "ValidationException"},
		"of too short a life":               {func(in *input) { in.TimeToLive = aws.Int32(4) }, "ValidationException"},
		"of too long a life":                {func(in *input) { in.TimeToLive = aws.Int32(259201) }, "ValidationException"},
		"with a price that isn't":           {func(in *input) { in.MaxPrice = aws.String("much") }, "ValidationException"},
		"with a set of no name":             {func(in *input) { in.ConfigurationSetName = aws.String("") }, "ValidationException"},
		"protected by nothing":              {func(in *input) { in.ProtectConfigurationId = aws.String("") }, "ValidationException"},
		"with a field that no function has": {func(in *input) { in.Keyword = aws.String("x") }, "SerializationException"},
		"empty":                             {func(in *input) { in.MessageBody = aws.String("") }, "ValidationException"},
	} {
		in := &input{
			DestinationPhoneNumber: aws.String("+447700900123"), MessageBody: aws.String(text), MessageType: "TRANSACTIONAL",
			OriginationIdentity: aws.String("pool-1"),
		}
		test.change(in)
		before := len(a.Texts())
		_, err := client.SendTextMessage(t.Context(), in)
		if got := code(err); got != test.want || (err == nil) != (test.want == "") {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if taken := len(a.Texts()) > before; taken != (err == nil) {
			t.Errorf("%s: got taken %v, and the answer %v", name, taken, err)
		}
	}
	all := a.Texts()
	whole := func(m amazon.Text) bool {
		return m.ConfigurationSet == "mfa" && m.ProtectConfiguration == "protect-1" && m.MaxPrice == "0.25" && m.ValidFor == 10*time.Minute
	}
	if len(all) != 2 || all[0].By != amazon.EndUserMessaging || all[0].Origination != "pool-1" || whole(all[0]) == whole(all[1]) {
		t.Errorf("got %+v, want the messages as they were sent", all)
	}
}

// The SDK reads the code out of what SNS answers, which is XML.
func TestSNSIsRefusedInItsOwnProtocol(t *testing.T) {
	a, config := open(t, "")
	a.Around = func(w http.ResponseWriter, c *amazon.Call, _ http.HandlerFunc) {
		if c.Operation != "Publish" || c.Form.Get("PhoneNumber") != "+447700900123" {
			t.Errorf("got %s to %s, want the call as it was made", c.Operation, c.Form.Get("PhoneNumber"))
		}
		amazon.Refuse(w, c.Request, http.StatusBadRequest, "OptedOut", "The number has opted out.")
	}
	if _, err := sns.NewFromConfig(config).Publish(t.Context(), published(func(*sns.PublishInput) {})); code(err) != "OptedOut" {
		t.Errorf("got %v, want OptedOut", err)
	}
	a.Around = nil
	if _, err := sns.NewFromConfig(config).ListTopics(t.Context(), nil); code(err) != "UnknownOperationException" {
		t.Errorf("got %v, want that no function lists topics", err)
	}
	config.HTTPClient = &http.Client{Transport: altered(func(r *http.Request) { r.Header.Del("Authorization") })}
	if _, err := sns.NewFromConfig(config).Publish(t.Context(), published(func(*sns.PublishInput) {})); code(err) != "MissingAuthenticationTokenException" {
		t.Errorf("got %v, want that a signature is missing", err)
	}
}
