package activity

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"github.com/fxamacker/cbor/v2"

	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// page is one page of a shard of a day, stored as CBOR.
type page struct {
	Format  int      `cbor:"0,keyasint"`           // the format, as all records have it
	Shards  int      `cbor:"1,keyasint,omitempty"` // how many shards the day has, so that a reader of the last page knows it; 0 means one
	Filed   int64    `cbor:"2,keyasint,omitempty"` // when the page was filed, in milliseconds from the beginning of the day
	Before  []byte   `cbor:"3,keyasint,omitempty"` // the hash of the page before it or, on the first page, of the day
	Count   int      `cbor:"4,keyasint,omitempty"` // how many events are on this page and on those before it
	Entries [][]byte `cbor:"5,keyasint,omitempty"`
}

// encode returns the body of an item with the page.
func (p *page) encode() ([]byte, error) {
	p.Format = record.Format
	return encoding.Marshal(p)
}

// decode sets the page from the body of an item. It fails with record.ErrUnreadable.
func (p *page) decode(item store.Item) error {
	var of struct {
		Format int `cbor:"0,keyasint"`
	}
	if err := cbor.Unmarshal(item.Body, &of); err != nil {
		return fmt.Errorf("decode page %s: %w: %w", item.Key.Sort, record.ErrUnreadable, err)
	}
	if of.Format < 1 || of.Format > record.Latest {
		return fmt.Errorf("decode page %s: %w: it has format %d, and this build reads the formats up to %d", item.Key.Sort, record.ErrUnreadable, of.Format, record.Latest)
	}
	if err := decoding.Unmarshal(item.Body, p); err != nil {
		return fmt.Errorf("decode page %s: %w: %w", item.Key.Sort, record.ErrUnreadable, err)
	}
	return nil
}

func b64[T ~string | ~[]byte](v T) string { return base64.RawURLEncoding.EncodeToString([]byte(v)) }

func pagePartition(r Route, day string, shard int) string {
	return daysPartition(r) + "#" + day + "#" + strconv.Itoa(shard)
}

// pageSort returns the sort of the page with this number. It begins with the number of digits, so pages are in the order of their
// numbers.
func pageSort(number int) string {
	digits := strconv.Itoa(number)
	return strconv.Itoa(len(digits)) + digits
}

// storedPage is a page with its place, and its entries as they were read.
type storedPage struct {
	key    store.Key
	day    string
	number int
	page
	filed   time.Time
	entries []*storedEntry
}

func readPage(day string, item store.Item) (*storedPage, error) {
	p := &storedPage{key: item.Key, day: day}
	if err := p.decode(item); err != nil {
		return nil, err
	}
	began, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return nil, fmt.Errorf("page of day %q: %w", day, err)
	}
	p.filed = began.Add(time.Duration(p.Filed) * time.Millisecond)
	if p.number, err = strconv.Atoi(item.Key.Sort[1:]); err != nil || pageSort(p.number) != item.Key.Sort {
		return nil, fmt.Errorf("page %q of %s has no number", item.Key.Sort, day)
	}
	if p.Shards = max(1, p.Shards); !validShards(p.Shards) {
		return nil, fmt.Errorf("page %d of %s is of %d shards", p.number, day, p.Shards)
	}
	for i, b := range p.Entries {
		e, err := readEntry(b, p.filed)
		if err != nil {
			return nil, fmt.Errorf("entry %d on page %d of %s: %w", i, p.number, day, err)
		}
		p.entries = append(p.entries, e)
	}
	return p, nil
}

// lastPage returns the newest page of a shard, or nil if the shard has none.
func (l *Log) lastPage(ctx context.Context, org Route, day string, shard int) (*storedPage, error) {
	found, err := l.Store.Query(ctx, store.Query{Partition: pagePartition(org, day, shard), Limit: 1, Reverse: true})
	if err != nil || len(found.Items) == 0 {
		return nil, err
	}
	return readPage(day, found.Items[0])
}

// events returns how many events are on the page.
func (p *storedPage) events() (n int) {
	for _, e := range p.entries {
		n += e.count()
	}
	return n
}

// hash returns the hash of the page, which the next page has.
func (p *storedPage) hash() []byte {
	fields := []string{p.key.Partition, p.key.Sort, strconv.Itoa(p.Shards), strconv.FormatInt(p.Filed, 10), string(p.Before), strconv.Itoa(p.Count)}
	for _, e := range p.entries {
		fields = append(fields, strconv.Itoa(e.count()), string(e.digest()))
	}
	sum := sha256.Sum256(seal.Join(fields...))
	return sum[:]
}
