package cloud

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	mailtypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	"countersign/pkg/activity"
	"countersign/pkg/message"
)

// TestARequestIsTheOneThatTheSDKSends holds what is called by hand against the SDK's own clients.
func TestARequestIsTheOneThatTheSDKSends(t *testing.T) {
	w := newWorld(t)
	w.env["COUNTERSIGN_SENDER_NAME"] = "Zoë’s bank"
	w.env["COUNTERSIGN_SES_CONFIGURATION_SET"] = "mfa"
	d := w.open()
	d.wall = time.Now
	config := aws.Config{
		Region: "eu-west-1", BaseEndpoint: &w.amazon.URL, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return d.signer, nil }),
	}
	key, context := w.env["COUNTERSIGN_KMS_KEY"], map[string]string{"app": "countersign", "purpose": "ring"}
	utf8 := func(text string) *mailtypes.Content {
		return &mailtypes.Content{Charset: aws.String("UTF-8"), Data: &text}
	}
	event := activity.Event{ID: "ev_1", Type: "policy.changed", Time: time.Date(2030, 1, 2, 3, 4, 5, 678e6, time.UTC), Org: "a", Data: map[string]any{"x": "<é>"}}
	detail, _ := json.Marshal(event)
	master := d.Keys().master
	for _, test := range []struct {
		name      string
		ours, the func() error
	}{
		{name: "SendEmail",
			ours: func() error {
				return d.Mail().SendMail(t.Context(), message.Message{To: "zoë.b@example.com", Subject: "Código", Text: "a\nb\n", HTML: "<p>é</p>"})
			},
			the: func() error {
				_, err := sesv2.NewFromConfig(config).SendEmail(t.Context(), &sesv2.SendEmailInput{
					FromEmailAddress:     aws.String("=?utf-8?q?Zo=C3=AB=E2=80=99s_bank?= <no-reply@example.com>"),
					ConfigurationSetName: aws.String("mfa"),
					Destination:          &mailtypes.Destination{ToAddresses: []string{"zoë.b@example.com"}},
					Content: &mailtypes.EmailContent{Simple: &mailtypes.Message{
						Subject: utf8("Código"), Body: &mailtypes.Body{Text: utf8("a\nb\n"), Html: utf8("<p>é</p>")},
					}},
				})
				return err
			}},
		{name: "GenerateDataKey",
			ours: func() error { _, _, err := master.newDataKey(t.Context()); return err },
			the: func() error {
				_, err := kms.NewFromConfig(config).GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{
					KeyId: &key, KeySpec: "AES_256", EncryptionContext: context,
				})
				return err
			}},
		{name: "Decrypt",
			ours: func() error { master.openDataKey(t.Context(), []byte{1, 2, 3}); return nil },
			the: func() error {
				kms.NewFromConfig(config).Decrypt(t.Context(), &kms.DecryptInput{KeyId: &key, CiphertextBlob: []byte{1, 2, 3}, EncryptionContext: context})
				return nil
			}},
		{name: "PutEvents",
			ours: func() error { return d.Bus().PutEvents(t.Context(), []activity.Event{event}) },
			the: func() error {
				_, err := eventbridge.NewFromConfig(config).PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []eventtypes.PutEventsRequestEntry{{
					Source: aws.String("countersign"), DetailType: aws.String("policy.changed"), Detail: aws.String(string(detail)),
					EventBusName: aws.String("countersign"), Time: &event.Time,
				}}})
				return err
			}},
	} {
		w.amazon.mu.Lock()
		w.amazon.asked = nil
		w.amazon.answer = func(q asked) (int, string) {
			if strings.Contains(q.Target, "PutEvents") {
				return 200, `{"Entries":[{"EventId":"1"}]}`
			}
			return 200, "{}"
		}
		w.amazon.mu.Unlock()
		if err := test.ours(); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if err := test.the(); err != nil {
			t.Fatalf("%s, by the SDK: %v", test.name, err)
		}
		requests := w.amazon.requests()
		if len(requests) != 2 {
			t.Fatalf("%s: got %d requests, want ours and the SDK's", test.name, len(requests))
		}
		ours, want := requests[0], requests[1]
		if ours.Method != want.Method || ours.Path != want.Path || ours.Target != want.Target || ours.Type != want.Type {
			t.Errorf("%s: got %s %s %s %s, want %s %s %s %s", test.name,
				ours.Method, ours.Path, ours.Target, ours.Type, want.Method, want.Path, want.Target, want.Type)
		}
		var oursBody, wantBody any
		decodeJSON(t, ours.Body, &oursBody)
		decodeJSON(t, want.Body, &wantBody)
		if !reflect.DeepEqual(oursBody, wantBody) {
			t.Errorf("%s: got %s, want %s", test.name, ours.Body, want.Body)
		}
		scope := func(q asked) string {
			_, rest, _ := strings.Cut(q.Authorization, "Credential=")
			credential, _, _ := strings.Cut(rest, ",")
			return credential
		}
		if scope(ours) != scope(want) || !strings.HasPrefix(ours.Authorization, "AWS4-HMAC-SHA256 ") {
			t.Errorf("%s: got %s, want %s", test.name, ours.Authorization, want.Authorization)
		}
	}
}

func TestWhatMayPassIsAskedAgainAndWhatMayNotIsNot(t *testing.T) {
	for name, test := range map[string]struct {
		first func(asked) (int, string)
		again bool
	}{
		"a server error": {func(asked) (int, string) { return 500, `{"__type":"KMSInternalException"}` }, true},
		"one too many":   {func(asked) (int, string) { return 400, `{"__type":"ThrottlingException"}` }, true},
		"a lost answer":  {func(asked) (int, string) { return lose, "" }, true},
		"a refusal":      {func(asked) (int, string) { return 400, `{"__type":"DisabledException"}` }, false},
	} {
		w := newWorld(t)
		key := w.amazon.kms
		w.amazon.kms = nil
		w.amazon.answer = func(q asked) (int, string) {
			if q.nth == 1 {
				return test.first(q)
			}
			return key.answer(q)
		}
		master := w.open().Keys().master
		_, _, err := master.newDataKey(t.Context())
		if again := len(w.amazon.requests()) == 2; again != test.again || again != (err == nil) {
			t.Errorf("%s: got %v after %d requests, want it asked again: %v", name, err, len(w.amazon.requests()), test.again)
		}
	}
}

func TestAServiceIsFoundWhereTheSDKFindsIt(t *testing.T) {
	for _, region := range []string{"eu-central-1", "us-east-1", "cn-north-1", "us-gov-west-1"} {
		ctx := t.Context()
		for name, resolve := range map[string]func() (string, error){
			"ses": func() (string, error) {
				e, err := sesv2.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, sesv2.EndpointParameters{Region: &region})
				return e.URI.String(), err
			},
			"kms": func() (string, error) {
				e, err := kms.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, kms.EndpointParameters{Region: &region})
				return e.URI.String(), err
			},
			"events": func() (string, error) {
				e, err := eventbridge.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, eventbridge.EndpointParameters{Region: &region})
				return e.URI.String(), err
			},
		} {
			want, err := resolve()
			if err != nil {
				t.Fatal(err)
			}
			if got := amazonEndpoint(name, region); got != want {
				t.Errorf("%s in %s: got %s, want %s", name, region, got, want)
			}
		}
	}
}

func TestAnErrorIsNamedAsTheProtocolsNameIt(t *testing.T) {
	for _, test := range []struct{ header, body, want string }{
		{"MessageRejected", `{}`, "MessageRejected"},
		{"MessageRejected:http://internal.amazon.com/coral/", ``, "MessageRejected"},
		{"", `{"__type":"com.amazonaws.kms#NotFoundException"}`, "NotFoundException"},
		{"", `{"code":"ThrottlingException"}`, "ThrottlingException"},
		{"", `<html>bob@example.com</html>`, ""},
		{"", `{"__type":"bob@example.com"}`, ""},
		{strings.Repeat("A", 81), ``, ""},
	} {
		h := map[string][]string{}
		if test.header != "" {
			h["X-Amzn-Errortype"] = []string{test.header}
		}
		if got := errorCode(h, []byte(test.body)); got != test.want {
			t.Errorf("%q %q: got %q, want %q", test.header, test.body, got, test.want)
		}
	}
}
