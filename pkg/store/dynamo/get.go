package dynamo

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"countersign/pkg/store"
)

// readAttempts is how often keys are asked for at most, if DynamoDB leaves them out of its answer.
const readAttempts = 5

// errUnread means that DynamoDB answered each time, but left out some of the items.
var errUnread = errors.New("DynamoDB left items unread through all attempts")

// Get reads one item with a GetItem, and several with a BatchGetItem. When DynamoDB is busy, it may leave items out of the answer
// to a BatchGetItem. Get asks for them again, up to 5 times in all. If an item is still missing then, Get fails: the item doesn't
// count as absent.
func (t *Table) Get(ctx context.Context, keys ...store.Key) ([]store.Item, error) {
	if err := store.CheckGet(keys); err != nil {
		return nil, err
	}
	images, err := t.read(ctx, keys...)
	if err != nil {
		return nil, fmt.Errorf("dynamo: get: %w", err)
	}
	now := t.now()
	items := make([]store.Item, len(keys))
	for i, key := range keys {
		item, there := decodeItem(images[i], now)
		if !there {
			item = store.Item{Key: key}
		}
		items[i] = item
	}
	return items, nil
}

// Held implements store.Holder. An item holds what its last Put handed on until it is put again, deleted or expired.
func (t *Table) Held(ctx context.Context, key store.Key) ([]store.Record, error) {
	if err := store.CheckGet([]store.Key{key}); err != nil {
		return nil, err
	}
	images, err := t.read(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("dynamo: read the events of an item: %w", err)
	}
	_, there := decodeItem(images[0], t.now())
	if record, ok := Decode(images[0]); ok && there {
		return []store.Record{record}, nil
	}
	return nil, nil
}

// read returns all attributes of items in the order of the keys, whether the items have expired or not. It returns no attributes
// for an item that isn't there.
func (t *Table) read(ctx context.Context, keys ...store.Key) ([]map[string]types.AttributeValue, error) {
	if len(keys) == 1 {
		out, err := t.getItem(ctx, &dynamodb.GetItemInput{
			TableName:      t.name,
			Key:            keyImage(keys[0]),
			ConsistentRead: aws.Bool(true),
		})
		if err != nil {
			return nil, err
		}
		return []map[string]types.AttributeValue{out.Item}, nil
	}
	place := make(map[store.Key]int, len(keys))
	wanted := types.KeysAndAttributes{ConsistentRead: aws.Bool(true)}
	for i, key := range keys {
		place[key] = i
		wanted.Keys = append(wanted.Keys, keyImage(key))
	}
	images := make([]map[string]types.AttributeValue, len(keys))
	for attempt := range readAttempts {
		if err := pause(ctx, attempt); err != nil {
			return nil, err
		}
		out, err := t.batchGetItem(ctx, &dynamodb.BatchGetItemInput{
			RequestItems: map[string]types.KeysAndAttributes{*t.name: wanted},
		})
		if err != nil {
			return nil, err
		}
		for _, image := range out.Responses[*t.name] {
			if i, asked := place[imageKey(image)]; asked {
				images[i] = image
			}
		}
		if wanted.Keys = out.UnprocessedKeys[*t.name].Keys; len(wanted.Keys) == 0 {
			return images, nil
		}
	}
	return nil, errUnread
}
