package cloud

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"countersign/pkg/api"
	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/store/dynamo"
)

// How long things may take. A function's own time-out must be longer than callTime; the template gives it functionTime.
const (
	functionTime = 10 * time.Second
	callTime     = 8 * time.Second         // of one call at the door, whatever it waits for
	attemptTime  = 1500 * time.Millisecond // of one attempt at the table, KMS or EventBridge
	attempts     = 3                       // at the same
	longestPause = 200 * time.Millisecond  // before another attempt
	mailTime     = 4 * time.Second         // of one attempt at SES
	warmTime     = 3 * time.Second         // of what is made ready before the first call
)

// A Deployment is what one function knows of where it runs, read from its environment:
//
//	AWS_REGION                        set by Lambda, as are AWS_ACCESS_KEY_ID,
//	                                  AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN
//	COUNTERSIGN_TABLE                 name of the table
//	COUNTERSIGN_KMS_KEY               id or ARN of the KMS key that wraps the key ring
//	COUNTERSIGN_ISSUER                base URL of the deployment, without a slash at its end
//	COUNTERSIGN_SENDER_NAME           name that messages come from; else Countersign
//	COUNTERSIGN_RP_ID                 the RP ID of security keys and passkeys: the domain of the pages that use
//	                                  them, or a domain above it. Without it they aren't offered
//	COUNTERSIGN_SENDER                address that messages come from (Mail)
//	COUNTERSIGN_SES_CONFIGURATION_SET SES configuration set; may be missing (Mail)
//	COUNTERSIGN_BUS                   name or ARN of the event bus (Bus)
//	COUNTERSIGN_ROUTINE_EVENTS        true: routine events go on the bus too (Bus)
//
// and, for playing a deployment on one machine,
//
//	AWS_SAM_LOCAL                     true: set by the SAM command line on a developer's machine
//	COUNTERSIGN_DYNAMODB_ENDPOINT, COUNTERSIGN_KMS_ENDPOINT, COUNTERSIGN_SES_ENDPOINT, COUNTERSIGN_EVENTBRIDGE_ENDPOINT
//	                                  where to find those instead of at Amazon: on this machine, or on the one
//	                                  that this container runs on. A deployed function refuses them
//	COUNTERSIGN_CLOCK_OFFSET          seconds by which the service's clock is ahead; refused unless the
//	                                  table is at such an address
//
// Those with a method in brackets are read when it is called. A Deployment is made by Serve, Stream or Schedule, for the
// function that they are given.
type Deployment struct {
	step        string
	environment func(string) string
	out         *output
	log         *slog.Logger
	wall        func() time.Time // this machine's clock, which requests are signed by
	now         func() time.Time // the service's

	region string
	signer aws.Credentials
	http   *http.Client // for what may be asked again
	faults []fault

	table   *dynamo.Table // nil until it is asked for, as are
	keys    *Keys
	filters *apikey.FilterKeeper
	ready   []readiness
}

// A readiness is something that Serve has ready before the first call.
type readiness struct {
	what string
	get  func(context.Context) error
}

// open reads what every function needs.
func open(step string, environment func(string) string, out io.Writer) *Deployment {
	d := &Deployment{step: step, environment: environment, out: &output{w: out}, wall: time.Now}
	d.log = newLog(d.out).With("step", step)
	offset := d.clockOffset()
	// Without the monotonic reading, which stands still while Lambda keeps the process frozen.
	d.now = func() time.Time { return d.wall().Round(0).Add(offset) }
	d.region = d.setting("AWS_REGION", "a region such as eu-central-1", word("-"))
	d.signer = d.credentials()
	d.http = &http.Client{Transport: newTransport(), Timeout: attemptTime, CheckRedirect: stay}
	return d
}

// Door is how the function's HTTP door behaves.
func (d *Deployment) Door() api.Options {
	return api.Options{Timeout: callTime, Now: d.now, Log: d.log}
}

// Service is the domain on this deployment's table and keys. It has no Mail and no Bus: who needs them sets them, to Mail
// and Bus.
func (d *Deployment) Service() *mfa.Service {
	return &mfa.Service{
		Store:  d.store(),
		Filter: d.filter(),
		Keys:   d.Keys(),
		Now:    d.now,
		Issuer: d.setting("COUNTERSIGN_ISSUER", "an https URL without a slash at its end", issuerURL),
		Sender: d.optional("COUNTERSIGN_SENDER_NAME", "one line of text", line),
		Log:    d.log,

		RelyingParty: d.relyingParty(),
	}
}

// relyingParty is what authenticators know the deployment as.
func (d *Deployment) relyingParty() mfa.RelyingParty {
	id := d.optional("COUNTERSIGN_RP_ID", "a domain such as acme.example", domain)
	return mfa.RelyingParty{ID: id, Name: cmp.Or(d.environment("COUNTERSIGN_SENDER_NAME"), "Countersign")}
}

// Passkeys returns what carries out WebAuthn ceremonies, which is nil for a deployment without an RP ID. make is passkey.New:
// a function that runs no ceremonies doesn't name it, and so doesn't link what it needs.
func (d *Deployment) Passkeys(make func(mfa.RelyingParty) (mfa.Passkeys, error)) mfa.Passkeys {
	party := d.relyingParty()
	if party.ID == "" {
		return nil
	}
	ceremonies, err := make(party)
	if err != nil {
		d.fault("COUNTERSIGN_RP_ID", "is not a domain such as acme.example")
		return nil
	}
	return ceremonies
}

// Keys is the keeper of the deployment's key ring. Serve has it ready before the first call.
func (d *Deployment) Keys() *Keys {
	if d.keys == nil {
		key := d.setting("COUNTERSIGN_KMS_KEY", "the id or ARN of a KMS key", word(":/_-"))
		d.keys = &Keys{store: d.store(), master: masterKey{d.service("kms", "COUNTERSIGN_KMS_ENDPOINT"), key}, now: d.now}
		d.ready = append(d.ready, readiness{"key ring", func(ctx context.Context) error { _, err := d.keys.Ring(ctx); return err }})
	}
	return d.keys
}

// PublishedKeys reads the public keys of the deployment, for api.Pages. It needs neither the key ring nor KMS.
func (d *Deployment) PublishedKeys() func(context.Context) ([]byte, error) {
	table := d.store()
	d.ready = append(d.ready, readiness{"published keys", func(ctx context.Context) error { _, err := mfa.PublishedKeys(ctx, table); return err }})
	return func(ctx context.Context) ([]byte, error) { return mfa.PublishedKeys(ctx, table) }
}

// filter is the keeper of the filter of the deployment's bearers. Serve has it ready before the first call, too.
func (d *Deployment) filter() *apikey.FilterKeeper {
	if d.filters == nil {
		d.filters = &apikey.FilterKeeper{Store: d.store()}
		d.ready = append(d.ready, readiness{"filter key", func(ctx context.Context) error { _, err := d.filters.Filter(ctx); return err }})
	}
	return d.filters
}

func (d *Deployment) store() *dynamo.Table {
	if d.table == nil {
		o := dynamodb.Options{
			Region:      d.region,
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return d.signer, nil }),
			HTTPClient:  d.http,
			Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = attempts
				o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) { return pauseBefore(attempt), nil })
			}),
		}
		if local := d.endpoint("COUNTERSIGN_DYNAMODB_ENDPOINT"); local != "" {
			o.BaseEndpoint = &local
		}
		name := d.setting("COUNTERSIGN_TABLE", "the name of a table", word("_.-"))
		d.table = dynamo.New(dynamo.Options{Client: dynamodb.New(o), Table: name, Now: d.now})
	}
	return d.table
}

// service is one of Amazon's, by the name that requests to it are signed for.
func (d *Deployment) service(name, endpointSetting string) service {
	s := service{
		client: d.http, name: name, region: d.region, signer: d.signer, now: d.wall,
		endpoint: d.endpoint(endpointSetting), attempts: attempts, again: passing,
	}
	if s.endpoint == "" {
		s.endpoint = amazonEndpoint(name, d.region)
	}
	return s
}

// amazonEndpoint is where a region has a service.
// https://docs.aws.amazon.com/general/latest/gr/rande.html
func amazonEndpoint(name, region string) string {
	host, domain := name, "amazonaws.com"
	if name == "ses" {
		host = "email"
	}
	if strings.HasPrefix(region, "cn-") {
		domain = "amazonaws.com.cn"
	}
	return "https://" + host + "." + region + "." + domain
}

// broken tells of each setting that is missing or malformed, in the log, and answers what to say to whoever calls.
func (d *Deployment) broken() error {
	if len(d.faults) == 0 {
		return nil
	}
	names := make([]string, len(d.faults))
	for i, f := range d.faults {
		names[i] = f.name
		d.log.Error("a setting is wrong: "+f.name+" "+f.what, "setting", f.name)
	}
	return fmt.Errorf("not configured: %s", strings.Join(names, ", "))
}
