package emulator

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"countersign/infra/local/machine"
)

// What stands for an account of Amazon's.
const (
	region    = "eu-west-1"
	accountID = "123456789012"
	keyARN    = "arn:aws:kms:" + region + ":" + accountID + ":key/11111111-2222-3333-4444-555555555555"
	busName   = "countersign-local"
	sender    = "sign-in@countersign.example"
)

// amazon is what the functions find of Amazon: DynamoDB Local behind a door where faults can befall it, and recorders that
// speak the wire protocols of KMS, SES (API v2) and EventBridge. Each process has a path of its own to it, so that it is
// known who asks: /STEP-NUMBER/.
type amazon struct {
	e      *Emulator
	dynamo string // URL of DynamoDB Local

	mu       sync.Mutex
	wrapped  map[string]dataKey // by blob
	messages []machine.Message
	events   []json.RawMessage
}

type dataKey struct {
	plain   []byte
	context map[string]string
}

func (a *amazon) outbox() []machine.Message {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.messages)
}

func (a *amazon) clearOutbox() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.messages = nil
	return nil
}

func (a *amazon) bus() []json.RawMessage {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.events)
}

// ServeHTTP implements http.Handler.
func (a *amazon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	p, at := a.e.placeOf(name)
	body, err := io.ReadAll(r.Body)
	if err != nil || at == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	c := awsCall{step: p.f.step, place: at, operation: operation, body: body}
	at.mu.Lock()
	during := at.events
	at.mu.Unlock()
	sum := sha256.Sum256(append(fmt.Appendf(nil, "%s\n%d\n%s\n%s\n", name, during, r.Header.Get("Amz-Sdk-Invocation-Id"), operation), body...))
	c.id = hex.EncodeToString(sum[:])
	switch {
	case service == "DynamoDB_20120810":
		c.target = machine.TargetStore
		if bytes.Contains(body, []byte(`{"S":"ring"}`)) {
			c.target = machine.TargetKeys
		}
		a.befall(w, r, c, func(w http.ResponseWriter) { a.table(w, r, p, c) })
	case service == "TrentService":
		c.target = machine.TargetKeys
		a.befall(w, r, c, func(w http.ResponseWriter) { a.kms(w, operation, body) })
	case service == "AWSEvents" && operation == "PutEvents":
		c.target = machine.TargetEvents
		a.befall(w, r, c, func(w http.ResponseWriter) { a.putEvents(w, body) })
	case r.Method == http.MethodPost && rest == "v2/email/outbound-emails":
		c.target = machine.TargetEmail
		a.befall(w, r, c, func(w http.ResponseWriter) { a.sendEmail(w, body) })
	default:
		refuse(w, http.StatusBadRequest, "UnknownOperationException")
	}
}

// An awsCall is one request of a function's to Amazon.
type awsCall struct {
	step      string
	place     *place
	target    string // of faults
	operation string
	id        string // the same for each attempt
	body      []byte
}

func (c awsCall) commits() bool {
	switch c.operation {
	case "PutItem", "DeleteItem", "TransactWriteItems":
		return true
	}
	return false
}

// table passes a request on to DynamoDB Local, unless a death is due.
func (a *amazon) table(w http.ResponseWriter, r *http.Request, p *pool, c awsCall) {
	if c.commits() && c.target == machine.TargetStore && a.e.deaths.take(c.step, BeforeCommit) {
		a.die(c)
	}
	on, err := http.NewRequestWithContext(r.Context(), r.Method, a.dynamo, bytes.NewReader(c.body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	on.Header = r.Header.Clone()
	on.Header.Del("Accept-Encoding")
	answer, err := a.e.client.Do(on)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if c.commits() {
		select {
		case a.e.trigger.wake <- struct{}{}:
		default: // it is awake
		}
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if c.commits() && c.target == machine.TargetStore && a.e.deaths.take(c.step, AfterCommit) {
		a.die(c)
	}
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	w.Write(said)
}

// die kills the process that asks, which gets no answer.
func (a *amazon) die(c awsCall) {
	c.place.mu.Lock()
	running := c.place.process
	c.place.mu.Unlock()
	if running != nil {
		running.kill()
	}
	panic(http.ErrAbortHandler)
}

// https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html and API_Decrypt.html
func (a *amazon) kms(w http.ResponseWriter, operation string, body []byte) {
	var said struct {
		KeyID   string            `json:"KeyId"`
		Spec    string            `json:"KeySpec"`
		Blob    []byte            `json:"CiphertextBlob"`
		Context map[string]string `json:"EncryptionContext"`
	}
	if json.Unmarshal(body, &said) != nil {
		refuse(w, http.StatusBadRequest, "SerializationException")
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case said.KeyID != keyARN:
		refuse(w, http.StatusBadRequest, "NotFoundException")
	case said.Context["app"] != "countersign" || said.Context["purpose"] != "ring":
		refuse(w, http.StatusBadRequest, "AccessDeniedException") // by the key's policy
	case operation == "GenerateDataKey" && said.Spec == "AES_256":
		key, blob := make([]byte, 32), make([]byte, 48)
		rand.Read(key)
		rand.Read(blob)
		a.wrapped[string(blob)] = dataKey{key, said.Context}
		reply(w, object{"KeyId": keyARN, "Plaintext": key, "CiphertextBlob": blob})
	case operation == "Decrypt":
		key, there := a.wrapped[string(said.Blob)]
		if !there || !maps.Equal(key.context, said.Context) {
			refuse(w, http.StatusBadRequest, "InvalidCiphertextException")
			return
		}
		reply(w, object{"KeyId": keyARN, "Plaintext": key.plain})
	default:
		refuse(w, http.StatusBadRequest, "ValidationException")
	}
}

// https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
func (a *amazon) sendEmail(w http.ResponseWriter, body []byte) {
	type content struct{ Data string }
	var said struct {
		FromEmailAddress string
		Destination      struct{ ToAddresses []string }
		Content          struct {
			Simple struct {
				Subject content
				Body    struct{ Text, HTML content }
			}
		}
	}
	if json.Unmarshal(body, &said) != nil || len(said.Destination.ToAddresses) != 1 {
		refuse(w, http.StatusBadRequest, "BadRequestException")
		return
	}
	if !strings.HasSuffix(said.FromEmailAddress, "<"+sender+">") {
		refuse(w, http.StatusBadRequest, "MailFromDomainNotVerifiedException")
		return
	}
	sent := said.Content.Simple
	m := machine.Message{
		At: a.e.now(), Channel: "email", To: said.Destination.ToAddresses[0], Subject: &sent.Subject.Data,
		Text: sent.Body.Text.Data, HTML: &sent.Body.HTML.Data, Code: codeIn(sent.Body.Text.Data),
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.messages = append(a.messages, m)
	reply(w, object{"MessageId": rand.Text()})
}

var sixDigits = regexp.MustCompile(`(?m)^[0-9]{6}$`)

// codeIn is the code that a message carries: the only line of six digits. Nil: none.
func codeIn(text string) *string {
	if found := sixDigits.FindAllString(text, -1); len(found) == 1 {
		return &found[0]
	}
	return nil
}

// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
func (a *amazon) putEvents(w http.ResponseWriter, body []byte) {
	var said struct {
		Entries []struct{ Source, DetailType, Detail, EventBusName string }
	}
	if json.Unmarshal(body, &said) != nil || len(said.Entries) == 0 || len(said.Entries) > 10 {
		refuse(w, http.StatusBadRequest, "ValidationException")
		return
	}
	var results []object
	failed := 0
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range said.Entries {
		if e.EventBusName != busName || e.Source == "" || e.DetailType == "" || !json.Valid([]byte(e.Detail)) {
			failed++
			results = append(results, object{"ErrorCode": "InvalidArgument", "ErrorMessage": "not an event for this bus"})
			continue
		}
		a.events = append(a.events, json.RawMessage(e.Detail))
		results = append(results, object{"EventId": rand.Text()})
	}
	reply(w, object{"Entries": results, "FailedEntryCount": failed})
}

func reply(w http.ResponseWriter, said object) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	json.NewEncoder(w).Encode(said)
}

// refuse answers an error as the AWS JSON protocols do.
func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"__type":%q}`, code)
}
