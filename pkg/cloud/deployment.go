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
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"countersign/pkg/api"
	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/store"
	"countersign/pkg/store/dynamo"
)

// Attempts is the number of times that a request is sent, at most, if it may be repeated.
const Attempts = 3

// These are the longest times that things may take. A function's own time-out must be longer than callTime; the template sets it
// to functionTime.
const (
	functionTime = 10 * time.Second
	callTime     = 8 * time.Second         // for one call of a function, including all that it waits for
	attemptTime  = 1500 * time.Millisecond // for one attempt at a request that may be repeated
	longestPause = 200 * time.Millisecond  // the longest pause before another attempt
	messageTime  = 4 * time.Second         // for one attempt at handing over a message
	warmTime     = 3 * time.Second         // for what is made ready before the first call
)

// A Deployment is what one function knows of where it runs, read from its environment:
//
//	AWS_REGION                        set by Lambda, as are AWS_ACCESS_KEY_ID,
//	                                  AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN
//	AWS_USE_FIPS_ENDPOINT             if true, Amazon is called at its endpoints with FIPS 140 cryptography
//	COUNTERSIGN_STAGE                 name of the deployment, which is in its metrics; may be missing
//	COUNTERSIGN_TABLE                 name of the table
//	COUNTERSIGN_ISSUER                base URL of the deployment, without a slash at its end
//	COUNTERSIGN_SENDER_NAME           name that messages come from; else Countersign
//	COUNTERSIGN_RP_ID                 the RP ID of security keys and passkeys: the domain of the pages that use
//	                                  them, or a domain above it. Without it they aren't offered
//	COUNTERSIGN_EDGE_DIGESTS          SHA-256 digests in hexadecimal, separated by a comma, of the one or two secrets by
//	                                  which the edge identifies itself. Without them every caller is let in
//	COUNTERSIGN_RELATED_ORIGINS       origins on other domains where the passkeys of the RP ID can be used, separated by
//	                                  commas (RelatedOrigins)
//
// by the packages below this one,
//
//	COUNTERSIGN_KMS_KEY               id or ARN of the KMS key that wraps the key ring (keyring)
//	COUNTERSIGN_SENDER                address that messages come from (email)
//	COUNTERSIGN_SES_CONFIGURATION_SET SES configuration set; may be missing (email)
//	COUNTERSIGN_SMS_PROVIDER          none, sns or end-user-messaging; if it is missing, none (textmessage, as the next)
//	COUNTERSIGN_SMS_CODE_DOMAIN       domain of the pages on which users type the codes of text messages, of at most 64
//	                                  characters; if it is missing, it is the host of the issuer
//	COUNTERSIGN_SMS_SENDER_ID         sender id, for SNS; may be missing
//	COUNTERSIGN_SMS_ORIGINATION_NUMBER
//	                                  number that SNS sends from; may be missing
//	COUNTERSIGN_SMS_ORIGINATION_ARN   ARN of the phone number, sender id or pool that End User Messaging sends from
//	COUNTERSIGN_SMS_MAX_PRICE         what a message may cost, in USD; may be missing
//	COUNTERSIGN_SMS_CONFIGURATION_SET, COUNTERSIGN_SMS_PROTECT_CONFIGURATION
//	                                  of End User Messaging; may be missing
//	COUNTERSIGN_BUS                   name or ARN of the event bus (eventbus)
//	COUNTERSIGN_ROUTINE_EVENTS        true: routine events go on the bus too (eventbus)
//
// and, to run a deployment on one machine,
//
//	AWS_SAM_LOCAL                     true: set by the SAM command line on a developer's machine
//	COUNTERSIGN_DYNAMODB_ENDPOINT, COUNTERSIGN_KMS_ENDPOINT, COUNTERSIGN_SES_ENDPOINT, COUNTERSIGN_SNS_ENDPOINT,
//	COUNTERSIGN_SMS_VOICE_ENDPOINT, COUNTERSIGN_EVENTBRIDGE_ENDPOINT
//	                                  where these services are, instead of at Amazon: on this machine, or on the one
//	                                  that this container runs on. A deployed function refuses them
//	COUNTERSIGN_CLOCK_OFFSET          seconds by which the service's clock is ahead; refused unless the
//	                                  table is at such an address
//
// A setting is read when something that needs it is made. Serve, Stream, Schedule and Feedback make a Deployment for the function
// that they are given.
type Deployment struct {
	step        string
	stage       string
	environment func(string) string
	out         *output
	log         *slog.Logger
	wall        func() time.Time // this machine's clock
	now         func() time.Time // the clock of the service

	region string
	signer aws.Credentials
	fips   fips
	opener *opener
	http   *http.Client // for requests that may be repeated
	faults []fault

	table   *dynamo.Table // nil until it is asked for, as are the next fields
	filters *apikey.FilterKeeper
	ready   []readiness
}

// A readiness is something that Serve makes ready before the first call.
type readiness struct {
	what string
	get  func(context.Context) error
}

// A Process has what the process of a function finds when it starts.
type Process struct {
	Step        string                   // the name of the function
	Environment func(name string) string // returns a variable of the environment, as os.Getenv does
	Output      io.Writer                // gets log lines and metrics
	Now         func() time.Time         // the clock of the service; if nil, that of this machine with COUNTERSIGN_CLOCK_OFFSET
}

// Open reads the settings that every function needs. It doesn't fail if one of them is wrong. Serve, Stream, Schedule and
// Feedback call Open themselves; if a setting is wrong, they log that when the function starts, and answer every call as
// unavailable.
func Open(p Process) *Deployment {
	d := &Deployment{step: p.Step, environment: p.Environment, out: &output{w: p.Output}, wall: time.Now, now: p.Now}
	d.log = newLog(d.out).With("step", d.step)
	offset := d.clockOffset()
	if d.now == nil {
		// Round(0) drops the monotonic reading, which stands still while Lambda keeps the process frozen.
		d.now = func() time.Time { return d.wall().Round(0).Add(offset) }
	}
	d.stage = d.Optional("COUNTERSIGN_STAGE", "letters and digits", Word(""))
	d.region = d.Setting("AWS_REGION", "a region such as eu-central-1", Word("-"))
	d.signer = d.credentials()
	d.fips = d.Optional("AWS_USE_FIPS_ENDPOINT", "true or false", Truth) == "true"
	d.opener = &opener{connector: newConnector(), wall: d.wall}
	d.http = &http.Client{Transport: newTransport(d.opener), Timeout: attemptTime, CheckRedirect: stay}
	return d
}

// Now returns the time of the service.
func (d *Deployment) Now() time.Time { return d.now() }

// Log returns the log of the function.
func (d *Deployment) Log() *slog.Logger { return d.log }

// Door returns the options of the function's HTTP handler.
func (d *Deployment) Door() api.Options {
	return api.Options{Timeout: callTime, Now: d.now, Log: d.log, Admit: d.edge()}
}

// Service makes an mfa.Service that uses the table of this deployment. Its Keys, Mail and Bus are not set. A function that needs
// them sets them to what keyring.Of, email.Of and eventbus.Of return.
func (d *Deployment) Service() *mfa.Service {
	return &mfa.Service{
		Store:  d.Store(),
		Filter: d.filter(),
		Now:    d.now,
		Issuer: d.Issuer(),
		Sender: d.SenderName(),
		Log:    d.log,

		RelyingParty: d.relyingParty(),
	}
}

// SenderName reads the name that messages come from, and that pages show where an org has none of its own. It may be empty.
func (d *Deployment) SenderName() string {
	return d.Optional("COUNTERSIGN_SENDER_NAME", "one line of text", Line)
}

// Issuer reads the base URL of the deployment.
func (d *Deployment) Issuer() string {
	return d.Setting("COUNTERSIGN_ISSUER", "an https URL without a slash at its end", issuerURL)
}

// relyingParty describes the deployment to authenticators.
func (d *Deployment) relyingParty() mfa.RelyingParty {
	id := d.Optional("COUNTERSIGN_RP_ID", "a domain such as acme.example", Domain)
	return mfa.RelyingParty{ID: id, Name: cmp.Or(d.environment("COUNTERSIGN_SENDER_NAME"), "Countersign")}
}

// Passkeys returns the port that carries out WebAuthn ceremonies. It is nil for a deployment without an RP ID. make is
// passkey.New. It is a parameter so that a function that carries out no ceremonies doesn't link that package.
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

// Prepare makes Serve call get before the first call of the function, at the same time as everything else that is prepared. If
// get fails, its error is logged under the name in what, and the first call tries again.
func (d *Deployment) Prepare(what string, get func(context.Context) error) {
	d.ready = append(d.ready, readiness{what, get})
}

// RelatedOrigins returns the origins on other domains where the passkeys of the RP ID can be used. The list may be empty.
func (d *Deployment) RelatedOrigins() []string {
	list := d.Optional("COUNTERSIGN_RELATED_ORIGINS", "a list of https origins with at most five names of domains, separated by commas", relatedOrigins)
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// PublishedKeys returns a function that reads the public keys of the deployment, for api.Pages. It needs neither the key ring nor
// KMS.
func (d *Deployment) PublishedKeys() func(context.Context) ([]byte, error) {
	table := d.Store()
	d.Prepare("published keys", func(ctx context.Context) error { _, err := mfa.PublishedKeys(ctx, table); return err })
	return func(ctx context.Context) ([]byte, error) { return mfa.PublishedKeys(ctx, table) }
}

// filter returns what keeps the filter key of the deployment's bearers. Serve reads that key before the first call, too.
func (d *Deployment) filter() *apikey.FilterKeeper {
	if d.filters == nil {
		d.filters = &apikey.FilterKeeper{Store: d.Store()}
		d.Prepare("filter key", func(ctx context.Context) error { _, err := d.filters.Filter(ctx); return err })
	}
	return d.filters
}

// Uses returns what notes on which days API keys are used. The functions verify and recover don't note it, so that their first
// answers stay as fast as they are: a key that they get belongs to the client that began the challenge with challenge or enrol.
func (d *Deployment) Uses() *apikey.Uses { return &apikey.Uses{Store: d.Store(), Now: d.now} }

// Store returns the table of the deployment.
func (d *Deployment) Store() store.Store {
	if d.table == nil {
		name := d.tableName()
		client := dynamodb.NewFromConfig(d.Amazon("COUNTERSIGN_DYNAMODB_ENDPOINT"))
		o := client.Options()
		at, err := o.EndpointResolverV2.ResolveEndpoint(context.Background(), dynamodb.EndpointParameters{
			Region: &o.Region, UseFIPS: aws.Bool(bool(d.fips)), UseDualStack: aws.Bool(false), Endpoint: o.BaseEndpoint,
		})
		if err == nil {
			d.ConnectAhead(at.URI, 2)
		}
		d.table = dynamo.New(dynamo.Options{Client: client, Table: name, Now: d.now})
	}
	return d.table
}

// broken logs each setting that is missing or malformed, and returns the error with which every call is answered then. It returns
// nil if there is no such setting.
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
