package emulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// A trigger reads the table's stream and has publish work on it, as Lambda's event source mapping does: batches in order,
// shard by shard; what publish gives back is sent again from there on; a batch that publish fails on is halved.
// https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
type trigger struct {
	e        *Emulator
	endpoint string
	table    string
	wake     chan struct{} // something was committed

	mu     sync.Mutex // held by whoever reads
	arn    string
	shards map[string]*shard
}

type shard struct {
	last string // sequence number of the last record taken
	done bool   // closed, and read to its end
}

// mostBatch is the BatchSize of template.yaml.
const mostBatch = 100

// A record is one of the stream, which in Lambda's events has the names it has on the wire.
type record struct {
	EventName string `json:"eventName"`
	Change    struct {
		SequenceNumber string
		NewImage       map[string]json.RawMessage
	} `json:"dynamodb"`
	whole json.RawMessage
}

// ask makes one request of DynamoDB Local's streams.
func (s *trigger) ask(ctx context.Context, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDBStreams_20120810."+operation)
	// DynamoDB Local wants to see a signature, and doesn't look at it.
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=local/20260101/"+region+"/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
	res, err := s.e.client.Do(r)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d: %s", operation, res.StatusCode, said)
	}
	return json.Unmarshal(said, out)
}

// drain hands on what was committed before it was called.
func (s *trigger) drain(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for more := true; more; {
		more = false
		listed, err := s.list(ctx)
		if err != nil {
			return err
		}
		for _, l := range listed {
			at, parent := s.shards[l.ShardID], s.shards[l.ParentShardID]
			if at.done || parent != nil && !parent.done {
				continue
			}
			if err := s.read(ctx, l.ShardID, at); err != nil {
				return err
			}
			more = more || at.done
		}
	}
	return nil
}

type listedShard struct {
	ShardID       string `json:"ShardId"`
	ParentShardID string `json:"ParentShardId"`
}

func (s *trigger) list(ctx context.Context) (all []listedShard, err error) {
	if s.arn == "" {
		var out struct{ Streams []struct{ StreamArn string } }
		if err := s.ask(ctx, "ListStreams", object{"TableName": s.table}, &out); err != nil {
			return nil, err
		}
		if len(out.Streams) != 1 {
			return nil, errors.New("the table has no stream, or several")
		}
		s.arn = out.Streams[0].StreamArn
	}
	in := object{"StreamArn": s.arn}
	for {
		var out struct {
			StreamDescription struct {
				Shards               []listedShard
				LastEvaluatedShardID string `json:"LastEvaluatedShardId"`
			}
		}
		if err := s.ask(ctx, "DescribeStream", in, &out); err != nil {
			return nil, err
		}
		for _, l := range out.StreamDescription.Shards {
			if s.shards[l.ShardID] == nil {
				s.shards[l.ShardID] = &shard{}
			}
			all = append(all, l)
		}
		if out.StreamDescription.LastEvaluatedShardID == "" {
			return all, nil
		}
		in["ExclusiveStartShardId"] = out.StreamDescription.LastEvaluatedShardID
	}
}

func (s *trigger) read(ctx context.Context, id string, at *shard) error {
	in := object{"StreamArn": s.arn, "ShardId": id, "ShardIteratorType": "TRIM_HORIZON"}
	if at.last != "" {
		in["ShardIteratorType"], in["SequenceNumber"] = "AFTER_SEQUENCE_NUMBER", at.last
	}
	var begin struct{ ShardIterator string }
	if err := s.ask(ctx, "GetShardIterator", in, &begin); err != nil {
		return err
	}
	for next := begin.ShardIterator; next != ""; {
		var out struct {
			Records           []json.RawMessage
			NextShardIterator string
		}
		if err := s.ask(ctx, "GetRecords", object{"ShardIterator": next, "Limit": mostBatch}, &out); err != nil {
			return err
		}
		var batch []record
		last := ""
		for _, whole := range out.Records {
			r := record{whole: whole}
			if err := json.Unmarshal(whole, &r); err != nil {
				return err
			}
			last = r.Change.SequenceNumber
			// The filter of template.yaml.
			if _, there := r.Change.NewImage["e"]; there && r.EventName != "REMOVE" {
				batch = append(batch, r)
			}
		}
		if err := s.handOn(ctx, at, batch); err != nil {
			return err
		}
		if last != "" {
			at.last = last
		}
		if next = out.NextShardIterator; len(out.Records) == 0 && next != "" {
			return nil
		}
	}
	at.done = true
	return nil
}

// handOn has publish work on a batch, and moves the place in the shard past what it took.
func (s *trigger) handOn(ctx context.Context, at *shard, batch []record) error {
	if len(batch) == 0 {
		return nil
	}
	taken, err := s.deliver(ctx, batch)
	if taken > 0 {
		at.last = batch[taken-1].Change.SequenceNumber
	}
	if err == nil {
		return nil
	}
	if _, failed := errors.AsType[*functionError](err); failed && len(batch) > 1 && taken == 0 {
		half := len(batch) / 2
		if err := s.handOn(ctx, at, batch[:half]); err != nil {
			return err
		}
		return s.handOn(ctx, at, batch[half:])
	}
	return err
}

// deliver sends one event and answers how many of its records were taken.
func (s *trigger) deliver(ctx context.Context, batch []record) (taken int, err error) {
	records := make([]object, len(batch))
	for i, r := range batch {
		one := object{}
		if err := json.Unmarshal(r.whole, &one); err != nil {
			return 0, err
		}
		one["eventSourceARN"] = s.arn
		records[i] = one
	}
	event, err := json.Marshal(object{"Records": records})
	if err != nil {
		return 0, err
	}
	answer, err := s.e.pools["publish"].invoke(ctx, event)
	if err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	var said struct {
		Failures []struct {
			Item string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return 0, fmt.Errorf("publish: its answer: %w", err)
	}
	taken = len(batch)
	for _, f := range said.Failures {
		place := 0 // an id that isn't in the batch gives all of it back
		for i, r := range batch {
			if r.Change.SequenceNumber == f.Item {
				place = i
			}
		}
		taken = min(taken, place)
	}
	if taken < len(batch) {
		return taken, errors.New("publish gives records back")
	}
	return taken, nil
}

const (
	gather     = 5 * time.Millisecond // after a commit, so that what comes together is handed on together
	handOnWait = time.Second          // before what could not be handed on is tried again
)

// follow hands on soon after each commit, for as long as the emulator runs.
func (s *trigger) follow(ctx context.Context) {
	for pause(ctx, gather) {
		if err := s.drain(ctx); err != nil {
			if ctx.Err() == nil {
				s.e.log.WarnContext(ctx, "events could not be handed on; they will be tried again", "error", err)
			}
			if !pause(ctx, handOnWait) {
				return
			}
			continue
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return
		}
	}
}

// pause waits, and reports whether the work is to go on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
