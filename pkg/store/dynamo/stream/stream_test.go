package stream_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/pkg/store"
	"countersign/pkg/store/dynamo"
	"countersign/pkg/store/dynamo/stream"
)

// open returns a store on a new table, and a function that makes feeds on the stream of the table.
func open(t *testing.T, endpoint string) (s store.Store, feed func(...func(*dynamodbstreams.Options)) *stream.Poller) {
	t.Helper()
	client := dynamo.LocalClient(endpoint)
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
	return dynamo.New(dynamo.Options{Client: client, Table: name}), func(options ...func(*dynamodbstreams.Options)) *stream.Poller {
		return stream.New(stream.Options{Client: stream.LocalClient(endpoint, options...), Table: name})
	}
}

func commit(t *testing.T, s store.Store, writes ...store.Write) store.Version {
	t.Helper()
	token := store.NewVersion()
	if err := s.Commit(t.Context(), token, writes...); err != nil {
		t.Error(err)
	}
	return token
}

// deliver returns the events that wait.
func deliver(t *testing.T, feed store.Feed) []string {
	t.Helper()
	var got []string
	err := feed.Deliver(t.Context(), 10, func(_ context.Context, records []store.Record) error {
		for _, r := range records {
			got = append(got, string(r.Events))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRemovalsHandNothingOn(t *testing.T) {
	s, feed := open(t, dynamolocaltest.Endpoint(t))
	f := feed()
	key := store.Key{Partition: "p", Sort: "a"}
	version := commit(t, s, store.Write{Key: key, Events: []byte("made")})
	commit(t, s, store.Write{Key: key, Expect: version, Delete: true}, store.Write{Key: store.Key{Partition: "p", Sort: "b"}})
	if got := fmt.Sprint(deliver(t, f)); got != "[made]" {
		t.Errorf("got %s, want [made]", got)
	}
	if got := deliver(t, f); got != nil {
		t.Errorf("again: got %v, want none", got)
	}
}

func TestANewPollerBeginsAtTheOldestRecord(t *testing.T) {
	s, feed := open(t, dynamolocaltest.Endpoint(t))
	commit(t, s, store.Write{Key: store.Key{Partition: "p", Sort: "a"}, Events: []byte("made")})
	for range 2 {
		if got := fmt.Sprint(deliver(t, feed())); got != "[made]" {
			t.Errorf("got %s, want [made]", got)
		}
	}
}

// The package relies on this. The test fails if DynamoDB Local answers a write before its record can be read, or if a record is left
// out that another writer has committed at the same time.
func TestWhatWasCommittedBeforeDeliverBeganIsDeliveredByIt(t *testing.T) {
	s, feed := open(t, dynamolocaltest.Endpoint(t))
	f := feed()
	const writers, turns = 4, 50
	var wg sync.WaitGroup
	var mu sync.Mutex // locked while Deliver runs and seen is used
	seen := make(map[string]int)
	for w := range writers {
		wg.Go(func() {
			key := store.Key{Partition: fmt.Sprint("p", w), Sort: "a"}
			var version store.Version
			for turn := range turns {
				version = commit(t, s, store.Write{Key: key, Expect: version, Events: fmt.Appendf(nil, "%d/%d", w, turn)})
				if turn%5 != 0 {
					continue
				}
				mu.Lock()
				for _, e := range deliver(t, f) {
					seen[e]++
				}
				if seen[fmt.Sprintf("%d/%d", w, turn)] != 1 {
					t.Errorf("record %d of writer %d: got it %d times right after its commit, want once",
						turn, w, seen[fmt.Sprintf("%d/%d", w, turn)])
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, e := range deliver(t, f) {
		seen[e]++
	}
	if len(seen) != writers*turns {
		t.Errorf("got %d records, want %d", len(seen), writers*turns)
	}
}

func TestMoreRecordsThanOneRequestBringsAreDeliveredAtOnce(t *testing.T) {
	s, feed := open(t, dynamolocaltest.Endpoint(t))
	const commits = 44 // of 25 items each, which is more than the 1000 records of one GetRecords
	for i := range commits {
		var writes []store.Write
		for j := range store.MaxWrites {
			writes = append(writes, store.Write{Key: store.Key{Partition: fmt.Sprint(i), Sort: fmt.Sprint(j)}, Events: []byte("made")})
		}
		commit(t, s, writes...)
	}
	if got, want := len(deliver(t, feed())), commits*store.MaxWrites; got != want {
		t.Errorf("got %d records, want %d", got, want)
	}
}

func TestARefusedBatchComesAgainAndNothingBeforeIt(t *testing.T) {
	s, feed := open(t, dynamolocaltest.Endpoint(t))
	f := feed()
	for i := range 5 {
		commit(t, s, store.Write{Key: store.Key{Partition: "p", Sort: fmt.Sprint(i)}, Events: fmt.Append(nil, i)})
		commit(t, s, store.Write{Key: store.Key{Partition: "silent", Sort: fmt.Sprint(i)}})
	}
	refusal := errors.New("not now")
	calls := 0
	err := f.Deliver(t.Context(), 2, func(context.Context, []store.Record) error {
		if calls++; calls == 2 {
			return refusal
		}
		return nil
	})
	if err != refusal {
		t.Errorf("got %v, want the very error of the receiver", err)
	}
	if got := fmt.Sprint(deliver(t, f)); got != "[2 3 4]" {
		t.Errorf("got %s, want [2 3 4]", got)
	}
}

func TestADeliveryThatWaitsForItsTurnEndsWithItsContext(t *testing.T) {
	s, feed := open(t, dynamolocaltest.Endpoint(t))
	f := feed()
	commit(t, s, store.Write{Key: store.Key{Partition: "p", Sort: "a"}, Events: []byte("made")})
	ctx, cancel := context.WithCancel(t.Context())
	err := f.Deliver(t.Context(), 1, func(context.Context, []store.Record) error {
		cancel()
		return f.Deliver(ctx, 1, nil)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context was cancelled", err)
	}
	if err := f.Deliver(t.Context(), 0, nil); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("limit 0: got %v, want ErrInvalid", err)
	}
}

func TestAShardIsReadAfterItsParent(t *testing.T) {
	server := dynamolocaltest.Start(t)
	s, feed := open(t, server.Endpoint)
	f := feed()
	key := store.Key{Partition: "p", Sort: "a"}
	var version store.Version
	var want []string
	for i := range 20 {
		for j := range 3 {
			events := fmt.Sprintf("%d.%d", i, j)
			version = commit(t, s, store.Write{Key: key, Expect: version, Events: []byte(events)})
			want = append(want, events)
			if i == 5 {
				if got := deliver(t, f); len(got) == 0 || got[len(got)-1] != events {
					t.Errorf("got %v, want up to %s", got, events)
				}
			}
		}
		if err := server.RollShards(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(deliver(t, f)); got != fmt.Sprint(want[6*3:]) {
		t.Errorf("going on: got %v, want %v", got, want[6*3:])
	}
	if got := deliver(t, f); got != nil {
		t.Errorf("again: got %v, want none", got)
	}
	if got := fmt.Sprint(deliver(t, feed())); got != fmt.Sprint(want) {
		t.Errorf("from the start: got %v, want %v", got, want)
	}
	// DynamoDB promises no order for its list of shards.
	youngestFirst := feed(func(o *dynamodbstreams.Options) { o.HTTPClient = &http.Client{Transport: reversing{}} })
	if got := fmt.Sprint(deliver(t, youngestFirst)); got != fmt.Sprint(want) {
		t.Errorf("from the start, listed youngest first: got %v, want %v", got, want)
	}
}

// reversing is a transport to DynamoDB Local. It reverses the list of shards.
type reversing struct{}

func (reversing) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || !strings.HasSuffix(req.Header.Get("X-Amz-Target"), ".DescribeStream") {
		return res, err
	}
	defer res.Body.Close()
	var answer struct{ StreamDescription map[string]json.RawMessage }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, err
	}
	var shards []json.RawMessage
	if err := json.Unmarshal(answer.StreamDescription["Shards"], &shards); err != nil {
		return nil, err
	}
	slices.Reverse(shards)
	if answer.StreamDescription["Shards"], err = json.Marshal(shards); err != nil {
		return nil, err
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	res.Header.Del("X-Amz-Crc32")
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return res, nil
}
