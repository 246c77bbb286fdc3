package activity

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"countersign/pkg/store"
)

// What an event says is stored as CBOR (RFC 8949). Texts have a shorter form if there is one:
//
//	a text of a table   its place, as a simple value
//	an id               a byte string: the place of its prefix, and the bytes that its text encodes
//	an IP address       a byte string: inAddress, and the 4 or 16 bytes of the address
//	a long text         a byte string: inDeflate, and the text as deflate has shortened it
//
// A text is stored as it is if exactly the same text wouldn't come back from such a form.
const (
	inID       = 0   // is added to the place of the prefix; the whole id follows
	inUserID   = 64  // is added to the place of the prefix; the id begins with the route of the event's user, which is left out
	inAddress  = 128 // an IP address
	inDeflate  = 129 // a text that deflate has shortened
	simpleGap  = 20  // CBOR uses or reserves the simple values from here on, up to firstAfter
	firstAfter = 32
	longText   = 24 // how many bytes a text must have at least, so that deflate is tried
)

var errValue = errors.New("not a value that an event can have")

// encoding writes every value in its shortest form. decoding reads what encoding has written.
var (
	encoding = must(cbor.CoreDetEncOptions().EncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		IntDec: cbor.IntDecConvertSignedOrFail, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecMode())
)

func must[T any](mode T, err error) T {
	if err != nil {
		panic(err) // the options are a part of the program
	}
	return mode
}

// A coder encodes and decodes what events say of one user, or of nobody.
type coder struct {
	route   Route     // of the user, or of the org if the events are about nobody
	deflate *deflater // nil if long texts are stored as they are
}

// said returns what an event says in the form in which it is stored. The names of its values are stored by their places.
func (c coder) said(data map[string]any) (map[any]any, error) {
	said := make(map[any]any, len(data))
	for name, value := range data {
		stored, err := c.value(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		said[word(names, name)] = stored
	}
	return said, nil
}

// data returns what an event says from the form in which it is stored.
func (c coder) data(said map[any]any) (map[string]any, error) {
	data := make(map[string]any, len(said))
	for w, stored := range said {
		name, ok := wordOf(names, w)
		if !ok {
			return nil, fmt.Errorf("name %v: %w", w, errValue)
		}
		value, err := c.valueOf(stored)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		data[name] = value
	}
	return data, nil
}

// value returns the form in which v is stored.
func (c coder) value(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, int, int64:
		return v, nil
	case time.Time:
		return c.text(v.Format(time.RFC3339Nano))
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v), nil
		}
		return v, nil
	case string:
		return c.text(v)
	case map[string]any:
		return c.said(v)
	}
	switch of := reflect.ValueOf(v); of.Kind() {
	case reflect.String:
		return c.text(of.String())
	case reflect.Slice:
		stored := make([]any, of.Len())
		for i := range stored {
			var err error
			if stored[i], err = c.value(of.Index(i).Interface()); err != nil {
				return nil, err
			}
		}
		return stored, nil
	}
	return nil, fmt.Errorf("a %T: %w", v, errValue)
}

// valueOf returns the value from the form in which it is stored.
func (c coder) valueOf(stored any) (any, error) {
	switch s := stored.(type) {
	case nil, bool, int64, float64, string:
		return s, nil
	case cbor.SimpleValue:
		if text, ok := values.at(int64(simplePlace(s))); ok {
			return text, nil
		}
	case []byte:
		return c.textOf(s)
	case []any:
		read := make([]any, len(s))
		for i := range s {
			var err error
			if read[i], err = c.valueOf(s[i]); err != nil {
				return nil, err
			}
		}
		return read, nil
	case map[any]any:
		return c.data(s)
	}
	return nil, fmt.Errorf("a %T: %w", stored, errValue)
}

// simple returns the simple value for a place. CBOR has 256 of them, and those from 20 to 31 are not used here.
func simple(place int) cbor.SimpleValue {
	if place >= simpleGap {
		place += firstAfter - simpleGap
	}
	return cbor.SimpleValue(place)
}

// simplePlace returns the place that a simple value means, or -1 if it means none.
func simplePlace(s cbor.SimpleValue) int {
	switch {
	case s < simpleGap:
		return int(s)
	case s >= firstAfter:
		return int(s) - (firstAfter - simpleGap)
	}
	return -1
}

// text returns the form in which a text is stored.
func (c coder) text(text string) (any, error) {
	if place := values.place(text); place >= 0 {
		return simple(place), nil
	}
	if id := c.id(text); id != nil {
		return id, nil
	}
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" && ip.String() == text {
		return append([]byte{inAddress}, ip.AsSlice()...), nil
	}
	if c.deflate != nil && len(text) >= longText {
		if short := c.deflate.shorten(text); short != nil && len(short)+1 < len(text) {
			return append([]byte{inDeflate}, short...), nil
		}
	}
	if !utf8.ValidString(text) {
		return nil, errValue // because it could be written, and never be read again
	}
	return text, nil
}

// textOf returns the text that is stored as a byte string.
func (c coder) textOf(stored []byte) (string, error) {
	if len(stored) == 0 {
		return "", errValue
	}
	form, rest := int(stored[0]), stored[1:]
	switch {
	case form == inDeflate:
		return lengthen(rest)
	case form == inAddress:
		ip, ok := netip.AddrFromSlice(rest)
		if !ok {
			return "", errValue
		}
		return ip.String(), nil
	case form >= inUserID && form-inUserID < len(prefixes.words):
		return prefixes.words[form-inUserID] + base64.RawURLEncoding.EncodeToString(append([]byte(c.route), rest...)), nil
	case form < len(prefixes.words):
		return prefixes.words[form-inID] + base64.RawURLEncoding.EncodeToString(rest), nil
	}
	return "", errValue
}

// id returns the form in which an id is stored. It returns nil if the text is not an id.
func (c coder) id(text string) []byte {
	for place, prefix := range prefixes.stored() {
		random, ok := strings.CutPrefix(text, prefix)
		if !ok {
			continue
		}
		raw, err := base64.RawURLEncoding.DecodeString(random)
		if err != nil || len(raw) == 0 || base64.RawURLEncoding.EncodeToString(raw) != random {
			return nil
		}
		if rest, ours := bytes.CutPrefix(raw, []byte(c.route)); ours && len(c.route) > 0 {
			return append([]byte{byte(inUserID + place)}, rest...)
		}
		return append([]byte{byte(inID + place)}, raw...)
	}
	return nil
}

// A deflater shortens one text after the other. It needs almost a megabyte of memory. So orgs of a batch that are not filed at
// the same time share one.
type deflater struct{ w *flate.Writer }

// flateEnd is what a flate.Writer writes at the end of everything.
const flateEnd = "\x00\x00\xff\xff"

// shorten returns a text as deflate (RFC 1951) shortens it. It returns nil if that can't be used.
func (d *deflater) shorten(text string) []byte {
	var out bytes.Buffer
	if d.w == nil {
		w, err := flate.NewWriterDict(&out, flate.BestCompression, []byte(browsers[laterBrowsers:]))
		if err != nil {
			return nil
		}
		d.w = w
	} else {
		d.w.Reset(&out)
	}
	if _, err := io.WriteString(d.w, text); err != nil || d.w.Close() != nil {
		return nil
	}
	short, ok := bytes.CutSuffix(out.Bytes(), []byte(flateEnd))
	if !ok {
		return nil
	}
	return short
}

// lengthen returns the text that shorten was given.
func lengthen(short []byte) (string, error) {
	r := flate.NewReaderDict(io.MultiReader(bytes.NewReader(short), strings.NewReader(flateEnd)), []byte(browsers))
	text, err := io.ReadAll(io.LimitReader(r, store.MaxItem+1))
	if err != nil || len(text) > store.MaxItem {
		return "", fmt.Errorf("deflate: %w", errors.Join(errValue, err))
	}
	return string(text), nil
}
