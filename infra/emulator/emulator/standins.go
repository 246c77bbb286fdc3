package emulator

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

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

// dynamoDB is how a request says that it is for DynamoDB.
const dynamoDB = "DynamoDB_20120810"

// standIns stand for KMS, SES (API v2) and EventBridge: they speak their wire protocols, and remember what they are asked for.
type standIns struct {
	now func() time.Time

	mu       sync.Mutex
	wrapped  map[string]dataKey // by blob
	messages []machine.Message
	events   []json.RawMessage
}

func newStandIns(now func() time.Time) *standIns {
	return &standIns{now: now, wrapped: map[string]dataKey{}}
}

type dataKey struct {
	plain   []byte
	context map[string]string
}

func (s *standIns) outbox(to string, each func(json.RawMessage) error) error {
	s.mu.Lock()
	messages := s.messages[:len(s.messages):len(s.messages)]
	s.mu.Unlock()
	for _, m := range messages {
		if to != "" && m.To != to {
			continue
		}
		text, err := json.Marshal(m)
		if err == nil {
			err = each(text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *standIns) clearOutbox() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = nil
	return nil
}

func (s *standIns) bus(each func(json.RawMessage) error) error {
	s.mu.Lock()
	events := s.events[:len(s.events):len(s.events)]
	s.mu.Unlock()
	for _, e := range events {
		if err := each(e); err != nil {
			return err
		}
	}
	return nil
}

// find gives what answers a request with a path, and the target of faults that it is.
func (s *standIns) find(r *http.Request, path string, body []byte) (target string, answer func(http.ResponseWriter)) {
	service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch {
	case service == "TrentService":
		return machine.TargetKeys, func(w http.ResponseWriter) { s.kms(w, operation, body) }
	case service == "AWSEvents" && operation == "PutEvents":
		return machine.TargetEvents, func(w http.ResponseWriter) { s.putEvents(w, body) }
	case r.Method == http.MethodPost && path == "v2/email/outbound-emails":
		return machine.TargetEmail, func(w http.ResponseWriter) { s.sendEmail(w, body) }
	}
	return "", func(w http.ResponseWriter) { refuse(w, http.StatusBadRequest, "UnknownOperationException") }
}

// https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html and API_Decrypt.html
func (s *standIns) kms(w http.ResponseWriter, operation string, body []byte) {
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
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case said.KeyID != keyARN:
		refuse(w, http.StatusBadRequest, "NotFoundException")
	case said.Context["app"] != "countersign" || said.Context["purpose"] != "ring":
		refuse(w, http.StatusBadRequest, "AccessDeniedException") // by the key's policy
	case operation == "GenerateDataKey" && said.Spec == "AES_256":
		key, blob := make([]byte, 32), make([]byte, 48)
		rand.Read(key)
		rand.Read(blob)
		s.wrapped[string(blob)] = dataKey{key, said.Context}
		reply(w, object{"KeyId": keyARN, "Plaintext": key, "CiphertextBlob": blob})
	case operation == "Decrypt":
		key, there := s.wrapped[string(said.Blob)]
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
func (s *standIns) sendEmail(w http.ResponseWriter, body []byte) {
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
		At: s.now(), Channel: "email", To: said.Destination.ToAddresses[0], Subject: &sent.Subject.Data,
		Text: sent.Body.Text.Data, HTML: &sent.Body.HTML.Data, Code: codeIn(sent.Body.Text.Data),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
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
func (s *standIns) putEvents(w http.ResponseWriter, body []byte) {
	var said struct {
		Entries []struct{ Source, DetailType, Detail, EventBusName string }
	}
	if json.Unmarshal(body, &said) != nil || len(said.Entries) == 0 || len(said.Entries) > 10 {
		refuse(w, http.StatusBadRequest, "ValidationException")
		return
	}
	var results []object
	failed := 0
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range said.Entries {
		if e.EventBusName != busName || e.Source == "" || e.DetailType == "" || !json.Valid([]byte(e.Detail)) {
			failed++
			results = append(results, object{"ErrorCode": "InvalidArgument", "ErrorMessage": "not an event for this bus"})
			continue
		}
		s.events = append(s.events, json.RawMessage(e.Detail))
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
