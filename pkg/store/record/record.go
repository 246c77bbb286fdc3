// Package record writes and reads what the body of an item holds. Every body has a format number, so that records can
// change: code reads the formats up to its own and refuses a later one. An older function beside a newer one therefore
// fails closed instead of dropping what it doesn't know.
package record

import (
	"encoding/json"
	"errors"
	"fmt"

	"countersign/pkg/store"
)

// Format is the format of the records that this code writes, and the latest that it reads.
const Format = 1

// ErrUnreadable is wrapped by every error of Decode: the body is damaged, or of a format that this code doesn't know.
var ErrUnreadable = errors.New("unreadable record")

// A Record is what the body of an item holds: a struct that embeds Head.
type Record interface{ header() *Head }

// Head is the part that all records have.
type Head struct {
	Format int `json:"format"` // set by Encode

	// Item is what the record was read from, without its body: set by Decode, and never written. A record that is to be
	// written for the first time has no more of it than the key.
	Item store.Item `json:"-"`
}

func (h *Head) header() *Head { return h }

// Encode gives the body that holds r.
func Encode(r Record) ([]byte, error) {
	r.header().Format = Format
	return json.Marshal(r)
}

// Decode fills r in from the body of item. It fails with ErrUnreadable, for an item that is absent too.
func Decode(item store.Item, r Record) error {
	if err := json.Unmarshal(item.Body, r); err != nil {
		return fmt.Errorf("decode %s: %w: %w", item.Key.Sort, ErrUnreadable, err)
	}
	if r.header().Format < 1 || r.header().Format > Format {
		return fmt.Errorf("decode %s: %w: it has format %d, and this program reads the formats up to %d", item.Key.Sort, ErrUnreadable, r.header().Format, Format)
	}
	item.Body = nil
	r.header().Item = item
	return nil
}
