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

// A mapping is what the template says of how publish gets the stream: an event source mapping.
// https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html
type mapping struct {
	most    int    // records in a batch
	filters []any  // patterns; a record that fits none is left out
	reports bool   // publish's answer says what it didn't take
	bisects bool   // a batch that it failed on is halved
	retries int    // of a batch; negative: no end of them
	bucket  string // for the records that it was given in vain; empty: they are forgotten
	id      string // made up
	dir     string // of what is in the buckets
	now     func() time.Time
	log     *slog.Logger
}

// newMapping reads the mapping of a function that the template gives one stream.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-function-dynamodb.html
func newMapping(events any) (*mapping, error) {
	all, _ := events.(object)
	var m *mapping
	for name, event := range all {
		if template.Of(event, "Type") != "DynamoDB" || m != nil {
			return nil, fmt.Errorf("template.yaml: publish has %s, which is not its only stream", name)
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
			return nil, fmt.Errorf("template.yaml: what %s gives up goes to no bucket of the template", name)
		}
	}
	if m == nil {
		return nil, errors.New("template.yaml: publish has no stream")
	}
	return m, nil
}

// wants reports whether a record is one for publish.
func (m *mapping) wants(r record) bool {
	if len(m.filters) == 0 {
		return true
	}
	var whole any
	return json.Unmarshal(r.whole, &whole) == nil && slices.ContainsFunc(m.filters, func(f any) bool { return fits(f, whole, true) })
}

// fits reports whether a value is as a pattern says: an object of patterns, or a list of values and of {"exists":…}, one
// of which it has to be. Another pattern fits nothing.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
func fits(pattern, value any, there bool) bool {
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

// A batch is records that publish is to get together.
type batch struct {
	records []record
	shard   string
	tries   int // that failed
}

// event is what publish gets.
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

// taken reads how many records of a batch publish took, from its answer. An answer that makes no sense takes none.
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
		taken = min(taken, max(place, 0)) // a name that no record has is of the whole batch
	}
	return taken
}

// errGivenBack says that publish took none of a batch.
var errGivenBack = errors.New("publish gives records back")

// run hands on what waits, batch by batch, and ends at the first that fails and is to be tried again.
//
// A batch is split at the record that publish names, which is no retry, and what is left begins anew; so is one in halves
// that it fails on. Where it names the first record nothing is split off, so the batch is tried again as it is: the pages
// don't say more of that. A batch that has had its retries is put into the bucket, and what follows it is handed on.
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

// giveUp puts a batch where the template says, as an object under the name, and with the content, that Lambda gives it.
func (m *mapping) giveUp(b *batch, event []byte, stream string, failed bool) error {
	m.log.Warn("publish didn't take records in all its tries; they are given up", "records", len(b.records), "bucket", m.bucket)
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
		return fmt.Errorf("put what publish didn't take into %s: %w", m.bucket, err)
	}
	return nil
}

// newUUID makes a random one (RFC 9562, section 5.4).
func newUUID() string {
	b := make([]byte, 16)
	rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
