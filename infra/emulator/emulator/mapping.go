package emulator

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"countersign/infra/amazon"
	"countersign/infra/emulator/template"
)

// A mapping is the event source mapping of the template, which says how publish gets the records of the stream.
// https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html
type mapping struct {
	most    int    // how many records a batch has at most
	filters []any  // patterns; a record that fits none of them is left out
	reports bool   // the answer of publish says which records it didn't accept
	bisects bool   // a batch with which publish failed is split in halves
	retries int    // how often a batch is tried again; negative means without end
	bucket  string // the bucket for batches that publish never accepted; if it is empty, they are dropped
	id      string // a random id of the mapping
	dir     string // the folder that takes the place of S3
	now     func() time.Time
	created func(bucket string) // is called for each object in a bucket; may be nil
	log     *slog.Logger
}

// newMapping reads the mapping of publish. The template must have exactly one stream for it.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-function-dynamodb.html
func newMapping(events any) (*mapping, error) {
	all, _ := events.(object)
	var m *mapping
	for name, event := range all {
		if template.Of(event, "Type") != "DynamoDB" || m != nil {
			return nil, fmt.Errorf("template.yaml: publish must have only one stream, but it has %s too", name)
		}
		said := template.Of(event, "Properties")
		m = &mapping{most: 100, retries: -1, id: newUUID()}
		if n, ok := template.Of(said, "BatchSize").(int); ok {
			m.most = n
		}
		if n, ok := template.Of(said, "MaximumRetryAttempts").(int); ok {
			m.retries = n
		}
		m.bisects, _ = template.Of(said, "BisectBatchOnFunctionError").(bool)
		types, _ := template.Of(said, "FunctionResponseTypes").([]any)
		m.reports = slices.Contains(types, any("ReportBatchItemFailures"))
		filters, _ := template.Of(said, "FilterCriteria", "Filters").([]any)
		for _, f := range filters {
			var pattern any
			text, _ := template.Of(f, "Pattern").(string)
			if err := json.Unmarshal([]byte(text), &pattern); err != nil {
				return nil, fmt.Errorf("template.yaml: the filter of %s: %w", name, err)
			}
			m.filters = append(m.filters, pattern)
		}
		failure := template.Of(said, "DestinationConfig", "OnFailure")
		if failure == nil {
			continue
		}
		if m.bucket = template.Reference(template.Of(failure, "Destination")); m.bucket == "" || template.Of(failure, "Type") != "S3" {
			return nil, fmt.Errorf("template.yaml: the records that %s gives up must go to a bucket of the template", name)
		}
	}
	if m == nil {
		return nil, errors.New("template.yaml: publish has no stream")
	}
	return m, nil
}

// wants reports whether publish gets a record.
func (m *mapping) wants(r record) bool {
	if len(m.filters) == 0 {
		return true
	}
	var whole any
	return json.Unmarshal(r.whole, &whole) == nil && slices.ContainsFunc(m.filters, func(f any) bool { return fits(f, whole, true) })
}

// Fits reports whether an event fits the event pattern of a rule of EventBridge. It knows those patterns that fits knows.
func Fits(pattern, event any) bool { return fits(pattern, event, true) }

// fits reports whether a value fits a pattern. A pattern is an object of patterns, or a list of values and {"exists":…}; the
// value must fit one entry of the list. Any other pattern fits nothing. If the value is a list, one of its entries must fit.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
func fits(pattern, value any, there bool) bool {
	if list, ok := value.([]any); ok {
		return slices.ContainsFunc(list, func(one any) bool { return fits(pattern, one, true) })
	}
	switch pattern := pattern.(type) {
	case object:
		inside, _ := value.(object)
		for name, inner := range pattern {
			v, has := inside[name]
			if !fits(inner, v, has) {
				return false
			}
		}
		return true
	case []any:
		return slices.ContainsFunc(pattern, func(one any) bool {
			if exists, ok := template.Of(one, "exists").(bool); ok {
				return exists == there
			}
			text, ok := one.(string)
			return ok && there && value == text
		})
	}
	return false
}

// A batch has the records that publish gets together.
type batch struct {
	records []record
	shard   string
	tries   int // how many tries have failed
}

// event returns the event that publish gets.
func (b *batch) event(stream string) ([]byte, error) {
	records := make([]object, len(b.records))
	for i, r := range b.records {
		one := object{}
		if err := json.Unmarshal(r.whole, &one); err != nil {
			return nil, err
		}
		one["eventSourceARN"] = stream
		records[i] = one
	}
	return json.Marshal(object{"Records": records})
}

// taken returns how many records of a batch publish has accepted, according to its answer. If the answer can't be read, none was.
// https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
func (m *mapping) taken(b *batch, answer []byte) int {
	if !m.reports || len(answer) == 0 {
		return len(b.records)
	}
	var said struct {
		Failures []struct {
			Item string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if json.Unmarshal(answer, &said) != nil {
		return 0
	}
	taken := len(b.records)
	for _, f := range said.Failures {
		place := slices.IndexFunc(b.records, func(r record) bool { return r.Change.SequenceNumber == f.Item })
		taken = min(taken, max(place, 0)) // an id that no record has means the whole batch
	}
	return taken
}

// errGivenBack means that publish has accepted no record of a batch.
var errGivenBack = errors.New("publish didn't accept a batch")

// run gives publish the waiting batches, one after the other. It returns at the first batch that has to be tried again.
//
// If publish names a record that it didn't accept, the batch is split there. That doesn't count as a retry, and the rest is a new
// batch. If publish fails, the batch is split in halves, which are new batches. If publish names the first record, nothing can be
// split off, and the same batch is tried again. (The documentation says no more about that.) After its last retry a batch is put
// into the bucket, and publish gets the next one.
// https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
func (m *mapping) run(ctx context.Context, waiting *[]*batch, stream string, invoke func(context.Context, []byte) ([]byte, error)) error {
	for len(*waiting) > 0 {
		b := (*waiting)[0]
		event, err := b.event(stream)
		if err != nil {
			return err
		}
		answer, failed := invoke(ctx, event)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		taken := 0
		if failed == nil {
			taken = m.taken(b, answer)
		}
		switch half := len(b.records) / 2; {
		case taken == len(b.records):
			*waiting = (*waiting)[1:]
		case taken > 0:
			(*waiting)[0] = &batch{records: b.records[taken:], shard: b.shard}
		case failed != nil && m.bisects && half > 0:
			halves := []*batch{{records: b.records[:half], shard: b.shard}, {records: b.records[half:], shard: b.shard}}
			*waiting = slices.Concat(halves, (*waiting)[1:])
		default:
			if b.tries++; m.retries < 0 || b.tries <= m.retries {
				return errors.Join(errGivenBack, failed)
			}
			if err := m.giveUp(b, event, stream, failed != nil); err != nil {
				return err
			}
			*waiting = (*waiting)[1:]
		}
	}
	return nil
}

// giveUp puts a batch into the bucket, as an object with the name and the content that Lambda would give it.
func (m *mapping) giveUp(b *batch, event []byte, stream string, failed bool) error {
	m.log.Warn("publish didn't accept records in any try, so they are put into the bucket", "records", len(b.records), "bucket", m.bucket)
	if m.bucket == "" {
		return nil
	}
	now := m.now()
	first, last := b.records[0], b.records[len(b.records)-1]
	response := object{"statusCode": 200, "executedVersion": "$LATEST"}
	if failed {
		response["functionError"] = "Unhandled"
	}
	content, err := json.Marshal(object{
		"requestContext": object{
			"requestId": newUUID(), "functionArn": "arn:aws:lambda:" + amazon.Region + ":" + amazon.AccountID + ":function:publish",
			"condition": "RetryAttemptsExhausted", "approximateInvokeCount": b.tries,
		},
		"responseContext": response, "version": "1.0", "timestamp": now.Format("2006-01-02T15:04:05.000Z"),
		"DDBStreamBatchInfo": object{
			"shardId": b.shard, "startSequenceNumber": first.Change.SequenceNumber, "endSequenceNumber": last.Change.SequenceNumber,
			"approximateArrivalOfFirstRecord": first.arrived(), "approximateArrivalOfLastRecord": last.arrived(),
			"batchSize": len(b.records), "streamArn": stream,
		},
		"payload": string(event),
	})
	if err != nil {
		return err
	}
	path := filepath.Join(m.dir, m.bucket, "aws", "lambda", m.id, b.shard, now.Format("2006/01/02"), now.Format("2006-01-02T15.04.05-")+newUUID())
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
		return fmt.Errorf("put a batch into the bucket %s: %w", m.bucket, err)
	}
	if m.created != nil {
		m.created(m.bucket)
	}
	return nil
}

// newUUID returns a random UUID (RFC 9562 section 5.4).
func newUUID() string {
	b := make([]byte, 16)
	rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
