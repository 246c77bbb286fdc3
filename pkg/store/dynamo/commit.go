package dynamo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"countersign/pkg/store"
)

const (
	// commitAttempts is how often a Commit is tried at most while other transactions write its items.
	commitAttempts = 5
	// commitPause is the longest pause before the second attempt. The longest pause doubles with each further attempt.
	commitPause = 20 * time.Millisecond
)

// These are the reasons that DynamoDB gives for each item of a transaction that it cancelled.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CancellationReason.html
const (
	reasonNone       = "None"
	reasonCondition  = "ConditionalCheckFailed"
	reasonConflict   = "TransactionConflict"
	reasonThrottled  = "ThrottlingError"
	reasonThroughput = "ProvisionedThroughputExceeded"
)

// Commit puts one item with a PutItem, and writes several with a TransactWriteItems. If DynamoDB refuses that, Commit looks for its
// token in the items, first in those that came with the refusal, before it returns ErrConflict. It also returns ErrConflict if
// other transactions write its items during all attempts, which DynamoDB calls TransactionConflict.
func (t *Table) Commit(ctx context.Context, token store.Version, writes ...store.Write) error {
	if err := checkCommit(token, writes); err != nil {
		return err
	}
	var refused *refusal
	for attempt := range commitAttempts {
		if err := pause(ctx, attempt); err != nil {
			return fmt.Errorf("dynamo: commit: %w", err)
		}
		err := t.write(ctx, token, writes)
		if err == nil {
			return nil
		}
		refused = refusalOf(err, len(writes))
		if refused == nil {
			return fmt.Errorf("dynamo: commit: %w", err)
		}
		if !refused.passing {
			break
		}
	}
	landed, err := t.landed(ctx, token, writes, refused.found)
	if err != nil {
		return fmt.Errorf("dynamo: commit: look for its token: %w", err)
	}
	if landed {
		return nil
	}
	if refused.throttled != nil {
		return fmt.Errorf("dynamo: commit: %w", refused.throttled)
	}
	return store.ErrConflict
}

// checkCommit refuses what CheckCommit refuses, and also text that DynamoDB would change.
func checkCommit(token store.Version, writes []store.Write) error {
	if err := store.CheckCommit(token, writes); err != nil {
		return err
	}
	for _, w := range writes {
		if err := checkText(w.Key.Partition, w.Key.Sort, string(w.Expect)); err != nil {
			return err
		}
	}
	return checkText(string(token))
}

// write sends the writes once. The client may make several attempts at that.
func (t *Table) write(ctx context.Context, token store.Version, writes []store.Write) error {
	now := numberValue(t.now().Unix())
	if len(writes) == 1 {
		put := t.put(token, writes[0], now)
		_, err := t.putItem(ctx, &dynamodb.PutItemInput{
			TableName:                           put.TableName,
			Item:                                put.Item,
			ConditionExpression:                 put.ConditionExpression,
			ExpressionAttributeValues:           put.ExpressionAttributeValues,
			ReturnValuesOnConditionCheckFailure: put.ReturnValuesOnConditionCheckFailure,
		})
		return err
	}
	// The client gives each call a ClientRequestToken of its own, and sends it with each of its attempts.
	in := &dynamodb.TransactWriteItemsInput{TransactItems: make([]types.TransactWriteItem, len(writes))}
	for i, w := range writes {
		if w.Delete {
			in.TransactItems[i].Delete = t.delete(w, now)
		} else {
			in.TransactItems[i].Put = t.put(token, w, now)
		}
	}
	_, err := t.transactWriteItems(ctx, in)
	return err
}

func (t *Table) put(token store.Version, w store.Write, now types.AttributeValue) *types.Put {
	item := keyImage(w.Key)
	item[versionName] = textValue(string(token))
	if expiry := store.ExpirySecond(w.Expires); expiry != 0 {
		item[expiryName] = numberValue(expiry)
	}
	if len(w.Body) > 0 {
		item[bodyName] = &types.AttributeValueMemberB{Value: w.Body}
	}
	if len(w.Events) > 0 {
		item[eventsName] = &types.AttributeValueMemberB{Value: w.Events}
	}
	condition, values := expectation(w.Expect, now)
	return &types.Put{
		TableName:                           t.name,
		Item:                                item,
		ConditionExpression:                 condition,
		ExpressionAttributeValues:           values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
}

func (t *Table) delete(w store.Write, now types.AttributeValue) *types.Delete {
	condition, values := expectation(w.Expect, now)
	return &types.Delete{
		TableName:                           t.name,
		Key:                                 keyImage(w.Key),
		ConditionExpression:                 condition,
		ExpressionAttributeValues:           values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
}

// expectation returns the condition that an item has a version, or is absent, at the second now.
func expectation(v store.Version, now types.AttributeValue) (*string, map[string]types.AttributeValue) {
	if v == "" {
		return aws.String(isAbsent), map[string]types.AttributeValue{":now": now}
	}
	return aws.String(isVersion), map[string]types.AttributeValue{":now": now, ":v": textValue(string(v))}
}

// A refusal is DynamoDB's answer that one attempt wrote nothing, with the items that it found.
type refusal struct {
	found     []map[string]types.AttributeValue // the item of each write as it was, or nil if DynamoDB didn't return it
	passing   bool                              // no condition failed, so another attempt may succeed
	throttled error                             // if no condition failed, the error that an item's throughput was exceeded
}

// refusalOf returns the refusal of n writes that err is. It returns nil if err is something else.
func refusalOf(err error, n int) *refusal {
	r := &refusal{found: make([]map[string]types.AttributeValue, n)}
	if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		r.found[0] = failed.Item
		return r
	}
	if _, ok := errors.AsType[*types.TransactionConflictException](err); ok {
		r.passing = true
		return r
	}
	cancelled, ok := errors.AsType[*types.TransactionCanceledException](err)
	if !ok || len(cancelled.CancellationReasons) != n {
		return nil
	}
	r.passing = true
	for i, reason := range cancelled.CancellationReasons {
		r.found[i] = reason.Item
		switch aws.ToString(reason.Code) {
		case reasonNone, "", reasonConflict:
		case reasonThrottled, reasonThroughput:
			r.throttled = err
		case reasonCondition:
			r.passing = false
		default:
			return nil
		}
	}
	if !r.passing {
		r.throttled = nil
	}
	return r
}

// landed reports whether any item of the writes has the token. If so, an earlier attempt at them was carried out. Items that have
// expired don't count. landed reads the items that didn't come with the refusal: an item is missing there if its own condition was
// met, and it may still have the token although the other items have been overwritten.
func (t *Table) landed(
	ctx context.Context, token store.Version, writes []store.Write, found []map[string]types.AttributeValue,
) (bool, error) {
	now := t.now()
	shows := func(image map[string]types.AttributeValue) bool {
		item, there := decodeItem(image, now)
		return there && item.Version == token
	}
	if slices.ContainsFunc(found, shows) {
		return true, nil
	}
	var unseen []store.Key
	for i, w := range writes {
		if !w.Delete && found[i] == nil {
			unseen = append(unseen, w.Key)
		}
	}
	if len(unseen) == 0 {
		return false, nil
	}
	rest, err := t.read(ctx, unseen...)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(rest, shows), nil
}

// pause waits before an attempt. It doesn't wait before the first one. Before the others it waits for a random time, so that
// commits which met in one item don't meet there again.
func pause(ctx context.Context, attempt int) error {
	if attempt == 0 {
		return nil
	}
	timer := time.NewTimer(rand.N(commitPause << (attempt - 1)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
