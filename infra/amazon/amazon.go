// Package amazon stands in for Amazon's services on one machine. KMS, SES (API v2), SNS and End User Messaging (for text
// messages) and EventBridge are answered here, by the wire protocols that the services speak. Requests to DynamoDB are passed
// on to a DynamoDB Local. For Lambda there is a Runtime API, behind which the bootstrap of a function runs.
//
// What it keeps:
//
//   - It refuses a request that Amazon would refuse, and one that no function has a reason to make. Such a request is not
//     signed for its service, is for another operation, or has a body with a field that is missing, malformed or not known
//     here.
//   - KMS unwraps only what it has wrapped, for the one key, under the same encryption context.
//   - A message or an event that was accepted is kept, once.
//
// It refuses to check signatures against a secret, because the SAM CLI signs with credentials of its own. It also refuses to
// judge what a function may do, because the tests in the folder functions do that.
package amazon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// The names in the account.
const (
	Region    = "eu-west-1"
	AccountID = "123456789012"
	KeyARN    = "arn:aws:kms:" + Region + ":" + AccountID + ":key/11111111-2222-3333-4444-555555555555"
	Bus       = "countersign-local"
	Sender    = "sign-in@countersign.example" // the only address that SES sends from
)

// The services, as a Call names them.
const (
	DynamoDB         = "DynamoDB"
	KMS              = "KMS"
	SES              = "SES"
	SNS              = "SNS"
	EndUserMessaging = "EndUserMessaging" // SMS and Voice V2
	EventBridge      = "EventBridge"
)

// An Account is an http.Handler that answers as these services do. The zero value has no table.
type Account struct {
	// Table is the URL of the DynamoDB Local that requests to DynamoDB are passed on to. If it is empty, they are refused.
	Table string
	// Around is called for each well-formed request, in place of the answer. It can look at the request, change its body, call
	// answer, or answer in another way. If Around is nil, each request is answered.
	Around func(w http.ResponseWriter, c *Call, answer http.HandlerFunc)
	// Returned is called with each event of SES that a message came back, which is so for those to Amazon's mailbox simulator. It
	// may be nil.
	Returned func(event []byte)
	// Put is called with each event that the bus has accepted. It may be nil.
	Put func(Event)
	// Refused is called for each request that is not well formed, with the reason. It may be nil.
	Refused func(r *http.Request, why error)
	// Now returns the time that messages are kept with. If it is nil, that is time.Now.
	Now func() time.Time

	connect sync.Once
	client  *http.Client // for DynamoDB Local

	mu       sync.Mutex
	wrapped  map[string]wrapped // what KMS has wrapped, by the blob that it has answered
	messages []Message
	texts    []Text
	events   []Event
}

// A Call is one request of a function to one of the services.
type Call struct {
	Service   string // one of the services above
	Operation string // the name in the API reference of the service
	Prefix    string // the path before the service's own path, without slashes at its ends
	Body      []byte
	Form      url.Values    // the body of a request to SNS
	Request   *http.Request // its body has been read already
}

// A refusal is the error with which a service answers.
type refusal struct {
	status  int
	code    string // from the error codes of the service
	message string
}

func (r *refusal) Error() string { return r.code + ": " + r.message }

func refused(code, format string, a ...any) error {
	return &refusal{http.StatusBadRequest, code, fmt.Sprintf(format, a...)}
}

// mostBody is the length of the longest body that is read, in bytes.
const mostBody = 16 << 20

// ServeHTTP implements http.Handler.
func (a *Account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := readCall(w, r)
	if err != nil {
		if a.Refused != nil {
			a.Refused(r, err)
		}
		refuse(w, r, err)
		return
	}
	answer := func(w http.ResponseWriter, _ *http.Request) { a.answer(w, c) }
	if a.Around != nil {
		a.Around(w, c, answer)
		return
	}
	answer(w, r)
}

func (a *Account) answer(w http.ResponseWriter, c *Call) {
	var said object
	var err error
	switch c.Service {
	case DynamoDB:
		a.passOn(w, c)
		return
	case KMS:
		said, err = a.kms(c)
	case SES:
		said, err = a.sendEmail(c)
	case EventBridge:
		said, err = a.putEvents(c)
	case EndUserMessaging:
		said, err = a.sendTextMessage(c)
	case SNS:
		taken, err := a.publish(c)
		if err != nil {
			refuse(w, c.Request, err)
			return
		}
		writeXML(w, http.StatusOK, taken)
		return
	}
	if err != nil {
		refuse(w, c.Request, err)
		return
	}
	w.Header().Set("Content-Type", c.Request.Header.Get("Content-Type"))
	json.NewEncoder(w).Encode(said)
}

type object = map[string]any

// A protocol says what requests to a service look like.
type protocol struct {
	service     string
	signedFor   string // the name in the signature's scope
	contentType string
	target      string   // the header X-Amz-Target is this, followed by the operation; empty if there is no such header
	query       bool     // the operation is the parameter Action of the body, which is a form
	path        string   // the path after the prefix; empty where the SDK ends the path with the prefix
	operations  []string // the operations that are answered here; nil stands for all
}

// protocols are the protocols of all services.
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html, aws-restjson1-protocol.html and aws-query-protocol.html
var protocols = []protocol{
	{DynamoDB, "dynamodb", "application/x-amz-json-1.0", "DynamoDB_20120810.", false, "/", nil},
	{KMS, "kms", "application/x-amz-json-1.1", "TrentService.", false, "/", []string{"GenerateDataKey", "Decrypt"}},
	{EventBridge, "events", "application/x-amz-json-1.1", "AWSEvents.", false, "/", []string{"PutEvents"}},
	{EndUserMessaging, "sms-voice", "application/x-amz-json-1.0", "PinpointSMSVoiceV2.", false, "/", []string{"SendTextMessage"}},
	{SES, "ses", "application/json", "", false, "/v2/email/outbound-emails", []string{"SendEmail"}},
	{SNS, "sns", "application/x-www-form-urlencoded", "", true, "", []string{"Publish"}},
}

// signature matches the header of a signed request.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
var signature = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=[^/,\s]+/([0-9]{8})/([a-z0-9-]+)/([a-z-]+)/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}$`)

// readCall reads a request. It refuses one that is for none of the services, or that doesn't follow the protocol.
func readCall(w http.ResponseWriter, r *http.Request) (*Call, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if err != nil {
		return nil, refused("SerializationException", "The body can't be read.")
	}
	target := r.Header.Get("X-Amz-Target")
	at := slices.IndexFunc(protocols, func(p protocol) bool {
		if p.target == "" {
			return target == "" && p.query == isQuery(r) && strings.HasSuffix(r.URL.Path, p.path)
		}
		return strings.HasPrefix(target, p.target)
	})
	if at < 0 {
		return nil, refused("UnknownOperationException", "No service here has the target %q at %s.", target, r.URL.Path)
	}
	p := protocols[at]
	c := &Call{Service: p.service, Operation: strings.TrimPrefix(target, p.target), Body: body, Request: r}
	switch {
	case p.query:
		if c.Form, err = readForm(body); err != nil {
			return nil, err
		}
		c.Operation = c.Form.Get("Action")
	case p.target == "":
		c.Operation = p.operations[0]
	}
	c.Prefix = strings.Trim(strings.TrimSuffix(r.URL.Path, p.path), "/")
	switch {
	case r.Method != http.MethodPost || p.operations != nil && !slices.Contains(p.operations, c.Operation):
		return nil, refused("UnknownOperationException", "%s is called by %s %s, which is not known here.", p.service, r.Method, c.Operation)
	case r.Header.Get("Content-Type") != p.contentType:
		return nil, refused("SerializationException", "The content type is %q. It must be %s.", r.Header.Get("Content-Type"), p.contentType)
	}
	return c, p.signed(r)
}

// signed refuses a request that is not signed for its service, or whose signature leaves out a header that it must cover.
func (p protocol) signed(r *http.Request) error {
	found := signature.FindStringSubmatch(r.Header.Get("Authorization"))
	if found == nil {
		return &refusal{http.StatusForbidden, "MissingAuthenticationTokenException", "The request has no signature."}
	}
	date, service, headers := found[1], found[3], strings.Split(found[4], ";")
	if at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date")); err != nil || at.Format("20060102") != date || time.Since(at).Abs() > 5*time.Minute {
		return &refusal{http.StatusForbidden, "InvalidSignatureException", "The date of the request is not now, or differs from the date of the signature."}
	}
	want := []string{"host", "x-amz-date"}
	if p.target != "" {
		want = append(want, "x-amz-target")
	}
	for _, name := range want {
		if !slices.Contains(headers, name) {
			return &refusal{http.StatusForbidden, "InvalidSignatureException", "The signature doesn't cover the header " + name + "."}
		}
	}
	if service != p.signedFor {
		return &refusal{http.StatusForbidden, "InvalidSignatureException", "The signature is for " + service + ". It must be for " + p.signedFor + "."}
	}
	return nil
}

// read reads the body, and refuses fields that into lacks.
func (c *Call) read(into any) error {
	d := json.NewDecoder(bytes.NewReader(c.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return refused("SerializationException", "%v", err)
	}
	if d.More() {
		return refused("SerializationException", "There is more after the JSON in the body.")
	}
	return nil
}

func refuse(w http.ResponseWriter, r *http.Request, err error) {
	refused, ok := errors.AsType[*refusal](err)
	if !ok {
		refused = &refusal{http.StatusInternalServerError, "InternalServerError", err.Error()}
	}
	Refuse(w, r, refused.status, refused.code, refused.message)
}

// Refuse answers a request with an error, as the protocol of the request does. The error has a code, and a message for people.
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization
func Refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	if isQuery(r) {
		refuseQuery(w, status, code, message)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(object{"__type": code, "message": message})
}

// passOn passes a request on to DynamoDB Local.
func (a *Account) passOn(w http.ResponseWriter, c *Call) {
	if a.Table == "" {
		refuse(w, c.Request, refused("ResourceNotFoundException", "There is no table."))
		return
	}
	a.connect.Do(func() { a.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}} })
	on, err := http.NewRequestWithContext(c.Request.Context(), c.Request.Method, a.Table, bytes.NewReader(c.Body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	on.Header = c.Request.Header.Clone()
	on.Header.Del("Accept-Encoding")
	answer, err := a.client.Do(on)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	w.Write(said)
}
