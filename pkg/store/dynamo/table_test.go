package dynamo_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/pkg/store"
	"countersign/pkg/store/dynamo"
)

// newTable makes a table on DynamoDB Local for one test, and returns its name.
func newTable(t testing.TB) string {
	t.Helper()
	client := dynamo.LocalClient(dynamolocaltest.Endpoint(t))
	name := "test-" + string(store.NewVersion())
	if err := dynamo.CreateTable(t.Context(), client, name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context()) // because the context of the test has ended by then
		if _, err := client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name}); err != nil {
			t.Error(err)
		}
	})
	return name
}

// openThrough returns two stores on one new table. The requests of the first one go through transport.
func openThrough(t testing.TB, transport *faulty, now func() time.Time) (through, plain *dynamo.Table) {
	t.Helper()
	endpoint, name := dynamolocaltest.Endpoint(t), newTable(t)
	transport.table = name
	unreliable := dynamo.LocalClient(endpoint, func(o *dynamodb.Options) {
		o.HTTPClient = &http.Client{Transport: transport}
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		})
	})
	return dynamo.New(dynamo.Options{Client: unreliable, Table: name, Now: now}),
		dynamo.New(dynamo.Options{Client: dynamo.LocalClient(endpoint), Table: name, Now: now})
}

// A faulty transport sends requests to DynamoDB Local. It counts them, and a test can decide what happens to each of them.
type faulty struct {
	table  string // the name of the table
	mu     sync.Mutex
	asked  map[string]int // how many requests there were of each operation
	stale  int            // how many reads didn't ask to be consistent
	decide func(operation string, nth int) fate
}

// A fate says what happens to a request. With the zero fate, it is carried out and answered.
type fate struct {
	answer *http.Response // the answer, and DynamoDB isn't asked
	lost   bool           // it is carried out, and the answer is lost
}

func (f *faulty) RoundTrip(req *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(req.Header.Get("X-Amz-Target"), ".")
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Body = io.NopCloser(bytes.NewReader(body))
	f.mu.Lock()
	if (operation == "GetItem" || operation == "BatchGetItem" || operation == "Query") && !bytes.Contains(body, []byte(`"ConsistentRead":true`)) {
		f.stale++
	}
	if f.asked == nil {
		f.asked = make(map[string]int)
	}
	f.asked[operation]++
	var fate fate
	if f.decide != nil {
		fate = f.decide(operation, f.asked[operation])
	}
	f.mu.Unlock()
	if fate.answer != nil {
		return fate.answer, nil
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || !fate.lost {
		return res, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return nil, err
	}
	return nil, io.ErrUnexpectedEOF
}

// count returns how many requests there were of an operation.
func (f *faulty) count(operation string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[operation]
}

// total returns how many requests there were.
func (f *faulty) total() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, asked := range f.asked {
		n += asked
	}
	return n
}

// refuse returns an answer of DynamoDB with an error.
func refuse(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)),
	}
}

// A clock moves only when a test moves it.
type clock struct{ unixNano atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.unixNano.Store(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.unixNano.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.unixNano.Add(int64(d)) }
