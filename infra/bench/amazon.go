package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"countersign/infra/dynamolocal"
)

// What stands for an account of Amazon's.
const (
	region = "eu-west-1"
	keyARN = "arn:aws:kms:" + region + ":123456789012:key/11111111-2222-3333-4444-555555555555"
	sender = "sign-in@countersign.example"
)

// An amazon is what the functions find of Amazon, over TLS: DynamoDB Local behind one address, and recorders that answer as
// KMS, SES and EventBridge do behind another, as in a region each has a host of its own. It meters what is asked.
type amazon struct {
	local     string // URL of DynamoDB Local
	table     string // URL of the front before it
	services  string // URL of the recorders
	authority *authority
	closings  []func()
	client    *http.Client

	mu      sync.Mutex
	wrapped map[string][]byte // by blob
	codes   map[string]string // by address
	sizes   ledger
	metered usage
}

func openAmazon(ctx context.Context) (_ *amazon, err error) {
	a := &amazon{
		wrapped: map[string][]byte{}, sizes: ledger{}, codes: map[string]string{}, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
	}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if _, err := dynamolocal.Install(ctx, nil); err != nil {
		return nil, err
	}
	server, err := dynamolocal.Start(ctx, dynamolocal.Options{})
	if err != nil {
		return nil, err
	}
	a.closings = append(a.closings, server.Stop)
	a.local = server.Endpoint
	if a.authority, err = newAuthority(); err != nil {
		return nil, err
	}
	if a.table, err = a.listen(a.passOn); err != nil {
		return nil, err
	}
	a.services, err = a.listen(a.serve)
	return a, err
}

// listen answers over TLS with HTTP/1.1, which is all that Amazon's endpoints speak.
func (a *amazon) listen(answer http.HandlerFunc) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	web := &http.Server{Handler: answer, ErrorLog: log.New(io.Discard, "", 0)}
	go web.Serve(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{a.authority.served}, NextProtos: []string{"http/1.1"}}))
	a.closings = append(a.closings, func() { web.Close() })
	return "https://" + listener.Addr().String(), nil
}

func (a *amazon) close() {
	for i := len(a.closings) - 1; i >= 0; i-- {
		a.closings[i]()
	}
}

// passOn passes a request on to DynamoDB Local and meters it.
func (a *amazon) passOn(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	asked, err := http.NewRequestWithContext(r.Context(), r.Method, a.local, bytes.NewReader(metering(body)))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	for _, name := range []string{"X-Amz-Target", "Content-Type", "Authorization", "X-Amz-Date"} {
		asked.Header.Set(name, r.Header.Get(name))
	}
	said, err := a.client.Do(asked)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer said.Body.Close()
	answer, err := io.ReadAll(said.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	a.mu.Lock()
	a.metered.table(operation, body, said.StatusCode, answer, a.sizes)
	a.mu.Unlock()
	for _, name := range []string{"Content-Type", "X-Amzn-Requestid", "X-Amz-Crc32"} {
		w.Header().Set(name, said.Header.Get(name))
	}
	w.WriteHeader(said.StatusCode)
	w.Write(answer)
}

type object = map[string]any

// serve answers as KMS, SES and EventBridge.
func (a *amazon) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var said object
	switch target := r.Header.Get("X-Amz-Target"); {
	case strings.HasPrefix(target, "TrentService."):
		a.metered.kms++
		said, err = a.kms(target, body)
	case target == "AWSEvents.PutEvents":
		said, err = a.putEvents(body)
	case strings.HasSuffix(r.URL.Path, "/v2/email/outbound-emails"):
		a.metered.emails++
		said, err = a.sendEmail(body)
	default:
		err = fmt.Errorf("no operation %s %s", target, r.URL.Path)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		said = object{"__type": "ValidationException", "message": err.Error()}
	}
	json.NewEncoder(w).Encode(said)
}

// https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html and API_Decrypt.html
func (a *amazon) kms(target string, body []byte) (object, error) {
	var q struct{ CiphertextBlob []byte }
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	if target == "TrentService.GenerateDataKey" {
		key := make([]byte, 32)
		rand.Read(key)
		return object{"KeyId": keyARN, "Plaintext": key, "CiphertextBlob": a.wrap(key)}, nil
	}
	plain, there := a.wrapped[string(q.CiphertextBlob)]
	if !there {
		return nil, fmt.Errorf("what %s was asked to open was not wrapped here", target)
	}
	return object{"KeyId": keyARN, "Plaintext": plain}, nil
}

// wrap keeps something under a blob, as KMS would seal it.
func (a *amazon) wrap(plain []byte) (blob []byte) {
	blob = make([]byte, 184) // as long as those of KMS are
	rand.Read(blob)
	a.wrapped[string(blob)] = plain
	return blob
}

var sixDigits = regexp.MustCompile(`(?m)^[0-9]{6}$`)

// https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
func (a *amazon) sendEmail(body []byte) (object, error) {
	var q struct {
		Destination struct{ ToAddresses []string }
		Content     struct {
			Simple struct {
				Body struct{ Text struct{ Data string } }
			}
		}
	}
	if err := json.Unmarshal(body, &q); err != nil || len(q.Destination.ToAddresses) != 1 {
		return nil, fmt.Errorf("no message to one address: %w", err)
	}
	a.codes[q.Destination.ToAddresses[0]] = sixDigits.FindString(q.Content.Simple.Body.Text.Data)
	return object{"MessageId": rand.Text()}, nil
}

// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
func (a *amazon) putEvents(body []byte) (object, error) {
	var q struct{ Entries []struct{ Detail string } }
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	taken := []object{}
	for _, e := range q.Entries {
		a.metered.busEvents += (len(e.Detail) + 64<<10 - 1) / (64 << 10)
		taken = append(taken, object{"EventId": rand.Text()})
	}
	return object{"Entries": taken, "FailedEntryCount": 0}, nil
}

// code is the one sent last to an address.
func (a *amazon) code(address string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.codes[address]
}

// take gives what was metered since it was last called.
func (a *amazon) take() usage {
	a.mu.Lock()
	defer a.mu.Unlock()
	metered := a.metered
	a.metered = usage{}
	return metered
}
