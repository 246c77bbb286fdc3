package dynamo

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"countersign/pkg/store"
)

// queryRounds is how many requests one Query sends at most to find its items among expired ones.
const queryRounds = 8

// Query reads a page of a partition. It sends as many requests as it takes to fill the page, up to 8.
func (t *Table) Query(ctx context.Context, q store.Query) (store.Page, error) {
	limit, err := store.CheckQuery(q)
	if err != nil {
		return store.Page{}, err
	}
	if err := checkText(q.Partition, q.Prefix, q.After); err != nil {
		return store.Page{}, err
	}
	from, some := start(q)
	if !some {
		return store.Page{}, nil
	}
	in := &dynamodb.QueryInput{
		TableName:                 t.name,
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":pk": textValue(q.Partition)},
		ConsistentRead:            aws.Bool(true),
		ScanIndexForward:          aws.Bool(!q.Reverse),
		ExclusiveStartKey:         from,
	}
	if q.Prefix != "" {
		in.KeyConditionExpression = aws.String("pk = :pk AND begins_with(sk, :prefix)")
		in.ExpressionAttributeValues[":prefix"] = textValue(q.Prefix)
	}
	var page store.Page
	now := t.now()
	ask := limit
	for range queryRounds {
		in.Limit = aws.Int32(int32(ask))
		out, err := t.query(ctx, in)
		if err != nil {
			return store.Page{}, fmt.Errorf("dynamo: query: %w", err)
		}
		for _, image := range out.Items {
			item, there := decodeItem(image, now)
			if !there {
				continue
			}
			if len(page.Items) == limit {
				page.Last, page.More = page.Items[limit-1].Key.Sort, true
				return page, nil
			}
			page.Items = append(page.Items, item)
		}
		page.Last, page.More = text(out.LastEvaluatedKey[sortName]), len(out.LastEvaluatedKey) > 0
		if !page.More || len(page.Items) == limit {
			return page, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
		ask = min(4*ask, store.MaxLimit) // so that many expired items are passed with few requests
	}
	return page, nil
}

// start returns the key after which q begins, or none if q begins at the first or last item that has its prefix. It reports false
// if no item that has the prefix comes after After. DynamoDB takes a key only if it has the prefix; there needn't be such an item.
func start(q store.Query) (from map[string]types.AttributeValue, some bool) {
	switch {
	case q.After == "":
		return nil, true
	case strings.HasPrefix(q.After, q.Prefix):
		return keyImage(store.Key{Partition: q.Partition, Sort: q.After}), true
	default:
		return nil, (q.After < q.Prefix) != q.Reverse
	}
}
