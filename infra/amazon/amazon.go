// Package amazon stands on one machine for what the functions find of Amazon: KMS, SES (API v2) and EventBridge by the wire
// protocols that they speak, DynamoDB by a DynamoDB Local that requests are passed on to, and Lambda by a Runtime API with a
// function's bootstrap behind it.
//
// What it keeps:
//
//   - A request is refused if Amazon would refuse it, or if no function has a reason to make it: one that is not signed for
//     the service it is sent to, one for another operation, and one whose body has a field that is missing, malformed or not
//     known here.
//   - What KMS wrapped is unwrapped under the same encryption context only, and only for the template's key.
//   - A message or an event that was answered as taken is remembered, once.
//
// What it refuses to do: check signatures against a secret, since the SAM command line signs with credentials of its own;
// and judge what a function may do, which the tests of functions/ do.
package amazon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// What stands for an account of Amazon's.
const (
	Region    = "eu-west-1"
	AccountID = "123456789012"
	KeyARN    = "arn:aws:kms:" + Region + ":" + AccountID + ":key/11111111-2222-3333-4444-555555555555"
	Bus       = "countersign-local"
	Sender    = "sign-in@countersign.example" // the one address that SES sends from
)

// Services, as a Call names them.
const (
	DynamoDB    = "DynamoDB"
	KMS         = "KMS"
	SES         = "SES"
	EventBridge = "EventBridge"
)

// An Account is an http.Handler that answers as these services do. Its zero value has no table.
type Account struct {
	// Table is the URL of the DynamoDB Local that requests to DynamoDB are passed on to. Empty: they are refused.
	Table string
	// Around is called in the place of answering a request that is well formed, so that it may look at it, change its body,
	// or answer it otherwise; answer answers it. Nil: each is answered.
	Around func(w http.ResponseWriter, c *Call, answer http.HandlerFunc)
	// Refused is told of each request that is not well formed, and why. Nil: nobody is told.
	Refused func(r *http.Request, why error)
	// Now tells when a message was taken. Nil: time.Now.
	Now func() time.Time

	connect sync.Once
	client  *http.Client // of DynamoDB Local

	mu       sync.Mutex
	wrapped  map[string]wrapped // by blob
	messages []Message
	events   []Event
}

// A Call is one request of a function's to one of the services.
type Call struct {
	Service   string // one of those above
	Operation string // as the service's API reference names it
	Prefix    string // what stands in the path before the service's own, without slashes at its ends
	Body      []byte
	Request   *http.Request // whose body has been read
}

// A refusal is what a service answers instead of an answer.
type refusal struct {
	status  int
	code    string // of the service's list
	message string
}

func (r *refusal) Error() string { return r.code + ": " + r.message }

func refused(code, format string, a ...any) error {
	return &refusal{http.StatusBadRequest, code, fmt.Sprintf(format, a...)}
}

// mostBody bounds a request, in bytes.
const mostBody = 16 << 20

// ServeHTTP implements http.Handler.
func (a *Account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := readCall(w, r)
	if err != nil {
		if a.Refused != nil {
			a.Refused(r, err)
		}
		refuse(w, err)
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
	}
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", c.Request.Header.Get("Content-Type"))
	json.NewEncoder(w).Encode(said)
}

type object = map[string]any

// A protocol is how requests for a service look.
type protocol struct {
	service     string
	signedFor   string // the name in the signature's scope
	contentType string
	target      string   // before the operation's name in X-Amz-Target; empty: it has none
	path        string   // after the prefix
	operations  []string // nil: all
}

// protocols are those that are spoken here.
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html and aws-restjson1-protocol.html
var protocols = []protocol{
	{DynamoDB, "dynamodb", "application/x-amz-json-1.0", "DynamoDB_20120810.", "/", nil},
	{KMS, "kms", "application/x-amz-json-1.1", "TrentService.", "/", []string{"GenerateDataKey", "Decrypt"}},
	{EventBridge, "events", "application/x-amz-json-1.1", "AWSEvents.", "/", []string{"PutEvents"}},
	{SES, "ses", "application/json", "", "/v2/email/outbound-emails", []string{"SendEmail"}},
}

// signature is how a request is signed. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
var signature = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=[^/,\s]+/([0-9]{8})/([a-z0-9-]+)/([a-z]+)/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}$`)

// readCall reads a request, and refuses one that is for none of the services, or not as their protocols have it.
func readCall(w http.ResponseWriter, r *http.Request) (*Call, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if err != nil {
		return nil, refused("SerializationException", "the body can't be read")
	}
	target := r.Header.Get("X-Amz-Target")
	at := slices.IndexFunc(protocols, func(p protocol) bool {
		if p.target == "" {
			return target == "" && strings.HasSuffix(r.URL.Path, p.path)
		}
		return strings.HasPrefix(target, p.target)
	})
	if at < 0 {
		return nil, refused("UnknownOperationException", "no service here has %q at %s", target, r.URL.Path)
	}
	p := protocols[at]
	c := &Call{Service: p.service, Operation: strings.TrimPrefix(target, p.target), Body: body, Request: r}
	if p.target == "" {
		c.Operation = p.operations[0]
	}
	c.Prefix = strings.Trim(strings.TrimSuffix(r.URL.Path, p.path), "/")
	switch {
	case r.Method != http.MethodPost || p.operations != nil && !slices.Contains(p.operations, c.Operation):
		return nil, refused("UnknownOperationException", "%s is called by %s %s, which this doesn't know", p.service, r.Method, c.Operation)
	case r.Header.Get("Content-Type") != p.contentType:
		return nil, refused("SerializationException", "the content type is %q, want %s", r.Header.Get("Content-Type"), p.contentType)
	}
	return c, p.signed(r)
}

// signed refuses a request that is not signed for its service, or that is signed without what says which request it is.
func (p protocol) signed(r *http.Request) error {
	found := signature.FindStringSubmatch(r.Header.Get("Authorization"))
	if found == nil {
		return &refusal{http.StatusForbidden, "MissingAuthenticationTokenException", "the request has no signature"}
	}
	date, service, headers := found[1], found[3], strings.Split(found[4], ";")
	if at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date")); err != nil || at.Format("20060102") != date || time.Since(at).Abs() > 5*time.Minute {
		return &refusal{http.StatusForbidden, "InvalidSignatureException", "the date is not now, or another than the signature's"}
	}
	want := []string{"host", "x-amz-date"}
	if p.target != "" {
		want = append(want, "x-amz-target")
	}
	for _, name := range want {
		if !slices.Contains(headers, name) {
			return &refusal{http.StatusForbidden, "InvalidSignatureException", "the signature is not for " + name}
		}
	}
	if service != p.signedFor {
		return &refusal{http.StatusForbidden, "InvalidSignatureException", "the signature is for " + service + ", want " + p.signedFor}
	}
	return nil
}

// read reads a body strictly.
func (c *Call) read(into any) error {
	d := json.NewDecoder(bytes.NewReader(c.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return refused("SerializationException", "%v", err)
	}
	if d.More() {
		return refused("SerializationException", "something follows the body")
	}
	return nil
}

func refuse(w http.ResponseWriter, err error) {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		r = &refusal{http.StatusInternalServerError, "InternalServerError", err.Error()}
	}
	Refuse(w, r.status, r.code, r.message)
}

// Refuse answers an error as the AWS JSON protocols do, with a code and a text for people.
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization
func Refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(object{"__type": code, "message": message})
}

// passOn passes a request on to DynamoDB Local.
func (a *Account) passOn(w http.ResponseWriter, c *Call) {
	if a.Table == "" {
		refuse(w, refused("ResourceNotFoundException", "there is no table"))
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
