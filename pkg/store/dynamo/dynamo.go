// Package dynamo keeps a store in one DynamoDB table.
//
// The package guarantees the following. Every write has a condition on the item that it writes and on the clock, so nothing
// depends on when DynamoDB removes expired items. Every read is strongly consistent. The token of a Commit is written into its
// items, so if an answer was lost, what a refused write returns shows whether the Commit was carried out.
//
// A Get of one item is a GetItem, and a Get of several items is a BatchGetItem. A Commit of one item is a plain PutItem. A Commit
// of several items is a transaction, which costs twice as much and takes longer.
//
// The package has no scans, no secondary indexes and no reads that may be stale, and it uses no transaction for a single item. It
// doesn't read the table's stream: Decode makes a record of one image, and package stream polls DynamoDB Local.
//
// The keys of the table are pk and sk, which are strings. An item also has these attributes:
//
//	v  string  the token of the Commit that wrote it
//	x  number  the Unix second at which it expires, which is to be the TTL attribute of the table
//	b  binary  its body
//	e  binary  its events
//	n  number  the number that Count keeps
package dynamo

import (
	"context"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"countersign/pkg/store"
)

// These are the names of the table's attributes.
const (
	partitionName = "pk"
	sortName      = "sk"
	versionName   = "v"
	expiryName    = "x"
	bodyName      = "b"
	eventsName    = "e"
	countName     = "n"
)

// These are the conditions on an item. Both of them treat an expired item as absent.
const (
	isAbsent  = "attribute_not_exists(pk) OR x <= :now"
	isVersion = "v = :v AND (attribute_not_exists(x) OR x > :now)"
)

// Options say where a Table keeps its items.
type Options struct {
	// Client sends the requests. Set on it how often a request is tried again after it was throttled, after an error of the
	// server or after a lost connection, and how long each attempt may take.
	Client *dynamodb.Client
	// Table is the name of the table.
	Table string
	// Now returns the time. If it is nil, time.Now is used.
	Now func() time.Time
}

// A Table is a store.Store on a DynamoDB table.
type Table struct {
	name *string
	now  func() time.Time

	// These are the calls of the client that a table makes. It keeps them and not the client: what a value in an interface has in
	// its fields, templates can reach by name, so the linker would keep every method of the client in a program with templates.
	getItem            call[dynamodb.GetItemInput, dynamodb.GetItemOutput]
	batchGetItem       call[dynamodb.BatchGetItemInput, dynamodb.BatchGetItemOutput]
	query              call[dynamodb.QueryInput, dynamodb.QueryOutput]
	putItem            call[dynamodb.PutItemInput, dynamodb.PutItemOutput]
	updateItem         call[dynamodb.UpdateItemInput, dynamodb.UpdateItemOutput]
	transactWriteItems call[dynamodb.TransactWriteItemsInput, dynamodb.TransactWriteItemsOutput]
}

// A call is a method of the client.
type call[In, Out any] func(context.Context, *In, ...func(*dynamodb.Options)) (*Out, error)

var (
	_ store.Store  = (*Table)(nil)
	_ store.Holder = (*Table)(nil)
)

// New returns the store that o describes. It sends no request.
func New(o Options) *Table {
	if o.Now == nil {
		o.Now = time.Now
	}
	c := o.Client
	return &Table{
		name: aws.String(o.Table), now: o.Now,
		getItem: c.GetItem, batchGetItem: c.BatchGetItem, query: c.Query, putItem: c.PutItem, updateItem: c.UpdateItem, transactWriteItems: c.TransactWriteItems,
	}
}

// Decode makes a record of the image of an item in a stream. It reports false if the item has no events.
func Decode(image map[string]types.AttributeValue) (store.Record, bool) {
	r := store.Record{
		Key:     imageKey(image),
		Version: store.Version(text(image[versionName])),
		Events:  binary(image[eventsName]),
	}
	return r, len(r.Events) > 0
}

// decodeItem makes an item of its image. It reports false if there is no such item, or it has expired.
func decodeItem(image map[string]types.AttributeValue, now time.Time) (store.Item, bool) {
	expiry := number(image[expiryName])
	if len(image) == 0 || store.Expired(expiry, now) {
		return store.Item{}, false
	}
	item := store.Item{
		Key:     imageKey(image),
		Version: store.Version(text(image[versionName])),
		Body:    binary(image[bodyName]),
	}
	if expiry != 0 {
		item.Expires = time.Unix(expiry, 0).UTC()
	}
	return item, true
}

func keyImage(key store.Key) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{partitionName: textValue(key.Partition), sortName: textValue(key.Sort)}
}

// imageKey returns the key of an image.
func imageKey(image map[string]types.AttributeValue) store.Key {
	return store.Key{Partition: text(image[partitionName]), Sort: text(image[sortName])}
}

func textValue(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func numberValue(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// text returns the string in v, or "" if v is not a string.
func text(v types.AttributeValue) string {
	if s, ok := v.(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}

// binary returns the bytes in v, or nil if v is not binary.
func binary(v types.AttributeValue) []byte {
	if b, ok := v.(*types.AttributeValueMemberB); ok {
		return b.Value
	}
	return nil
}

// number returns the number in v, or 0 if v is not a number.
func number(v types.AttributeValue) int64 {
	s, ok := v.(*types.AttributeValueMemberN)
	if !ok {
		return 0
	}
	n, _ := strconv.ParseInt(s.Value, 10, 64)
	return n
}

// checkText refuses strings that are not UTF-8. The client would change them, and two keys could become the same.
func checkText(texts ...string) error {
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return fmt.Errorf("%w: text that is not UTF-8", store.ErrInvalid)
		}
	}
	return nil
}
