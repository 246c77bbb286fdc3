package amazon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	bustypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	mailtypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	"github.com/aws/smithy-go"

	"countersign/infra/amazon"
	"countersign/pkg/store/dynamo"
)

// open serves an account, and returns a configuration with which the SDK's clients call it under a prefix.
func open(t *testing.T, prefix string) (*amazon.Account, aws.Config) {
	a := &amazon.Account{}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	return a, aws.Config{
		Region: amazon.Region, BaseEndpoint: aws.String(server.URL + prefix), RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "secret"}, nil
		}),
	}
}

// code returns the code of an error of the SDK. It is empty if err is no such error.
func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

func TestWhatKMSWrapsIsUnwrappedUnderTheSameKeyAndContextOnly(t *testing.T) {
	_, config := open(t, "")
	client := kms.NewFromConfig(config)
	made, err := client.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{
		KeyId: aws.String(amazon.KeyARN), KeySpec: "AES_256", EncryptionContext: amazon.RingContext(),
	})
	if err != nil {
		t.Fatal(err)
	}
	other := maps.Clone(amazon.RingContext())
	other["purpose"] = "else"
	for name, test := range map[string]struct {
		key     string
		context map[string]string
		blob    []byte
		want    string // empty if it is unwrapped
	}{
		"as it was wrapped": {amazon.KeyARN, amazon.RingContext(), made.CiphertextBlob, ""},
		"another context":   {amazon.KeyARN, other, made.CiphertextBlob, "AccessDeniedException"},
		"no context":        {amazon.KeyARN, nil, made.CiphertextBlob, "AccessDeniedException"},
		"another key":       {amazon.KeyARN + "0", amazon.RingContext(), made.CiphertextBlob, "NotFoundException"},
		"another blob":      {amazon.KeyARN, amazon.RingContext(), made.CiphertextBlob[1:], "InvalidCiphertextException"},
	} {
		opened, err := client.Decrypt(t.Context(), &kms.DecryptInput{KeyId: &test.key, CiphertextBlob: test.blob, EncryptionContext: test.context})
		if got := code(err); got != test.want || (err == nil) != (test.want == "") {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if err == nil && string(opened.Plaintext) != string(made.Plaintext) {
			t.Errorf("%s: got another key than was wrapped", name)
		}
	}
	if len(made.CiphertextBlob) != 184 || len(made.Plaintext) != 32 {
		t.Errorf("got a blob of %d bytes for a key of %d, want 184 for 32", len(made.CiphertextBlob), len(made.Plaintext))
	}
}

// letter returns a message that SES accepts, with a change.
func letter(change func(*sesv2.SendEmailInput)) *sesv2.SendEmailInput {
	text := func(s string) *mailtypes.Content { return &mailtypes.Content{Charset: aws.String("UTF-8"), Data: &s} }
	in := &sesv2.SendEmailInput{
		FromEmailAddress: aws.String("House <" + amazon.Sender + ">"),
		Destination:      &mailtypes.Destination{ToAddresses: []string{"bob@example.com"}},
		Content: &mailtypes.EmailContent{Simple: &mailtypes.Message{
			Subject: text("Your code"), Body: &mailtypes.Body{Text: text("Hello\n123456\n"), Html: text("<b>123456</b>")},
		}},
	}
	change(in)
	return in
}

func TestAMessageIsTakenFromTheOneSenderToOneAddressInUTF8(t *testing.T) {
	a, config := open(t, "")
	client := sesv2.NewFromConfig(config)
	for name, test := range map[string]struct {
		change func(*sesv2.SendEmailInput)
		want   string
	}{
		"another sender":       {func(in *sesv2.SendEmailInput) { in.FromEmailAddress = aws.String("eve@example.com") }, "MailFromDomainNotVerifiedException"},
		"two recipients":       {func(in *sesv2.SendEmailInput) { in.Destination.ToAddresses = []string{"a@b.example", "c@d.example"} }, "BadRequestException"},
		"a recipient's name":   {func(in *sesv2.SendEmailInput) { in.Destination.ToAddresses = []string{"Bob <a@b.example>"} }, "BadRequestException"},
		"no HTML":              {func(in *sesv2.SendEmailInput) { in.Content.Simple.Body.Html = nil }, "BadRequestException"},
		"no character set":     {func(in *sesv2.SendEmailInput) { in.Content.Simple.Subject.Charset = nil }, "BadRequestException"},
		"a field not known":    {func(in *sesv2.SendEmailInput) { in.FeedbackForwardingEmailAddress = aws.String("a@b.example") }, "SerializationException"},
		"an unnamed set":       {func(in *sesv2.SendEmailInput) { in.ConfigurationSetName = aws.String("") }, "BadRequestException"},
		"as a function's are":  {func(in *sesv2.SendEmailInput) { in.ConfigurationSetName = aws.String("mfa") }, ""},
		"without a set's name": {func(*sesv2.SendEmailInput) {}, ""},
	} {
		before := len(a.Messages())
		_, err := client.SendEmail(t.Context(), letter(test.change))
		if got := code(err); got != test.want || (err == nil) != (test.want == "") {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if taken := len(a.Messages()) > before; taken != (err == nil) {
			t.Errorf("%s: got taken %v, and the answer %v", name, taken, err)
		}
	}
	m, there := a.LastMessage("bob@example.com")
	if !there || m.FromName != "House" || m.Subject != "Your code" || m.HTML != "<b>123456</b>" || m.Code() != "123456" {
		t.Errorf("got %+v, %v, want the message as it was sent", m, there)
	}
	if a.ClearMessages(); len(a.Messages()) > 0 {
		t.Error("messages were kept although they were cleared")
	}
}

func TestAnEventIsTakenForTheOneBusAndRefusedByItself(t *testing.T) {
	a, config := open(t, "")
	client := eventbridge.NewFromConfig(config)
	entry := func(bus, detail string) bustypes.PutEventsRequestEntry {
		return bustypes.PutEventsRequestEntry{
			Source: aws.String("countersign"), DetailType: aws.String("user.updated"), Detail: &detail, EventBusName: &bus, Time: aws.Time(time.Now()),
		}
	}
	said, err := client.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []bustypes.PutEventsRequestEntry{
		entry(amazon.Bus, `{"n":1}`), entry("another", `{"n":2}`), entry(amazon.Bus, `[3]`), entry(amazon.Bus, `{"n":4}`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range said.Entries {
		got = append(got, aws.ToString(e.ErrorCode))
	}
	if want := "[ InvalidArgument MalformedDetail ]"; fmt.Sprint(got) != want || said.FailedEntryCount != 2 {
		t.Errorf("got %v with %d failed, want %s with 2", got, said.FailedEntryCount, want)
	}
	if e := a.Events(); len(e) != 2 || string(e[0].Detail) != `{"n":1}` || string(e[1].Detail) != `{"n":4}` || e[0].DetailType != "user.updated" {
		t.Errorf("got %s on the bus, want the first and the last", e)
	}
	eleven := make([]bustypes.PutEventsRequestEntry, 11)
	for i := range eleven {
		eleven[i] = entry(amazon.Bus, `{}`)
	}
	for name, entries := range map[string][]bustypes.PutEventsRequestEntry{
		"none": {}, "too many": eleven, "too large": {entry(amazon.Bus, `{"x":"`+strings.Repeat("x", 256<<10)+`"}`)},
	} {
		if _, err := client.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: entries}); code(err) != "ValidationException" {
			t.Errorf("%s: got %v, want a ValidationException", name, err)
		}
	}
}

// altered changes each request before it is sent.
type altered func(*http.Request)

func (change altered) RoundTrip(r *http.Request) (*http.Response, error) {
	change(r)
	return http.DefaultTransport.RoundTrip(r)
}

func TestARequestThatIsNotAsTheProtocolsHaveItIsRefused(t *testing.T) {
	resign := func(old, now string) altered {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, now, 1))
		}
	}
	for name, test := range map[string]struct {
		change altered
		want   string
	}{
		"unsigned":            {func(r *http.Request) { r.Header.Del("Authorization") }, "MissingAuthenticationTokenException"},
		"half a signature":    {func(r *http.Request) { h := r.Header; h.Set("Authorization", h.Get("Authorization")[:100]) }, "MissingAuthenticationTokenException"},
		"for another service": {resign("/kms/", "/ses/"), "InvalidSignatureException"},
		"of another day":      {resign(time.Now().UTC().Format("20060102"), "20200101"), "InvalidSignatureException"},
		"without its date":    {func(r *http.Request) { r.Header.Del("X-Amz-Date") }, "InvalidSignatureException"},
		"of an hour ago": {func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().UTC().Add(-time.Hour).Format("20060102T150405Z"))
		}, "InvalidSignatureException"},
		"its target not signed":   {resign(";x-amz-target", ""), "InvalidSignatureException"},
		"its host not signed":     {resign(";host;", ";"), "InvalidSignatureException"},
		"another operation":       {func(r *http.Request) { r.Header.Set("X-Amz-Target", "TrentService.DeleteAlias") }, "UnknownOperationException"},
		"another service":         {func(r *http.Request) { r.Header.Set("X-Amz-Target", "AmazonSQS.SendMessage") }, "UnknownOperationException"},
		"no target":               {func(r *http.Request) { r.Header.Del("X-Amz-Target") }, "UnknownOperationException"},
		"another content type":    {func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, "SerializationException"},
		"another method":          {func(r *http.Request) { r.Method = http.MethodPut }, "UnknownOperationException"},
		"more than a body":        {func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader(`{} {}`)), 5 }, "SerializationException"},
		"a body that isn't JSON":  {func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader(`{`)), 1 }, "SerializationException"},
		"as it was, another spec": {func(*http.Request) {}, "ValidationException"},
	} {
		_, config := open(t, "/verify-1")
		config.HTTPClient = &http.Client{Transport: test.change}
		_, err := kms.NewFromConfig(config).GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{
			KeyId: aws.String(amazon.KeyARN), KeySpec: "AES_128", EncryptionContext: amazon.RingContext(),
		})
		if got := code(err); got != test.want {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}

func TestWhoeverStandsAroundSeesWhatIsAskedAndByWhomAndMayAnswer(t *testing.T) {
	for _, prefix := range []string{"", "/challenge-2"} {
		a, config := open(t, prefix)
		var seen []string
		a.Around = func(w http.ResponseWriter, c *amazon.Call, answer http.HandlerFunc) {
			seen = append(seen, strings.TrimSpace(c.Service+" "+c.Operation+" "+c.Prefix))
			if c.Service == amazon.SES {
				amazon.Refuse(w, c.Request, http.StatusBadRequest, "MessageRejected", "no")
				return
			}
			answer(w, c.Request)
		}
		if _, err := sesv2.NewFromConfig(config).SendEmail(t.Context(), letter(func(*sesv2.SendEmailInput) {})); code(err) != "MessageRejected" || len(a.Messages()) > 0 {
			t.Errorf("got %v and %d messages, want it rejected", err, len(a.Messages()))
		}
		_, err := kms.NewFromConfig(config).GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{
			KeyId: aws.String(amazon.KeyARN), KeySpec: "AES_256", EncryptionContext: amazon.RingContext(),
		})
		if err != nil {
			t.Error(err)
		}
		if _, err := dynamo.LocalClient(*config.BaseEndpoint).ListTables(t.Context(), nil); code(err) != "ResourceNotFoundException" {
			t.Errorf("got %v, want that there is no table", err)
		}
		who := strings.Replace(prefix, "/", " ", 1)
		want := fmt.Sprint([]string{"SES SendEmail" + who, "KMS GenerateDataKey" + who, "DynamoDB ListTables" + who})
		if fmt.Sprint(seen) != want {
			t.Errorf("got %v, want %s", seen, want)
		}
	}
}

func TestARequestToTheTableIsPassedOnWithTheBodyThatWhoeverStandsAroundGivesIt(t *testing.T) {
	table := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Got", string(body)+" "+r.Header.Get("X-Amz-Target")+" "+r.Header.Get("Accept-Encoding"))
		w.WriteHeader(http.StatusTeapot)
		json.NewEncoder(w).Encode("an answer")
	}))
	defer table.Close()
	a, config := open(t, "")
	a.Table = table.URL
	a.Around = func(w http.ResponseWriter, c *amazon.Call, answer http.HandlerFunc) {
		c.Body = []byte("another body")
		rec := httptest.NewRecorder()
		answer(rec, c.Request)
		if got, want := rec.Header().Get("X-Got"), "another body DynamoDB_20120810.ListTables gzip"; got != want || rec.Code != http.StatusTeapot {
			t.Errorf("got %d after %q, want 418 after %q", rec.Code, got, want)
		}
		w.Write([]byte("{}"))
	}
	if _, err := dynamo.LocalClient(*config.BaseEndpoint).ListTables(t.Context(), nil); err != nil {
		t.Error(err)
	}
}
