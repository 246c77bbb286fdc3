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

	"countersign/infra/amazon"
)

// A trigger reads the stream of the table and gives publish its records, as Lambda does. The batches of a shard come in their
// order, and a shard comes after its parent.
type trigger struct {
	e        *Emulator
	endpoint string
	table    string
	mapping  *mapping
	wake     chan struct{} // gets a value when something was committed

	mu     sync.Mutex // held while the stream is read
	held   bool       // whether publish gets records only through Deliver
	arn    string
	shards map[string]*shard
}

type shard struct {
	last    string   // the sequence number of the last record that was read
	waiting []*batch // batches that were read, and are not accepted yet
	closed  bool     // whether it was read to its end
}

func (s *shard) done() bool { return s.closed && len(s.waiting) == 0 }

// A record is a record of the stream. The events of Lambda have it as the stream gives it.
type record struct {
	Change struct {
		SequenceNumber string
		Arrived        float64 `json:"ApproximateCreationDateTime"` // in Unix seconds
	} `json:"dynamodb"`
	whole json.RawMessage
}

func newRecord(whole json.RawMessage) (r record, err error) {
	r.whole = whole
	return r, json.Unmarshal(whole, &r)
}

func (r record) arrived() string {
	return time.Unix(int64(r.Change.Arrived), 0).UTC().Format(time.RFC3339)
}

// ask makes one request to the streams of DynamoDB Local.
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
	// DynamoDB Local requires a signature, but doesn't check it.
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=local/20260101/"+amazon.Region+"/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
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

// drain gives publish everything that was committed before the call.
func (s *trigger) drain(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held {
		return nil
	}
	return s.eachShard(ctx, func(at *shard) error { return s.run(ctx, &at.waiting) })
}

func (s *trigger) run(ctx context.Context, waiting *[]*batch) error {
	return s.mapping.run(ctx, waiting, s.arn, func(ctx context.Context, event []byte) ([]byte, error) {
		s.e.counts.delivered(event)
		return s.e.pools["publish"].invoke(ctx, event)
	})
}

// eachShard reads each shard to its end, and calls do with it. The parent of a shard comes before the shard.
func (s *trigger) eachShard(ctx context.Context, do func(*shard) error) error {
	for more := true; more; {
		more = false
		listed, err := s.list(ctx)
		if err != nil {
			return err
		}
		for _, l := range listed {
			at, parent := s.shards[l.ShardID], s.shards[l.ParentShardID]
			if at.done() || parent != nil && !parent.done() {
				continue
			}
			if err := s.read(ctx, l.ShardID, at); err != nil {
				return err
			}
			if err := do(at); err != nil {
				return err
			}
			more = more || at.done()
		}
	}
	return nil
}

// Hold keeps from publish everything that is committed from now on, until Deliver is called.
func (e *Emulator) Hold() {
	e.trigger.mu.Lock()
	defer e.trigger.mu.Unlock()
	e.trigger.held = true
}

// Release ends what Hold began.
func (e *Emulator) Release() {
	e.trigger.mu.Lock()
	defer e.trigger.mu.Unlock()
	e.trigger.held = false
}

// Deliver gives publish the records that have been waiting since Hold, in the batches that arrange makes of them. It returns when
// publish has accepted each batch, or each was given up. A record is a JSON object as in Lambda's events. arrange gets the
// records in the order of the stream.
func (e *Emulator) Deliver(ctx context.Context, arrange func(waiting []json.RawMessage) [][]json.RawMessage) error {
	s := e.trigger
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []json.RawMessage
	err := s.eachShard(ctx, func(at *shard) error {
		for _, b := range at.waiting {
			for _, r := range b.records {
				all = append(all, r.whole)
			}
		}
		at.waiting = nil
		return nil
	})
	if err != nil {
		return err
	}
	var waiting []*batch
	for _, records := range arrange(all) {
		b := &batch{shard: "shardId-00000000000000000000-00000000"}
		for _, whole := range records {
			r, err := newRecord(whole)
			if err != nil {
				return err
			}
			b.records = append(b.records, r)
		}
		waiting = append(waiting, b)
	}
	for err = errGivenBack; errors.Is(err, errGivenBack) && ctx.Err() == nil; {
		err = s.run(ctx, &waiting)
	}
	return err
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
			return nil, errors.New("the table must have exactly one stream")
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

// read reads the new records of a shard, and adds them to its waiting batches.
func (s *trigger) read(ctx context.Context, id string, at *shard) error {
	if at.closed {
		return nil
	}
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
		if err := s.ask(ctx, "GetRecords", object{"ShardIterator": next, "Limit": s.mapping.most}, &out); err != nil {
			return err
		}
		b := &batch{shard: id}
		for _, whole := range out.Records {
			r, err := newRecord(whole)
			if err != nil {
				return err
			}
			at.last = r.Change.SequenceNumber
			if s.mapping.wants(r) {
				b.records = append(b.records, r)
			}
		}
		if len(b.records) > 0 {
			at.waiting = append(at.waiting, b)
		}
		if next = out.NextShardIterator; len(out.Records) == 0 && next != "" {
			return nil
		}
	}
	at.closed = true
	return nil
}
