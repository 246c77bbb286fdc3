// Package stream hands on the events of a table by polling its stream. It is for DynamoDB Local, where no trigger of Lambda does
// that.
//
// The package guarantees two things. A shard is read only after its parent has been read to the end, so the records of one key
// come in the order of their Commits. And a position moves only when the records before it have been taken, so none is lost while
// the process runs. Positions are kept in memory: a new Poller begins again at the oldest record of the stream.
//
// DynamoDB Local writes an item and its record in the stream in one step. So if a shard answers with no records, it has none that
// was committed before the request. DynamoDB doesn't promise that. There, Deliver may return although records are still to come;
// a later call hands them on.
//
// It doesn't hand on removals, or records without events.
package stream

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	tabletypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"countersign/pkg/store"
	"countersign/pkg/store/dynamo"
)

// Options say which stream is read.
type Options struct {
	// Client sends the requests.
	Client *dynamodbstreams.Client
	// Table is the name of the table whose stream is read.
	Table string
}

// A Poller is a store.Feed on the stream of one table.
type Poller struct {
	client *dynamodbstreams.Client
	table  string
	turn   chan struct{} // has one value while Deliver runs

	arn    string
	shards map[string]*shard // the shards that the stream still lists, by their ids
}

// A shard says how far one shard of the stream has been read.
type shard struct {
	last string // the sequence number of the last record that was taken; empty if there is none yet
	done bool   // it is closed, and has been read to its end
}

var _ store.Feed = (*Poller)(nil)

// New returns the feed that o describes. It sends no request.
func New(o Options) *Poller {
	return &Poller{client: o.Client, table: o.Table, turn: make(chan struct{}, 1), shards: make(map[string]*shard)}
}

// LocalClient makes a client for the streams of the DynamoDB Local at endpoint, which is a URL. The credentials are made up. The
// client tries each request three times at most. The options can change its settings.
func LocalClient(endpoint string, options ...func(*dynamodbstreams.Options)) *dynamodbstreams.Client {
	return dynamodbstreams.New(dynamodbstreams.Options{
		BaseEndpoint:     aws.String(endpoint),
		Region:           "eu-west-1",
		RetryMaxAttempts: 3,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
	}, options...)
}

// Deliver reads every shard until the shard has no more records, and goes on with the children of shards that have ended. It
// returns ErrInvalid if the limit is less than 1.
func (p *Poller) Deliver(ctx context.Context, limit int, fn func(context.Context, []store.Record) error) error {
	if limit < 1 {
		return fmt.Errorf("%w: delivery of %d records at most", store.ErrInvalid, limit)
	}
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("stream: wait for a turn: %w", ctx.Err())
	}
	defer func() { <-p.turn }()
	for ended := true; ended; {
		listed, err := p.list(ctx)
		if err != nil {
			return err
		}
		ended = false
		for _, s := range listed {
			id, state := aws.ToString(s.ShardId), p.shards[aws.ToString(s.ShardId)]
			parent := p.shards[aws.ToString(s.ParentShardId)]
			if state.done || parent != nil && !parent.done {
				continue
			}
			if err := p.drain(ctx, id, state, limit, fn); err != nil {
				return err
			}
			ended = ended || state.done
		}
	}
	return nil
}

// list asks for the shards of the stream, and updates p.shards.
func (p *Poller) list(ctx context.Context) ([]types.Shard, error) {
	if p.arn == "" {
		out, err := p.client.ListStreams(ctx, &dynamodbstreams.ListStreamsInput{TableName: aws.String(p.table)})
		if err != nil {
			return nil, fmt.Errorf("stream: find the table's stream: %w", err)
		}
		if len(out.Streams) != 1 {
			return nil, fmt.Errorf("stream: table has %d streams, expected one", len(out.Streams))
		}
		p.arn = aws.ToString(out.Streams[0].StreamArn)
	}
	var listed []types.Shard
	for in := (&dynamodbstreams.DescribeStreamInput{StreamArn: aws.String(p.arn)}); ; {
		out, err := p.client.DescribeStream(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("stream: list its shards: %w", err)
		}
		listed = append(listed, out.StreamDescription.Shards...)
		in.ExclusiveStartShardId = out.StreamDescription.LastEvaluatedShardId
		if in.ExclusiveStartShardId == nil {
			break
		}
	}
	shards := make(map[string]*shard, len(listed))
	for _, s := range listed {
		id := aws.ToString(s.ShardId)
		shards[id] = p.shards[id]
		if shards[id] == nil {
			shards[id] = &shard{}
		}
	}
	p.shards = shards
	return listed, nil
}

// drain hands on the records of a shard from its position on, until there are no more.
func (p *Poller) drain(
	ctx context.Context, id string, s *shard, limit int, fn func(context.Context, []store.Record) error,
) error {
	in := &dynamodbstreams.GetShardIteratorInput{
		StreamArn:         aws.String(p.arn),
		ShardId:           aws.String(id),
		ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	}
	if s.last != "" {
		in.ShardIteratorType, in.SequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, aws.String(s.last)
	}
	begin, err := p.client.GetShardIterator(ctx, in)
	if err != nil {
		return fmt.Errorf("stream: find the place in a shard: %w", err)
	}
	for at := begin.ShardIterator; at != nil; {
		out, err := p.client.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: at})
		if err != nil {
			return fmt.Errorf("stream: read a shard: %w", err)
		}
		if err := s.handOn(ctx, out.Records, limit, fn); err != nil {
			return err
		}
		at = out.NextShardIterator
		if len(out.Records) == 0 && at != nil {
			return nil
		}
	}
	s.done = true
	return nil
}

// handOn calls fn with those of the records that have events, at most limit at a time. It moves the position behind each batch that
// fn has taken.
func (s *shard) handOn(
	ctx context.Context, records []types.Record, limit int, fn func(context.Context, []store.Record) error,
) error {
	var batch []store.Record
	for i, r := range records {
		if record, ok := decode(r); ok {
			batch = append(batch, record)
		}
		if len(batch) == limit || i == len(records)-1 && len(batch) > 0 {
			if err := fn(ctx, batch); err != nil {
				return err
			}
			batch = nil
		}
		if len(batch) == 0 {
			s.last = aws.ToString(r.Dynamodb.SequenceNumber)
		}
	}
	return nil
}

func decode(r types.Record) (store.Record, bool) {
	if r.EventName != types.OperationTypeInsert && r.EventName != types.OperationTypeModify {
		return store.Record{}, false
	}
	image := make(map[string]tabletypes.AttributeValue)
	for name, value := range r.Dynamodb.NewImage {
		switch value := value.(type) {
		case *types.AttributeValueMemberS:
			image[name] = &tabletypes.AttributeValueMemberS{Value: value.Value}
		case *types.AttributeValueMemberB:
			image[name] = &tabletypes.AttributeValueMemberB{Value: value.Value}
		}
	}
	return dynamo.Decode(image)
}
