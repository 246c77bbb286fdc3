// Package record writes and reads what the body of an item holds, and what is stored with it: structs, as CBOR (RFC 8949).
//
// # Fields
//
// The tag "record" of a field says under which number the field is kept. If there is a form that is shorter than the value
// itself, the tag also names that form:
//
//	Begun time.Time `record:"4"`        // a time: whole microseconds since 1970
//	Epoch string    `record:"5,word"`   // base64url text: the bytes that it stands for
//	ID    string    `record:"6,id=fa_"` // the same after a prefix
//	User  string    `record:"7"`        // anything else: as it is
//	Item  store.Key `record:"-"`        // not kept
//
// A field that has its zero value is left out. The number of a field is never given to another field.
//
// # Formats
//
// Every record has a format number, so that records can change although two builds of the program use the same items: a new
// build runs beside the one before it at first, and it may be taken back. So a build reads what the next build will write,
// one step ahead:
//
//   - It writes Format, which the build before it can read too.
//   - It reads every format up to Latest. Latest is Format, or the one after it.
//   - It writes Latest only if the deployment's key ring says so (see EncodeIn). An operator makes the ring say it once no
//     earlier build is running that doesn't read it, and once this build won't be taken back.
//   - A record is never written in an earlier format than the one in which it was read. Otherwise a process that hasn't heard
//     of the change yet would drop what is new in it.
//
// To add a field, raise Latest, and let the tag of the field say since which format it exists:
//
//	Phone string `record:"8,since=2"`
//
// The field can't be written in an earlier format, so code that sets it has to ask for the format first. The build after
// that raises Format, and no longer needs to ask.
//
// A build that reads a format which is later than its Latest refuses it. So it fails closed, and doesn't drop what it doesn't
// know. For the same reason it refuses a record with a field that the record's format doesn't have, with a field that is
// there twice, or with anything after its end.
//
// # What is an error of the program
//
// An exported field without the tag, a number that is there twice, and text that is not of the form that its tag says are errors
// of the program. No record is written with them.
package record

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"countersign/pkg/store"
)

// These are the formats of records: see the package comment.
const (
	Format = 1 // what this build writes, unless the key ring says Latest
	Latest = 1 // the latest format that this build reads
)

// ErrUnreadable is wrapped by every error of Decode: the body is damaged, or its format is one that this build doesn't read.
var ErrUnreadable = errors.New("unreadable record")

// A Record is what the body of an item has: a pointer to a struct that embeds Head.
type Record interface{ header() *Head }

// Head is the part that all records have in common.
type Head struct {
	Format int `json:"format" record:"0"` // the format in which the record was read, or was last written; 0 before that

	// Item is the item from which Decode has read the record, without its body. It is not written. A record that is written for
	// the first time has only the key of it.
	Item store.Item `json:"-" record:"-"`
}

func (h *Head) header() *Head { return h }

// Encode returns the bytes that hold r, a pointer to a struct. They are in Format, or in the later format in which r was read.
func Encode(r Record) ([]byte, error) { return EncodeIn(0, r) }

// EncodeIn is Encode in the format that the deployment's key ring says, which is 0 if it says none. It fails if this build
// doesn't read that format. A format before Format counts as Format.
func EncodeIn(format int, r Record) ([]byte, error) { return build{Format, Latest}.encode(format, r) }

// Decode sets r from the body of item. It fails with ErrUnreadable, also if the item is absent.
func Decode(item store.Item, r Record) error { return build{Format, Latest}.decode(item, r) }

// A build is the program with the formats that it writes and reads.
type build struct{ writes, reads int }

func (b build) encode(format int, r Record) ([]byte, error) {
	head := r.header()
	head.Format = max(b.writes, format, head.Format)
	if head.Format > b.reads {
		return nil, fmt.Errorf("encode %T: format %d is asked for, and this build has the formats up to %d", r, head.Format, b.reads)
	}
	body, err := marshal(r, head.Format)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", r, err)
	}
	return body, nil
}

func (b build) decode(item store.Item, r Record) error {
	if err := b.read(item.Body, r); err != nil {
		return fmt.Errorf("decode %s: %w: %w", item.Key.Sort, ErrUnreadable, err)
	}
	item.Body = nil
	r.header().Item = item
	return nil
}

// read sets r from what encode returned. It reads the number of the format first, because that says which fields there can be.
func (b build) read(body []byte, r Record) error {
	format, err := formatOf(body)
	if err != nil {
		return err
	}
	if format < 1 || format > b.reads {
		return fmt.Errorf("it has format %d, and this build reads the formats up to %d", format, b.reads)
	}
	return unmarshal(body, r, format)
}

var errNoFormat = errors.New("it doesn't begin with the number of its format")

// formatOf reads the number of a record's format and nothing else. It is the field 0 of a map, and in the shortest form of CBOR
// the fields stand in the order of their numbers (RFC 8949 section 4.2.1).
func formatOf(body []byte) (format int, err error) {
	const mapOf, inNextByte = 5, 24 // the major type, and the value that means that the number of fields is in the next byte
	if len(body) == 0 || body[0]>>5 != mapOf {
		return 0, errNoFormat
	}
	rest := body[1:]
	switch n := body[0] & 0x1f; {
	case n == inNextByte && len(rest) > 0:
		rest = rest[1:]
	case n >= inNextByte:
		return 0, errNoFormat
	}
	if len(rest) == 0 || rest[0] != 0 {
		return 0, errNoFormat
	}
	if _, err := strict.UnmarshalFirst(rest[1:], &format); err != nil {
		return 0, errNoFormat
	}
	return format, nil
}

// strict reads what Encode writes, and refuses everything else.
var strict = must(cbor.DecOptions{
	DupMapKey:         cbor.DupMapKeyEnforcedAPF,
	IndefLength:       cbor.IndefLengthForbidden,
	TagsMd:            cbor.TagsForbidden,
	ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	MaxNestedLevels:   16,
}.DecMode())

// shortest writes every value in its shortest form.
var shortest = must(cbor.CoreDetEncOptions().EncMode())

func must[T any](mode T, err error) T {
	if err != nil {
		panic(err) // the options are a part of the program
	}
	return mode
}
