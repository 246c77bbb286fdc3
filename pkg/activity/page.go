package activity

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// page is one page of a shard of a day.
type page struct {
	record.Head
	Shards  int      `json:"shards,omitempty" record:"1"` // that the day has, so that who reads the last page needs no other item; 0: one
	Filed   int64    `json:"filed" record:"2"`            // milliseconds from the beginning of the day
	Before  []byte   `json:"before" record:"3"`           // hash of the page before; of the first page, of the day
	Count   int      `json:"count" record:"4"`            // of events, on this page and those before it
	Entries [][]byte `json:"entries" record:"5"`
}

func b64[T ~string | ~[]byte](v T) string { return base64.RawURLEncoding.EncodeToString([]byte(v)) }

func pagePartition(r Route, day string, shard int) string {
	return daysPartition(r) + "#" + day + "#" + strconv.Itoa(shard)
}

// pageSort begins with how many digits the number has, so that pages are in order of their numbers.
func pageSort(number int) string {
	digits := strconv.Itoa(number)
	return strconv.Itoa(len(digits)) + digits
}

// storedPage is a page with where it is, and its entries as they were read.
type storedPage struct {
	day    string
	number int
	page
	filed   time.Time
	entries []*storedEntry
}

func readPage(day string, item store.Item) (*storedPage, error) {
	p := &storedPage{day: day}
	if err := record.Decode(item, &p.page); err != nil {
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

// lastPage is the newest page of a shard; nil: it has none.
func (l *Log) lastPage(ctx context.Context, org Route, day string, shard int) (*storedPage, error) {
	found, err := l.Store.Query(ctx, store.Query{Partition: pagePartition(org, day, shard), Limit: 1, Reverse: true})
	if err != nil || len(found.Items) == 0 {
		return nil, err
	}
	return readPage(day, found.Items[0])
}

// events is how many events are on the page.
func (p *storedPage) events() (n int) {
	for _, e := range p.entries {
		n += e.count()
	}
	return n
}

// hash is what the next page carries of this one.
func (p *storedPage) hash() []byte {
	fields := []string{p.Item.Key.Partition, p.Item.Key.Sort, strconv.Itoa(p.Shards), strconv.FormatInt(p.Filed, 10), string(p.Before), strconv.Itoa(p.Count)}
	for _, e := range p.entries {
		fields = append(fields, strconv.Itoa(e.count()), string(e.digest()))
	}
	sum := sha256.Sum256(seal.Join(fields...))
	return sum[:]
}
