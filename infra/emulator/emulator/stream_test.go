package emulator_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"countersign/infra/emulator/emulator"
	"countersign/pkg/mfa"
	"countersign/pkg/store"
	"countersign/pkg/store/dynamo"
)

// A streamed is the part of a record that tests look at.
type streamed struct {
	DynamoDB struct {
		Keys     map[string]struct{ S string }
		NewImage map[string]struct {
			S string
			B []byte
		}
	} `json:"dynamodb"`
}

func look(t *testing.T, record json.RawMessage) (s streamed) {
	t.Helper()
	if err := json.Unmarshal(record, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// key returns the key of the record's item.
func (s streamed) key() string { return s.DynamoDB.Keys["pk"].S + " " + s.DynamoDB.Keys["sk"].S }

// ids returns the ids of the events in a record. There are none if they can't be read.
func (s streamed) ids() (all []string) {
	text, err := mfa.ShowEvents(store.Record{Events: s.DynamoDB.NewImage["e"].B})
	if err != nil {
		return nil
	}
	var batch struct{ Events []struct{ ID string } }
	json.Unmarshal(text, &batch)
	for _, e := range batch.Events {
		all = append(all, e.ID)
	}
	return all
}

// deliver gives publish the records that wait, in the batches that arrange makes, and returns the ids of the events in them.
func (w *world) deliver(t *testing.T, arrange func([]json.RawMessage) [][]json.RawMessage) (ids []string) {
	t.Helper()
	err := w.Deliver(t.Context(), func(waiting []json.RawMessage) [][]json.RawMessage {
		for _, r := range waiting {
			if len(look(t, r).DynamoDB.NewImage["e"].B) == 0 {
				t.Errorf("a record that the filter keeps back: %s", r)
			}
			ids = append(ids, look(t, r).ids()...)
		}
		return arrange(waiting)
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func atOnce(waiting []json.RawMessage) [][]json.RawMessage { return [][]json.RawMessage{waiting} }

// wantHandedOn fails the test unless these events, and no others, are in the activities of orgs, each exactly once, and each was
// put on the bus at least once. The pages of the activities must pass the check of their chains.
func (w *world) wantHandedOn(t *testing.T, ids []string, orgs ...string) {
	t.Helper()
	shown := map[string]int{}
	service := w.service(t)
	for _, org := range orgs {
		if pages, err := service.CheckActivity(t.Context(), org); err != nil || pages == 0 {
			t.Errorf("%s: got %d pages, %v, want pages that verify", org, pages, err)
		}
		for cursor := ""; ; {
			a := w.call("GET", "/v1/orgs/"+org+"/activity"+cursor, nil).want(t, 200, "")
			items, _ := a.doc["items"].([]any)
			for _, item := range items {
				shown[item.(doc)["id"].(string)]++
			}
			if cursor = a.text("cursor"); cursor == "" {
				break
			}
			cursor = "?cursor=" + url.QueryEscape(cursor)
		}
	}
	if len(ids) == 0 {
		t.Error("there were no events")
	}
	put := w.onBus(t)
	for _, id := range ids {
		if shown[id] != 1 {
			t.Errorf("%s: shown %d times, want once", id, shown[id])
		}
		if put[id] == 0 {
			t.Errorf("%s: not on the bus", id)
		}
	}
	if len(shown) != len(ids) {
		t.Errorf("got %d events in the activities, want %d", len(shown), len(ids))
	}
}

// onBus counts how often each event was put on the bus.
func (w *world) onBus(t *testing.T) map[string]int {
	t.Helper()
	put := map[string]int{}
	all, _ := w.call("GET", "/local/events", nil).want(t, 200, "").doc["events"].([]any)
	for _, e := range all {
		put[e.(doc)["id"].(string)]++
	}
	return put
}

// service returns a service on the table, for what the test does itself.
func (w *world) service(t *testing.T) *mfa.Service {
	return &mfa.Service{Store: dynamo.New(dynamo.Options{Client: w.admin, Table: w.Table(), Now: time.Now}), Now: time.Now}
}

// signIn signs a user in from a new browser, after a wrong answer.
func (w *world) signIn(t *testing.T, user string) {
	t.Helper()
	id := w.start(t, user)
	code := w.code(t, user)
	w.verify(id, wrong(code)).want(t, 422, "wrong_code")
	w.verify(id, code).want(t, 200, "trust_token")
}

// poison puts an item into the table whose events can't be read.
func (w *world) poison(t *testing.T, name string) {
	t.Helper()
	item := map[string]types.AttributeValue{}
	for attribute, value := range map[string]string{"pk": "u#" + name, "sk": "guard", "v": name} {
		item[attribute] = &types.AttributeValueMemberS{Value: value}
	}
	item["e"] = &types.AttributeValueMemberB{Value: []byte("no events of " + name)}
	if _, err := w.admin.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(w.Table()), Item: item}); err != nil {
		t.Fatal(err)
	}
}

// A givenUp is an object in the bucket.
// https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
type givenUp struct {
	path    string
	Request struct {
		Condition string
		Invoked   int `json:"approximateInvokeCount"`
	} `json:"requestContext"`
	Batch struct {
		Size int `json:"batchSize"`
	} `json:"DDBStreamBatchInfo"`
	Payload string
}

// bucket returns the objects in a bucket.
func (w *world) bucket(t *testing.T, name string) (all []givenUp) {
	t.Helper()
	root := filepath.Join(w.dir, "buckets", name)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var g givenUp
		if err := json.Unmarshal(text, &g); err != nil {
			return err
		}
		g.path, err = filepath.Rel(root, path)
		all = append(all, g)
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return all
}

func TestARecordThatCannotBeHandedOnIsGivenUpAloneAndAllOthersAreFiled(t *testing.T) {
	w := open(t, emulator.Options{})
	w.Hold()
	w.poison(t, "first")
	w.policy(t)
	w.signIn(t, "ana")
	w.poison(t, "second")
	w.poison(t, "third")
	w.signIn(t, "ben")
	w.poison(t, "last")
	ids := w.deliver(t, atOnce)
	w.wantHandedOn(t, ids, "acme")
	var names []string
	for _, g := range w.bucket(t, "PublishFailures") {
		if g.Request.Condition != "RetryAttemptsExhausted" || g.Request.Invoked != 11 || g.Batch.Size != 1 {
			t.Errorf("got %+v, want one record that was tried 11 times", g)
		}
		if like := regexp.MustCompile(`^aws/lambda/[0-9a-f-]{36}/shardId-[0-9a-f-]+/\d{4}/\d\d/\d\d/\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d-[0-9a-f-]{36}$`); !like.MatchString(filepath.ToSlash(g.path)) {
			t.Errorf("got the name %s", g.path)
		}
		var event struct{ Records []json.RawMessage }
		if err := json.Unmarshal([]byte(g.Payload), &event); err != nil || len(event.Records) != 1 {
			t.Fatalf("got the payload %s, want one record", g.Payload)
		}
		names = append(names, string(look(t, event.Records[0]).DynamoDB.NewImage["e"].B))
	}
	slices.Sort(names)
	if want := []string{"no events of first", "no events of last", "no events of second", "no events of third"}; !slices.Equal(names, want) {
		t.Errorf("given up: got %q, want %q", names, want)
	}
}

func TestBatchesThatComeTwiceADayLateAndInAnotherOrderAreShownOnce(t *testing.T) {
	w := open(t, emulator.Options{})
	w.Hold()
	w.policy(t)
	w.signIn(t, "ana")
	w.signIn(t, "ben")
	w.call("POST", "/local/clock", doc{"advance_s": 24 * 3600}).want(t, 200, "")
	w.signIn(t, "eve")
	w.signIn(t, "ana")
	batches := 0
	ids := w.deliver(t, func(waiting []json.RawMessage) (arranged [][]json.RawMessage) {
		// The records of one item keep their order. The items are in the opposite order, the newest first.
		var keys []string
		of := map[string][]json.RawMessage{}
		for _, r := range waiting {
			key := look(t, r).key()
			if of[key] == nil {
				keys = append(keys, key)
			}
			of[key] = append(of[key], r)
		}
		slices.Reverse(keys)
		var mixed []json.RawMessage
		for _, key := range keys {
			mixed = append(mixed, of[key]...)
		}
		for batch := range slices.Chunk(mixed, 3) {
			arranged = append(arranged, batch, batch)
		}
		batches = len(arranged)
		return arranged
	})
	if batches < 6 {
		t.Errorf("got %d batches, want several, each twice", batches)
	}
	w.wantHandedOn(t, ids, "acme")
	put := w.onBus(t)
	for _, id := range ids {
		if put[id] != 2 {
			t.Errorf("%s: %d times on the bus, want twice: each batch was taken", id, put[id])
		}
	}
	if left := w.bucket(t, "PublishFailures"); len(left) > 0 {
		t.Errorf("given up: %+v", left)
	}
}

// If a batch has events of two orgs, its first commit files the events of one of them.
func TestAPublishKilledAtAnyMomentLosesNothingAndShowsNothingTwice(t *testing.T) {
	for name, rie := range runtimes() {
		t.Run(name, func(t *testing.T) {
			w := open(t, emulator.Options{RIE: rie})
			w.Hold()
			var ids []string
			var orgs []string
			for i, moment := range []emulator.Moment{emulator.BeforeCommit, emulator.AfterCommit, emulator.BeforeAnswer} {
				for _, n := range []int{1, 2} {
					for org := range n {
						orgs = append(orgs, fmt.Sprintf("org-%d-%d-%d", i, n, org))
						w.call("PUT", "/v1/orgs/"+orgs[len(orgs)-1]+"/policy", doc{"profile": "kls"}, "If-Match", `"0"`).want(t, 200, "")
					}
					before := w.Died("publish")
					w.KillAt("publish", moment)
					ids = append(ids, w.deliver(t, atOnce)...)
					if died := w.Died("publish") - before; died != 1 {
						t.Errorf("killed %s with %d orgs: %d times, want once", moment, n, died)
					}
				}
			}
			w.wantHandedOn(t, ids, orgs...)
		})
	}
}

func TestABatchThatThreeProcessesGetAtOnceIsShownOnce(t *testing.T) {
	w := open(t, emulator.Options{Processes: 3})
	w.Hold()
	w.policy(t)
	w.signIn(t, "ana")
	w.signIn(t, "ben")
	var event []byte
	ids := w.deliver(t, func(waiting []json.RawMessage) [][]json.RawMessage {
		var err error
		if event, err = json.Marshal(doc{"Records": waiting}); err != nil {
			t.Error(err)
		}
		return nil
	})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if got, err := w.Invoke(t.Context(), "publish", event); err != nil || string(got) != `{"batchItemFailures":[]}` {
				t.Errorf("got %s, %v, want that all was taken", got, err)
			}
		})
	}
	all.Wait()
	w.wantHandedOn(t, ids, "acme")
}
