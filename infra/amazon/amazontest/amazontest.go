// Package amazontest gives tests what the process of a function needs on one machine: an environment, a clock that the test can
// move, a log, the stand-ins of package amazon and, if the test wants one, a table.
//
// What it keeps: every request to the stand-ins is recorded, and a request that is not well formed fails the test.
package amazontest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"countersign/infra/amazon"
	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/pkg/store/dynamo"
)

// A World is the surroundings of the processes of one deployment. The test may change Env and At, and read Log, between calls.
type World struct {
	*amazon.Account
	URL string            // the URL of the stand-ins
	Env map[string]string // the environment, which has every required setting
	At  time.Time
	Log Log

	mu      sync.Mutex
	asked   []Asked
	answers Answers
	broken  map[string]bool // the services that refuse every request
}

// An Asked is a request that the stand-ins got.
type Asked struct {
	*amazon.Call
	N int // the number of the request, 1 for the first
}

// Answers answers a request instead of the stand-ins, with a status and a body. If the status is 0, the stand-ins answer. If it
// is Lose, the request gets no answer.
type Answers func(Asked) (status int, body string)

// Lose is a status for a request that gets no answer.
const Lose = -1

// New makes a world without a table. Nothing listens at the URL that its environment has for the table.
func New(tb testing.TB) *World {
	tb.Helper()
	w := &World{Account: &amazon.Account{}, At: time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC), broken: map[string]bool{}}
	w.Around = w.around
	w.Refused = func(r *http.Request, why error) { tb.Errorf("%s: a call of Amazon is refused: %v", r.URL.Path, why) }
	server := httptest.NewServer(w.Account)
	tb.Cleanup(server.Close)
	w.URL = server.URL
	w.Env = map[string]string{
		"AWS_REGION": amazon.Region, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "se/cr+et", "AWS_SESSION_TOKEN": "tok/en==",
		"AWS_SAM_LOCAL":     "true",
		"COUNTERSIGN_TABLE": "countersign", "COUNTERSIGN_KMS_KEY": amazon.KeyARN, "COUNTERSIGN_ISSUER": "https://mfa.example.com",
		"COUNTERSIGN_SENDER": amazon.Sender, "COUNTERSIGN_BUS": amazon.Bus,
		"COUNTERSIGN_DYNAMODB_ENDPOINT": ClosedPort(tb), "COUNTERSIGN_KMS_ENDPOINT": w.URL,
		"COUNTERSIGN_SES_ENDPOINT": w.URL, "COUNTERSIGN_EVENTBRIDGE_ENDPOINT": w.URL,
		"COUNTERSIGN_SNS_ENDPOINT": w.URL, "COUNTERSIGN_SMS_VOICE_ENDPOINT": w.URL,
	}
	return w
}

// NewWithTable makes a world with a table of its own on DynamoDB Local. If none is installed, the test is skipped, or
// fails if CI is "true".
func NewWithTable(tb testing.TB) *World {
	tb.Helper()
	endpoint := dynamolocaltest.Endpoint(tb)
	w := New(tb)
	client, name := dynamo.LocalClient(endpoint), "test-"+rand.Text()
	if err := dynamo.CreateTable(tb.Context(), client, name); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx := context.WithoutCancel(tb.Context()) // the context of the test is cancelled by now
		if _, err := client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name}); err != nil {
			tb.Error(err)
		}
	})
	w.Env["COUNTERSIGN_TABLE"], w.Env["COUNTERSIGN_DYNAMODB_ENDPOINT"] = name, endpoint
	return w
}

// Getenv returns a variable of Env.
func (w *World) Getenv(name string) string { return w.Env[name] }

// Now returns At.
func (w *World) Now() time.Time { return w.At }

// Answer sets that by answers the requests from now on, or the stand-ins do if by is nil. It forgets the earlier requests.
func (w *World) Answer(by Answers) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers, w.asked = by, nil
}

// Break makes one of the services of package amazon refuse every request, or answer again.
func (w *World) Break(service string, broken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken[service] = broken
}

func (w *World) around(to http.ResponseWriter, c *amazon.Call, answer http.HandlerFunc) {
	w.mu.Lock()
	asked := Asked{c, len(w.asked) + 1}
	w.asked = append(w.asked, asked)
	by, broken := w.answers, w.broken[c.Service]
	w.mu.Unlock()
	status, body := 0, ""
	switch {
	case broken:
		status, body = http.StatusBadRequest, `{"__type":"NotFoundException","message":"Key 'arn:aws:kms:secret' does not exist"}`
	case by != nil:
		status, body = by(asked)
	}
	switch status {
	case 0:
		answer(to, c.Request)
	case Lose:
		panic(http.ErrAbortHandler)
	default:
		to.WriteHeader(status)
		io.WriteString(to, body)
	}
}

// Requests returns the requests that the stand-ins got, in order.
func (w *World) Requests() []Asked {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

// Operations returns the names of the operations that were requested, in order and separated by spaces.
func (w *World) Operations() string {
	var names []string
	for _, q := range w.Requests() {
		names = append(names, q.Operation)
	}
	return strings.Join(names, " ")
}

// ClosedPort returns a URL on loopback where nothing listens.
func ClosedPort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprintf("http://%s", l.Addr())
}

// A Log keeps what is written to it.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns what was written since the last Reset.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Reset forgets what was written.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}
