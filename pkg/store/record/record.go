// Package record writes and reads what the body of an item holds, and what rides on it: structs, as CBOR (RFC 8949).
//
// Every record has a format number, so that records can change: code reads the formats up to its own and refuses a later
// one. An older function beside a newer one therefore fails closed instead of dropping what it doesn't know. For the same
// reason a record is refused that has a field which this code doesn't know. So is one that has a field twice, or anything
// after its end.
//
// A struct says by the tag "record" under which number each of its fields is kept, and, where that is shorter than the value
// itself, in which form:
//
//	Begun time.Time `record:"4"`        // a time: whole microseconds since 1970
//	Epoch string    `record:"5,word"`   // base64url text: the bytes that it stands for
//	ID    string    `record:"6,id=fa_"` // the same after a prefix
//	User  string    `record:"7"`        // anything else: as it is
//	Item  store.Key `record:"-"`        // not kept
//
// A field is left out where it has its zero value. The number of a field is never given to another field.
//
// It refuses to guess: an exported field without the tag, a number that is there twice, and text that is not of the form
// that its tag says are errors of the program, which no record is written with.
package record

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

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
	Format int `json:"format" record:"0"` // set by Encode

	// Item is what the record was read from, without its body: set by Decode, and never written. A record that is to be
	// written for the first time has no more of it than the key.
	Item store.Item `json:"-" record:"-"`
}

func (h *Head) header() *Head { return h }

// Encode gives the bytes that hold r, a pointer to a struct.
func Encode(r Record) ([]byte, error) {
	r.header().Format = Format
	body, err := marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", r, err)
	}
	return body, nil
}

// Decode fills r in from the body of item. It fails with ErrUnreadable, for an item that is absent too.
func Decode(item store.Item, r Record) error {
	if err := decode(item.Body, r); err != nil {
		return fmt.Errorf("decode %s: %w", item.Key.Sort, err)
	}
	item.Body = nil
	r.header().Item = item
	return nil
}

// decode fills r in from what Encode gave. It fails with ErrUnreadable.
func decode(body []byte, r Record) error {
	damaged := unmarshal(body, r)
	if damaged != nil {
		// What a later format has may not be readable at all. Its number is, and says more.
		var head struct {
			Format int `cbor:"0,keyasint"`
		}
		if lenient.Unmarshal(body, &head) != nil {
			return fmt.Errorf("%w: %w", ErrUnreadable, damaged)
		}
		r.header().Format = head.Format
	}
	switch of := r.header().Format; {
	case of < 1 || of > Format:
		return fmt.Errorf("%w: it has format %d, and this program reads the formats up to %d", ErrUnreadable, of, Format)
	case damaged != nil:
		return fmt.Errorf("%w: %w", ErrUnreadable, damaged)
	}
	return nil
}

// strict reads what Encode writes and nothing else.
var strict = mustMode(cbor.DecOptions{
	DupMapKey:         cbor.DupMapKeyEnforcedAPF,
	IndefLength:       cbor.IndefLengthForbidden,
	TagsMd:            cbor.TagsForbidden,
	ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	IntDec:            cbor.IntDecConvertSignedOrFail, // numbers in maps of anything come as int64
	DefaultMapType:    mapOfAnything,
	MaxNestedLevels:   16,
	NaN:               cbor.NaNDecodeForbidden,
	Inf:               cbor.InfDecodeForbidden,
})

// lenient reads the number of a format, whatever stands beside it.
var lenient = mustMode(cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF})

func mustMode(o cbor.DecOptions) cbor.DecMode {
	mode, err := o.DecMode()
	if err != nil {
		panic(err) // the options are part of the program
	}
	return mode
}

// shortest writes every value in its shortest form, and times in maps of anything as RFC 3339 has them.
var shortest = func() cbor.EncMode {
	o := cbor.CoreDetEncOptions()
	o.Time = cbor.TimeRFC3339Nano
	mode, err := o.EncMode()
	if err != nil {
		panic(err) // the options are part of the program
	}
	return mode
}()
