// Command naive is the function verify, written as the guides of Amazon's SDK show it: with LoadDefaultConfig, a client for
// each service, and the roots of the system. It does the same as verify with a call. The bench compares verify with it. It is
// a module of its own, so that the product neither links it nor needs its modules.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	bustypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	mailtypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	"countersign/pkg/activity"
	"countersign/pkg/api"
	"countersign/pkg/apikey"
	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/dynamo"
)

func main() {
	settings, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		panic(err)
	}
	table := dynamo.New(dynamo.Options{Client: dynamodb.NewFromConfig(settings), Table: os.Getenv("COUNTERSIGN_TABLE")})
	service := &mfa.Service{
		Store: table, Keys: &keys{table: table, kms: kms.NewFromConfig(settings)}, Filter: &apikey.FilterKeeper{Store: table},
		Mail: mail{sesv2.NewFromConfig(settings)}, Bus: bus{eventbridge.NewFromConfig(settings)}, Now: time.Now, Issuer: os.Getenv("COUNTERSIGN_ISSUER"),
	}
	handler := api.New(api.Options{}, api.Verify(service))
	lambda.Start(func(ctx context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		r, err := http.NewRequestWithContext(ctx, e.RequestContext.HTTP.Method, e.RawPath, strings.NewReader(e.Body))
		if err != nil {
			return events.APIGatewayV2HTTPResponse{}, err
		}
		for name, value := range e.Headers {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return events.APIGatewayV2HTTPResponse{StatusCode: w.Code, Body: w.Body.String()}, nil
	})
}

// A keys reads the key ring from the table when it is needed first. The body of the item is the ring as KMS has encrypted it.
type keys struct {
	table *dynamo.Table
	kms   *kms.Client
	once  sync.Once
	ring  *seal.Ring
	err   error
}

// Ring implements seal.Keeper.
func (k *keys) Ring(ctx context.Context) (*seal.Ring, error) {
	k.once.Do(func() { k.ring, k.err = k.load(ctx) })
	return k.ring, k.err
}

// Reload implements seal.Keeper.
func (k *keys) Reload(ctx context.Context) (*seal.Ring, error) { return k.Ring(ctx) }

func (k *keys) load(ctx context.Context) (*seal.Ring, error) {
	item, err := store.GetOne(ctx, k.table, store.Key{Partition: "ring", Sort: "ring"})
	if err != nil {
		return nil, err
	}
	opened, err := k.kms.Decrypt(ctx, &kms.DecryptInput{
		CiphertextBlob: item.Body, KeyId: aws.String(os.Getenv("COUNTERSIGN_KMS_KEY")),
		EncryptionContext: map[string]string{"app": "countersign", "purpose": "ring"},
	})
	if err != nil {
		return nil, err
	}
	return seal.Unmarshal(seal.NewSecret(string(opened.Plaintext)))
}

type mail struct{ client *sesv2.Client }

// SendMail implements mfa.Mailer.
func (m mail) SendMail(ctx context.Context, sent message.Message) error {
	_, err := m.client.SendEmail(ctx, &sesv2.SendEmailInput{
		FromEmailAddress: aws.String(os.Getenv("COUNTERSIGN_SENDER")),
		Destination:      &mailtypes.Destination{ToAddresses: []string{sent.To}},
		Content: &mailtypes.EmailContent{Simple: &mailtypes.Message{
			Subject: &mailtypes.Content{Data: aws.String(sent.Subject)},
			Body:    &mailtypes.Body{Text: &mailtypes.Content{Data: aws.String(sent.Text)}},
		}},
	})
	return err
}

type bus struct{ client *eventbridge.Client }

// PutEvents implements mfa.Bus.
func (b bus) PutEvents(ctx context.Context, all []activity.Event) error {
	var entries []bustypes.PutEventsRequestEntry
	for _, e := range all {
		detail, err := json.Marshal(e)
		if err != nil {
			return err
		}
		entries = append(entries, bustypes.PutEventsRequestEntry{
			Source: aws.String("countersign"), DetailType: aws.String(e.Type), Detail: aws.String(string(detail)),
			EventBusName: aws.String(os.Getenv("COUNTERSIGN_BUS")),
		})
	}
	out, err := b.client.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: entries})
	if err == nil && out.FailedEntryCount > 0 {
		err = errors.New("events were refused")
	}
	return err
}
