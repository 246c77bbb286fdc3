package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"countersign/pkg/activity"
	"countersign/pkg/mfa"
	"countersign/pkg/store"
	"countersign/pkg/store/dynamo"
)

// A publishing stands in for Lambda, with a function publish that runs the code of publish. It passes all other requests on.
type publishing struct {
	t      *testing.T
	table  store.Store
	other  http.RoundTripper
	calls  int
	events []activity.Event
	answer string // if it isn't empty, the function publishes nothing and returns this answer
	status int
}

func (p *publishing) PutEvents(_ context.Context, events []activity.Event) error {
	p.events = append(p.events, events...)
	return nil
}

func (p *publishing) RoundTrip(q *http.Request) (*http.Response, error) {
	if q.URL.Host != "lambda.eu-west-1.amazonaws.com" {
		return p.other.RoundTrip(q)
	}
	p.calls++
	if q.Method != http.MethodPost || q.URL.Path != "/2015-03-31/functions/countersign-publish/invocations" ||
		!strings.HasPrefix(q.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ") || !strings.Contains(q.Header.Get("Authorization"), "/lambda/") {
		p.t.Errorf("got %s %s, signed %q", q.Method, q.URL.Path, q.Header.Get("Authorization"))
	}
	res := httptest.NewRecorder()
	if p.answer != "" {
		if p.status == 0 {
			res.Header().Set("X-Amz-Function-Error", "Unhandled")
			p.status = 200
		}
		res.WriteHeader(p.status)
		io.WriteString(res, p.answer)
		return res.Result(), nil
	}
	var batch struct {
		Records []struct {
			Change struct {
				NewImage map[string]struct {
					S string
					B []byte
				}
			} `json:"dynamodb"`
		}
	}
	if err := json.NewDecoder(q.Body).Decode(&batch); err != nil {
		p.t.Error(err)
	}
	var records []store.Record
	for _, r := range batch.Records {
		image := map[string]types.AttributeValue{}
		for name, v := range r.Change.NewImage {
			image[name] = &types.AttributeValueMemberS{Value: v.S}
			if v.B != nil {
				image[name] = &types.AttributeValueMemberB{Value: v.B}
			}
		}
		if record, ok := dynamo.Decode(image); ok {
			records = append(records, record)
		}
	}
	if err := (&mfa.Service{Store: p.table, Bus: p, Now: newOperator().now}).Publish(q.Context(), records); err != nil {
		p.t.Error(err)
	}
	io.WriteString(res, `{"batchItemFailures":[]}`)
	return res.Result(), nil
}

// giveUp writes an object as Lambda does when it gives a batch up, and returns its path.
func giveUp(t *testing.T, folder, sequence, payload string) string {
	t.Helper()
	object, err := json.Marshal(map[string]any{
		"requestContext":     map[string]any{"requestId": "316aa6d0", "functionArn": "arn:aws:lambda:eu-west-1:123456789012:function:publish", "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 11},
		"responseContext":    map[string]any{"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
		"version":            "1.0",
		"timestamp":          "2026-11-22T10:13:49.717Z",
		"DDBStreamBatchInfo": map[string]any{"shardId": "shardId-00000001573689847184-864758bb", "startSequenceNumber": sequence, "batchSize": 1},
		"payload":            payload,
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "aws", "lambda", "1cb0", "shardId-0001", "2026", "11", "22", "2026-11-22T10.13.49-"+sequence)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, object, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func newPublishing(t *testing.T) (*patient, *publishing, []string) {
	t.Helper()
	p := newPatient(t)
	f := &publishing{t: t, table: p.db, other: p.operator.amazon.Transport}
	p.operator.amazon = &http.Client{Transport: f}
	return p, f, []string{"replay", "--table", p.table, "--region", "eu-west-1", "--function", "countersign-publish"}
}

func TestWhatPublishGaveUpIsHandedToItAgainOnce(t *testing.T) {
	p, f, args := newPublishing(t)
	payload, err := os.ReadFile("../../events/publish.json")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	giveUp(t, folder, "900", string(payload))
	for i, want := range []string{"1 batches were handed to countersign-publish again, and 0 had been before.", "0 batches were handed to countersign-publish again, and 1 had been before."} {
		p.must(t, append(args, folder)...)
		if !strings.Contains(p.said, want) {
			t.Errorf("run %d: got %s, want %q", i+1, p.said, want)
		}
	}
	if f.calls != 1 || len(f.events) == 0 || f.events[0].Type != mfa.PolicyChanged {
		t.Errorf("got %d calls and the events %+v, want one call and the events of the batch", f.calls, f.events)
	}
	again := t.TempDir() // another copy of the same object
	giveUp(t, again, "900", string(payload))
	if p.must(t, append(args, again)...); f.calls != 1 {
		t.Errorf("got %d calls, want that a copy of the object is known", f.calls)
	}
}

func TestWhatIsNotTakenIsHandedOnByTheNextRun(t *testing.T) {
	p, f, args := newPublishing(t)
	folder := t.TempDir()
	giveUp(t, folder, "10000", `{"Records":[{"eventName":"REMOVE"}]}`) // a longer number is a later one
	first := giveUp(t, folder, "9999", `{"Records":[{"eventName":"REMOVE","n":1}]}`)
	for _, bad := range []struct {
		answer string
		status int
		want   string
	}{
		{`{"errorMessage":"none of the batch was taken"}`, 0, "could not hand the records on"},
		{`{"batchItemFailures":[{"itemIdentifier":"9999"}]}`, 200, "could not hand the records on"},
		{`{"Message":"secret"}`, 403, "the call was refused by Lambda (403"},
		{`{`, 200, "could not hand the records on"},
	} {
		f.answer, f.status, f.calls = bad.answer, bad.status, 0
		if code := p.run(t, append(args, folder)...); code != 1 || f.calls != 1 || !strings.Contains(p.told, bad.want) || !strings.Contains(p.told, first) || strings.Contains(p.told, "secret") {
			t.Errorf("%s: got %d after %d calls, and %s, want %q about %s", bad.answer, code, f.calls, p.told, bad.want, first)
		}
	}
	f.answer, f.calls = "", 0
	if p.must(t, append(args, folder)...); f.calls != 2 {
		t.Errorf("got %d calls, want both batches", f.calls)
	}
}

func TestAFileThatLambdaHasNotWrittenIsNotHandedOn(t *testing.T) {
	p, f, args := newPublishing(t)
	for _, text := range []string{"", "{}", `{"payload":"x"}`, `{"payload":"{\"Records\":[]}"}`} {
		folder := t.TempDir()
		giveUp(t, folder, "1", `{"Records":[{}]}`)
		if err := os.WriteFile(filepath.Join(folder, "zz"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code := p.run(t, append(args, folder)...); code != 1 || f.calls != 0 || !strings.Contains(p.told, "is not an object that Lambda has written") {
			t.Errorf("%q: got %d after %d calls, and %s", text, code, f.calls, p.told)
		}
	}
	if code := p.run(t, "replay", "--local", newFolder(t), "--function", "f", t.TempDir()); code != 2 {
		t.Errorf("for a folder of a local server: got %d, want 2", code)
	}
}
