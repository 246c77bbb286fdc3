package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"countersign/pkg/store"
	"countersign/pkg/store/dynamo"
)

// A streamEvent has the fields that are used of a batch of a DynamoDB stream: the strings and the bytes of new images.
// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
type streamEvent struct {
	Records []struct {
		EventName string `json:"eventName"` // INSERT, MODIFY or REMOVE
		Change    struct {
			SequenceNumber string `json:"SequenceNumber"`
			NewImage       map[string]struct {
				S string `json:"S"`
				B []byte `json:"B"`
			} `json:"NewImage"`
		} `json:"dynamodb"`
	} `json:"Records"`
}

// A batchResponse names the first record that wasn't taken. Lambda splits the batch there, and sends the rest again. If the
// response is empty, all records were taken.
// https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
type batchResponse struct {
	BatchItemFailures []batchItemFailure `json:"batchItemFailures"`
}

type batchItemFailure struct {
	ItemIdentifier string `json:"itemIdentifier"` // a sequence number
}

// errNoneTaken makes Lambda split the batch into two halves. The log says why no record was taken.
var errNoneTaken = errors.New("none of the batch was taken")

// A feed hands on the batches of a stream.
type feed struct {
	deliver Deliver
	log     *slog.Logger
}

// A streamed is a record that has something to hand on, with its place in the stream.
type streamed struct {
	sequence string
	record   store.Record
}

// Invoke hands on one batch. If the batch has several records and the first of them isn't taken, or if the batch can't be read,
// Invoke fails. Lambda then splits the batch into two halves, until a record that can't be handed on is alone in its batch, so
// that no other record is given up with it. Naming the first record would not split the batch, and what Lambda does then isn't
// documented.
func (f *feed) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	batch, err := readBatch(payload)
	if err != nil {
		return nil, err
	}
	res := batchResponse{BatchItemFailures: []batchItemFailure{}}
	if taken, err := f.take(ctx, batch); err != nil {
		f.log.ErrorContext(ctx, "a record could not be handed on", "sequence", batch[taken].sequence, "error", err)
		if taken == 0 && len(batch) > 1 {
			return nil, errNoneTaken
		}
		res.BatchItemFailures = append(res.BatchItemFailures, batchItemFailure{batch[taken].sequence})
	}
	return json.Marshal(res)
}

// readBatch leaves out removals, and records that have nothing to hand on.
func readBatch(payload []byte) ([]streamed, error) {
	var e streamEvent
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, errors.New("the payload is not a batch of a DynamoDB stream") // the decoder's own error quotes it
	}
	var batch []streamed
	for _, r := range e.Records {
		if r.EventName != "INSERT" && r.EventName != "MODIFY" {
			continue
		}
		image := map[string]types.AttributeValue{}
		for name, value := range r.Change.NewImage {
			if value.B != nil {
				image[name] = &types.AttributeValueMemberB{Value: value.B}
			} else {
				image[name] = &types.AttributeValueMemberS{Value: value.S}
			}
		}
		if record, ok := dynamo.Decode(image); ok {
			batch = append(batch, streamed{r.Change.SequenceNumber, record})
		}
	}
	return batch, nil
}

// take hands on a whole batch. If that fails, it tries ever smaller parts, in order, until the record that fails is alone. It
// returns how many records before that one were taken.
func (f *feed) take(ctx context.Context, batch []streamed) (taken int, err error) {
	if len(batch) == 0 {
		return 0, nil
	}
	records := make([]store.Record, len(batch))
	for i, s := range batch {
		records[i] = s.record
	}
	if err = f.deliver(ctx, records); err == nil {
		return len(batch), nil
	}
	if len(batch) == 1 || ctx.Err() != nil {
		return 0, err
	}
	half := len(batch) / 2
	if taken, err = f.take(ctx, batch[:half]); err != nil {
		return taken, err
	}
	taken, err = f.take(ctx, batch[half:])
	return half + taken, err
}
