package dynamo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"countersign/pkg/store"
)

// countRounds is how often Count at most tries to add to a number, and then to start it.
const countRounds = 4

// Count adds with an UpdateItem. If there is no number yet, it needs a second request to start one. With an n of 0 it is a GetItem.
func (t *Table) Count(ctx context.Context, key store.Key, n, cap int64, expires time.Time) (int64, error) {
	if err := store.CheckCount(key, n, cap, expires); err != nil {
		return 0, err
	}
	if err := checkText(key.Partition, key.Sort); err != nil {
		return 0, err
	}
	if n == 0 {
		return t.readCount(ctx, key)
	}
	for range countRounds {
		now := t.now()
		have, found, err := t.add(ctx, key, n, cap, now)
		if err != nil {
			return 0, fmt.Errorf("dynamo: count: %w", err)
		}
		if found == roomFor {
			return have, nil
		}
		if found == full || n > cap {
			return have, store.ErrFull
		}
		started, err := t.startCount(ctx, key, n, expires, now)
		if err != nil {
			return 0, fmt.Errorf("dynamo: count: %w", err)
		}
		if started {
			return n, nil
		}
	}
	return 0, errors.New("dynamo: count: the number was started and expired too often meanwhile")
}

// A finding says what add found under its key.
type finding int

const (
	nothing finding = iota
	roomFor
	full
)

// once makes a request that is tried again only if it surely did nothing, because to add twice is not the same as to add once.
func once(o *dynamodb.Options) { o.Retryer = onceRetryer{o.Retryer} }

// A onceRetryer tries again as often, and waits as long, as the Retryer in it, but only after an error that says that the
// request surely did nothing: DynamoDB had no time for it, or could not be reached.
type onceRetryer struct{ aws.Retryer }

// IsErrorRetryable implements aws.Retryer.
func (onceRetryer) IsErrorRetryable(err error) bool {
	if unreached, ok := errors.AsType[*net.OpError](err); ok && unreached.Op == "dial" {
		return true
	}
	throttled := retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}
	return throttled.IsErrorThrottle(err).Bool()
}

// add adds n to the number under key if there is room for it, and returns the number as it then is.
func (t *Table) add(ctx context.Context, key store.Key, n, cap int64, now time.Time) (int64, finding, error) {
	out, err := t.updateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:           t.name,
		Key:                 keyImage(key),
		UpdateExpression:    aws.String("ADD n :n"),
		ConditionExpression: aws.String("x > :now AND n <= :room"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":n":    numberValue(n),
			":room": numberValue(cap - n),
			":now":  numberValue(now.Unix()),
		},
		ReturnValues:                        types.ReturnValueUpdatedNew,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}, once)
	if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		if _, there := decodeItem(failed.Item, now); !there {
			return 0, nothing, nil
		}
		return number(failed.Item[countName]), full, nil
	}
	if err != nil {
		return 0, nothing, err
	}
	return number(out.Attributes[countName]), roomFor, nil
}

// readCount reads the number under key. It returns 0 if there is none.
func (t *Table) readCount(ctx context.Context, key store.Key) (int64, error) {
	images, err := t.read(ctx, key)
	if err != nil {
		return 0, fmt.Errorf("dynamo: count: %w", err)
	}
	if _, there := decodeItem(images[0], t.now()); !there {
		return 0, nil
	}
	return number(images[0][countName]), nil
}

// startCount puts the number n under key if there is no number. It reports false if there is one.
func (t *Table) startCount(ctx context.Context, key store.Key, n int64, expires, now time.Time) (bool, error) {
	item := keyImage(key)
	item[countName] = numberValue(n)
	item[expiryName] = numberValue(store.ExpirySecond(expires))
	_, err := t.putItem(ctx, &dynamodb.PutItemInput{
		TableName:                 t.name,
		Item:                      item,
		ConditionExpression:       aws.String(isAbsent),
		ExpressionAttributeValues: map[string]types.AttributeValue{":now": numberValue(now.Unix())},
	}, once)
	if _, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return false, nil
	}
	return err == nil, err
}
