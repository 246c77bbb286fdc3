// Package dynamo keeps a store in one DynamoDB table.
//
// The invariants: every write carries a condition, on the item it writes and on the clock, so that nothing depends on
// when DynamoDB removes what has expired; every read is strongly consistent; and the token of a Commit is written into
// its items, so that whether a lost answer was a yes can be read off what a refused write returns.
//
// A Get of one item is a GetItem, one of several a BatchGetItem. A Commit of one item is a plain PutItem. Only a Commit of several is a transaction, which costs twice as much and
// takes longer.
//
// What it refuses to do: scans, secondary indexes, reads that may be stale, and transactions where one item is written.
// It doesn't read the table's stream; Decode makes a record of one image, and package stream polls DynamoDB Local.
//
// The table's keys are pk and sk, both strings. An item's other attributes: v, the token of the Commit that wrote it;
// x, the Unix second at which it expires (to be named as the table's TTL attribute); b, its body; e, its events; and n,
// the number kept by Count.
package dynamo

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"countersign/pkg/store"
)

// Names of the table's attributes.
const (
	partitionName = "pk"
	sortName      = "sk"
	versionName   = "v"
	expiryName    = "x"
	bodyName      = "b"
	eventsName    = "e"
	countName     = "n"
)

// Conditions on an item; each leaves out what has expired.
const (
	isAbsent  = "attribute_not_exists(pk) OR x <= :now"
	isVersion = "v = :v AND (attribute_not_exists(x) OR x > :now)"
)

// Options say where a Table keeps its items.
type Options struct {
	// Client sends the requests. How often one is tried again after a throttle, a server error or a lost connection,
	// and for how long each attempt may take, is set on it.
	Client *dynamodb.Client
	// Table is the table's name.
	Table string
	// Now tells the time. Nil means time.Now.
	Now func() time.Time
}

// A Table is a store.Store on a DynamoDB table.
type Table struct {
	client *dynamodb.Client
	name   *string
	now    func() time.Time
}

var (
	_ store.Store  = (*Table)(nil)
	_ store.Holder = (*Table)(nil)
)

// New returns the store that o describes. It sends nothing.
func New(o Options) *Table {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Table{client: o.Client, name: aws.String(o.Table), now: o.Now}
}

// Decode makes a record of an item as a stream shows it. It answers false for one that hands nothing on.
func Decode(image map[string]types.AttributeValue) (store.Record, bool) {
	r := store.Record{
		Key:     imageKey(image),
		Version: store.Version(text(image[versionName])),
		Events:  binary(image[eventsName]),
	}
	return r, len(r.Events) > 0
}

// decodeItem makes an item of its image. It answers false for one that isn't there or has expired.
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

// imageKey is the key of an image.
func imageKey(image map[string]types.AttributeValue) store.Key {
	return store.Key{Partition: text(image[partitionName]), Sort: text(image[sortName])}
}

func textValue(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func numberValue(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// text is the string in v, or "" if it holds none.
func text(v types.AttributeValue) string {
	if s, ok := v.(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}

// binary is the bytes in v, or nil if it holds none.
func binary(v types.AttributeValue) []byte {
	if b, ok := v.(*types.AttributeValueMemberB); ok {
		return b.Value
	}
	return nil
}

// number is the number in v, or 0 if it holds none.
func number(v types.AttributeValue) int64 {
	s, ok := v.(*types.AttributeValueMemberN)
	if !ok {
		return 0
	}
	n, _ := strconv.ParseInt(s.Value, 10, 64)
	return n
}

// checkText refuses strings that are not UTF-8: the client would change them on their way, and two keys become one.
func checkText(texts ...string) error {
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return fmt.Errorf("%w: text that is not UTF-8", store.ErrInvalid)
		}
	}
	return nil
}
