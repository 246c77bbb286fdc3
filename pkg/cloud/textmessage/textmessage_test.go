package textmessage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/infra/amazon"
	"countersign/infra/amazon/amazontest"
	"countersign/pkg/cloud"
	"countersign/pkg/message"
	"countersign/pkg/mfa"
)

// pool is the ARN of the pool from which End User Messaging sends.
const pool = "arn:aws:sms-voice:eu-west-1:123456789012:pool/pool-0123456789abcdef0123456789abcdef"

var anyText = message.Text{To: "+447700900123", Text: "Acme: your code A is 123456\n@acme.example #123456", ValidFor: 10 * time.Minute}

// newWorld makes a world whose text messages are sent by a provider.
func newWorld(t *testing.T, provider string, more map[string]string) *amazontest.World {
	w := amazontest.New(t)
	w.Env["COUNTERSIGN_SMS_PROVIDER"] = provider
	if provider == byEndUserMessaging {
		w.Env["COUNTERSIGN_SMS_ORIGINATION_ARN"] = pool
	}
	maps.Copy(w.Env, more)
	return w
}

// open makes what sends the text messages of a process that has just started.
func open(w *amazontest.World) mfa.Texter {
	return Of(cloud.Open(cloud.Process{Step: "challenge", Environment: w.Getenv, Output: &w.Log, Now: w.Now}))
}

// answers are two answers that mean the same, one of each provider.
type answers struct{ sns, messaging string }

func (a answers) of(provider string) string {
	if provider == bySNS {
		return a.sns
	}
	return a.messaging
}

// refusal returns the answers with which the providers refuse a message. Their texts quote from it.
func refusal(sns, messaging string) answers {
	return answers{
		sns: `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>` + sns +
			`</Code><Message>+447700900123: 123456</Message></Error><RequestId>1</RequestId></ErrorResponse>`,
		messaging: `{"__type":"` + messaging + `","message":"+447700900123: 123456"}`,
	}
}

func TestATextThatMayHaveBeenTakenIsNotSentAgain(t *testing.T) {
	taken := answers{
		sns:       `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>`,
		messaging: `{"MessageId":"1"}`,
	}
	tooMany, internal := refusal("Throttled", "ThrottlingException"), refusal("InternalError", "InternalServerException")
	type said struct {
		status int
		answers
	}
	for name, test := range map[string]struct {
		said     []said // the answer to each request; the last one answers all requests that follow
		sends    int
		reason   string // empty if the message was taken
		notTaken bool   // whether the message was surely not taken
	}{
		"taken":                    {[]said{{200, taken}}, 1, "", false},
		"answer lost":              {[]said{{amazontest.Lose, taken}}, 1, "no_answer", false},
		"server error":             {[]said{{500, internal}}, 1, "refused", false},
		"unavailable":              {[]said{{503, tooMany}}, 1, "throttled", false},
		"not as documented":        {[]said{{200, answers{"<", "{"}}}, 1, "no_answer", false},
		"one too many, then taken": {[]said{{429, tooMany}, {200, taken}}, 2, "", false},
		"one too many, then lost":  {[]said{{400, tooMany}, {amazontest.Lose, taken}}, 2, "no_answer", false},
		"always one too many":      {[]said{{400, tooMany}}, 2, "throttled", true},
		"opted out":                {[]said{{400, refusal("OptedOut", "ConflictException")}}, 1, "recipient", true},
		"malformed":                {[]said{{400, refusal("InvalidParameter", "ValidationException")}}, 1, "rejected", true},
		"no right to":              {[]said{{403, refusal("AuthorizationError", "AccessDeniedException")}}, 1, "account", true},
		"something new":            {[]said{{400, refusal("SomethingNew", "SomethingNewException")}}, 1, "refused", true},
	} {
		for _, provider := range []string{bySNS, byEndUserMessaging} {
			w := newWorld(t, provider, nil)
			w.Answer(func(q amazontest.Asked) (int, string) {
				to := test.said[min(q.N, len(test.said))-1]
				return to.status, to.of(provider)
			})
			err := open(w).SendText(t.Context(), anyText)
			if (err == nil) != (test.reason == "") {
				t.Errorf("%s, %s: got %v", provider, name, err)
			}
			if errors.Is(err, mfa.ErrNotTaken) != test.notTaken {
				t.Errorf("%s, %s: got %v, want that it says so where the message was surely not taken", provider, name, err)
			}
			if got := len(w.Requests()); got != test.sends {
				t.Errorf("%s, %s: got %d requests, want %d", provider, name, got, test.sends)
			}
			want := `"channel":"sms","reason":"` + test.reason + `","step":"challenge"}`
			if counted := w.Log.String(); strings.Contains(counted, "DeliveryFailures") != (err != nil) || err != nil && !strings.Contains(counted, want) {
				t.Errorf("%s, %s: got %s counted, want %s", provider, name, counted, want)
			}
			checkNothingOfTheMessage(t, provider+", "+name, w, err)
		}
	}
}

func TestANumberThatHasOptedOutIsSaidToHave(t *testing.T) {
	for name, c := range map[string]struct {
		provider, answer string
		want             bool
	}{
		"SNS":                          {bySNS, refusal("OptedOut", "").sns, true},
		"SNS, another refusal":         {bySNS, refusal("InvalidParameter", "").sns, false},
		"End User Messaging":           {byEndUserMessaging, `{"__type":"ConflictException","Reason":"DESTINATION_PHONE_NUMBER_OPTED_OUT"}`, true},
		"a number that isn't verified": {byEndUserMessaging, `{"__type":"ConflictException","Reason":"DESTINATION_PHONE_NUMBER_NOT_VERIFIED"}`, false},
	} {
		w := newWorld(t, c.provider, nil)
		w.Answer(func(amazontest.Asked) (int, string) { return 400, c.answer })
		err := open(w).SendText(t.Context(), anyText)
		if errors.Is(err, mfa.ErrOptedOut) != c.want || !errors.Is(err, mfa.ErrNotTaken) {
			t.Errorf("%s: got %v, want that it has opted out: %t", name, err, c.want)
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
	for _, secret := range []string{"447700", "900123", "123456", "Acme"} {
		if strings.Contains(said, secret) {
			t.Errorf("%s: %q is in %s", name, secret, said)
		}
	}
}

func TestWhereNoConnectionCameAboutATextIsSurelyNotTaken(t *testing.T) {
	for _, provider := range []string{bySNS, byEndUserMessaging} {
		w := newWorld(t, provider, nil)
		nowhere := amazontest.ClosedPort(t)
		w.Env["COUNTERSIGN_SNS_ENDPOINT"], w.Env["COUNTERSIGN_SMS_VOICE_ENDPOINT"] = nowhere, nowhere
		err := open(w).SendText(t.Context(), anyText)
		if !errors.Is(err, mfa.ErrNotTaken) || !strings.Contains(w.Log.String(), `"reason":"unconnected"`) {
			t.Errorf("%s: got %v and %s", provider, err, w.Log.String())
		}
		checkNothingOfTheMessage(t, provider, w, err)
	}
}

func TestATextToAnythingButOneNumberIsNotSent(t *testing.T) {
	for _, provider := range []string{bySNS, byEndUserMessaging} {
		w := newWorld(t, provider, nil)
		texter := open(w)
		for _, to := range []string{
			"", "+", "447700900123", "+44 7700 900123", "+44770090012x", "+447700900123,+447700900124", "+0447700900123", "+123456", "+1234567890123456", "+٤٤٧٧٠٠٩٠٠",
			"arn:aws:sns:eu-west-1:123456789012:a-topic",
		} {
			err := texter.SendText(t.Context(), message.Text{To: to, Text: anyText.Text})
			if !errors.Is(err, mfa.ErrNotTaken) || !strings.Contains(w.Log.String(), `"reason":"address"`) {
				t.Errorf("%s, %q: got %v, want that it says that nothing was sent", provider, to, err)
			}
			checkNothingOfTheMessage(t, to, w, err)
		}
		if got := len(w.Requests()); got > 0 {
			t.Errorf("%s: got %d requests, want none", provider, got)
		}
	}
}

func TestATextHasWhatTheConfigurationSays(t *testing.T) {
	for name, c := range map[string]struct {
		provider string
		settings map[string]string
		want     amazon.Text
	}{
		"SNS": {bySNS, nil, amazon.Text{By: amazon.SNS}},
		"SNS, with all there is": {
			bySNS, map[string]string{"COUNTERSIGN_SMS_SENDER_ID": "ACME-4u", "COUNTERSIGN_SMS_ORIGINATION_NUMBER": "+18005550100", "COUNTERSIGN_SMS_MAX_PRICE": "0.25"},
			amazon.Text{By: amazon.SNS, SenderID: "ACME-4u", Origination: "+18005550100", MaxPrice: "0.25"},
		},
		"End User Messaging": {
			byEndUserMessaging, nil,
			amazon.Text{By: amazon.EndUserMessaging, Origination: pool, ValidFor: anyText.ValidFor},
		},
		"End User Messaging, with all there is": {
			byEndUserMessaging, map[string]string{
				"COUNTERSIGN_SMS_ORIGINATION_ARN": "arn:aws-us-gov:sms-voice:us-gov-west-1:123456789012:sender-id/ACME/GB", "COUNTERSIGN_SMS_MAX_PRICE": "1.5",
				"COUNTERSIGN_SMS_CONFIGURATION_SET": "mfa_set-1", "COUNTERSIGN_SMS_PROTECT_CONFIGURATION": "arn:aws:sms-voice:eu-west-1:123456789012:protect-configuration/protect-1",
			},
			amazon.Text{
				By: amazon.EndUserMessaging, Origination: "arn:aws-us-gov:sms-voice:us-gov-west-1:123456789012:sender-id/ACME/GB", MaxPrice: "1.5", ConfigurationSet: "mfa_set-1",
				ProtectConfiguration: "arn:aws:sms-voice:eu-west-1:123456789012:protect-configuration/protect-1", ValidFor: anyText.ValidFor,
			},
		},
	} {
		w := newWorld(t, c.provider, c.settings)
		if err := open(w).SendText(t.Context(), anyText); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := w.Texts()
		c.want.To, c.want.Text = anyText.To, anyText.Text
		if len(got) != 1 {
			t.Fatalf("%s: got %d messages, want 1", name, len(got))
		}
		if got[0].At = c.want.At; got[0] != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got[0], c.want)
		}
		if got[0].Code() != "123456" {
			t.Errorf("%s: got the code %q", name, got[0].Code())
		}
	}
}

// A message without a code has no time at which it expires.
func TestATextLivesNoLongerThanItsCode(t *testing.T) {
	for validFor, want := range map[time.Duration]time.Duration{
		time.Minute: time.Minute, 90*time.Second + 999*time.Millisecond: 90 * time.Second, 600 * time.Second: 600 * time.Second, 0: 0,
	} {
		w := newWorld(t, byEndUserMessaging, nil)
		m := anyText
		m.ValidFor = validFor
		if err := open(w).SendText(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if got := w.Texts()[0].ValidFor; got != want {
			t.Errorf("a code of %s: got a message that lives for %s, want %s", validFor, got, want)
		}
	}
}

// A request has only the fields that the providers document, and the code is only in the text.
func TestARequestHasNothingButTheMessage(t *testing.T) {
	w := newWorld(t, bySNS, nil)
	if err := open(w).SendText(t.Context(), anyText); err != nil {
		t.Fatal(err)
	}
	form := w.Requests()[0].Form
	want := url.Values{
		"Action": {"Publish"}, "Version": {"2010-03-31"}, "PhoneNumber": {anyText.To}, "Message": {anyText.Text},
		"MessageAttributes.entry.1.Name": {"AWS.SNS.SMS.SMSType"}, "MessageAttributes.entry.1.Value.DataType": {"String"},
		"MessageAttributes.entry.1.Value.StringValue": {"Transactional"},
	}
	if fmt.Sprint(form) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", form, want)
	}
	w = newWorld(t, byEndUserMessaging, nil)
	if err := open(w).SendText(t.Context(), anyText); err != nil {
		t.Fatal(err)
	}
	var said map[string]any
	if err := json.Unmarshal(w.Requests()[0].Body, &said); err != nil {
		t.Fatal(err)
	}
	if want := map[string]any{
		"DestinationPhoneNumber": anyText.To, "MessageBody": anyText.Text, "MessageType": "TRANSACTIONAL", "TimeToLive": 600.0,
		"OriginationIdentity": pool,
	}; fmt.Sprint(said) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", said, want)
	}
}

func TestEachTextGetsAConnectionOfItsOwn(t *testing.T) {
	for _, provider := range []string{bySNS, byEndUserMessaging} {
		w := newWorld(t, provider, nil)
		texter := open(w)
		seen := map[string]bool{}
		for range 3 {
			if err := texter.SendText(t.Context(), anyText); err != nil {
				t.Fatal(err)
			}
		}
		for _, q := range w.Requests() {
			seen[q.Request.RemoteAddr] = true
		}
		if len(seen) != 3 {
			t.Errorf("%s: got %d connections for 3 messages, want 3", provider, len(seen))
		}
	}
}

func TestACancelledCallSendsNoText(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, provider := range []string{bySNS, byEndUserMessaging} {
		w := newWorld(t, provider, nil)
		if err := open(w).SendText(ctx, anyText); err == nil || len(w.Requests()) > 0 {
			t.Errorf("%s: got %v after %d requests", provider, err, len(w.Requests()))
		}
	}
}

func TestWithoutAProviderNothingSendsTexts(t *testing.T) {
	for _, provider := range []string{"", none} {
		if got := open(newWorld(t, provider, nil)); got != nil {
			t.Errorf("%q: got %v, want nothing", provider, got)
		}
	}
}
