package record

import (
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

var (
	timeType      = reflect.TypeFor[time.Time]()
	mapOfAnything = reflect.TypeFor[map[string]any]()
	bytesType     = reflect.TypeFor[[]byte]()
)

// A form is how values of a Go type are kept: the type that the CBOR library reads and writes for it, and the way there and
// back. The way there is nil where the value is kept as it is.
type form struct {
	kept reflect.Type
	put  func(from, into reflect.Value) error // from what the program has to what is kept
	take func(from, into reflect.Value) error // and back
}

func asIs(t reflect.Type) *form { return &form{kept: t} }

func (f *form) putInto(from, into reflect.Value) error {
	if f.put == nil {
		into.Set(from)
		return nil
	}
	return f.put(from, into)
}

func (f *form) takeInto(from, into reflect.Value) error {
	if f.take == nil {
		into.Set(from)
		return nil
	}
	return f.take(from, into)
}

// marshal gives the bytes of a struct that v points to, in a format.
func marshal(v any, format int) ([]byte, error) {
	from := reflect.ValueOf(v).Elem()
	f, err := formOfStruct(from.Type(), format)
	if err != nil {
		return nil, err
	}
	into := reflect.New(f.kept)
	if err := f.put(from, into.Elem()); err != nil {
		return nil, err
	}
	return shortest.Marshal(into.Interface())
}

// unmarshal sets a struct that v points to from what marshal gave in a format.
func unmarshal(data []byte, v any, format int) error {
	into := reflect.ValueOf(v).Elem()
	f, err := formOfStruct(into.Type(), format)
	if err != nil {
		return err
	}
	from := reflect.New(f.kept)
	if err := strict.Unmarshal(data, from.Interface()); err != nil {
		return err
	}
	return f.take(from.Elem(), into)
}

// formOf is the form of a type in a format, as an option of its field's tag says, if it says anything.
func formOf(t reflect.Type, option string, format int) (*form, error) {
	name, prefix, _ := strings.Cut(option, "=")
	switch {
	case name == "word", name == "secret", name == "id":
		if t.Kind() == reflect.String {
			return formOfText(prefix), nil
		}
		if t == bytesType {
			return asIs(t), nil
		}
		if t.Kind() == reflect.Slice {
			return formOfSlice(t, option, format)
		}
		return nil, fmt.Errorf("a %s is no text of the form %s", t, option)
	case option != "":
		return nil, fmt.Errorf("there is no form %s", option)
	case t == timeType:
		return formOfTime, nil
	case t == mapOfAnything:
		return formOfMap, nil
	}
	switch t.Kind() {
	case reflect.Struct:
		return formOfStruct(t, format)
	case reflect.Pointer:
		return formOfPointer(t, format)
	case reflect.Slice:
		return formOfSlice(t, "", format)
	case reflect.String:
		return formOfString(t), nil
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Uint, reflect.Uint32, reflect.Uint8:
		return asIs(t), nil
	}
	return nil, fmt.Errorf("a %s can't be kept", t)
}

// formOfString keeps text as it is, where it is text: what isn't UTF-8 could be written and never read again.
func formOfString(t reflect.Type) *form {
	return &form{kept: t, put: func(from, into reflect.Value) error {
		if !utf8.ValidString(from.String()) {
			return errNotText
		}
		into.Set(from)
		return nil
	}}
}

var errNotText = errors.New("text that is not UTF-8")

// formOfText keeps base64url text, after a prefix, as the bytes that it stands for. There is one such text for any bytes.
func formOfText(prefix string) *form {
	strictly := base64.RawURLEncoding.Strict()
	return &form{
		kept: bytesType,
		put: func(from, into reflect.Value) error {
			if from.Len() == 0 {
				return nil
			}
			text, ok := strings.CutPrefix(from.String(), prefix)
			raw, err := strictly.DecodeString(text)
			if !ok || err != nil || len(raw) == 0 {
				return fmt.Errorf("text that is not base64url after %q", prefix)
			}
			into.SetBytes(raw)
			return nil
		},
		take: func(from, into reflect.Value) error {
			if from.Len() > 0 {
				into.SetString(prefix + strictly.EncodeToString(from.Bytes()))
			}
			return nil
		},
	}
}

// formOfTime keeps a time as microseconds since 1970, and the zero time as 0.
var formOfTime = &form{
	kept: reflect.TypeFor[int64](),
	put: func(from, into reflect.Value) error {
		if t := from.Interface().(time.Time); !t.IsZero() {
			into.SetInt(t.UnixMicro())
		}
		return nil
	},
	take: func(from, into reflect.Value) error {
		if micros := from.Int(); micros != 0 {
			into.Set(reflect.ValueOf(time.UnixMicro(micros).UTC()))
		}
		return nil
	},
}

// formOfMap keeps a map of anything as it is, where all text in it is text.
var formOfMap = &form{kept: mapOfAnything, put: func(from, into reflect.Value) error {
	into.Set(from)
	return checkText(from)
}}

func checkText(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if !v.IsNil() {
			return checkText(v.Elem())
		}
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			return errNotText
		}
	case reflect.Slice:
		for i := range v.Len() {
			if err := checkText(v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		for key, value := range v.Seq2() {
			if err := errors.Join(checkText(key), checkText(value)); err != nil {
				return err
			}
		}
	}
	return nil
}

func formOfPointer(t reflect.Type, format int) (*form, error) {
	of, err := formOf(t.Elem(), "", format)
	if err != nil {
		return nil, err
	}
	return &form{
		kept: reflect.PointerTo(of.kept),
		put: func(from, into reflect.Value) error {
			if from.IsNil() {
				return nil
			}
			into.Set(reflect.New(of.kept))
			return of.putInto(from.Elem(), into.Elem())
		},
		take: func(from, into reflect.Value) error {
			if from.IsNil() {
				return nil
			}
			into.Set(reflect.New(t.Elem()))
			return of.takeInto(from.Elem(), into.Elem())
		},
	}, nil
}

// formOfSlice keeps each element in the form that the tag's option says, if it says anything.
func formOfSlice(t reflect.Type, option string, format int) (*form, error) {
	of, err := formOf(t.Elem(), option, format)
	if err != nil {
		return nil, err
	}
	if of.put == nil {
		return asIs(t), nil
	}
	kept := reflect.SliceOf(of.kept)
	each := func(made reflect.Type, way func(from, into reflect.Value) error) func(from, into reflect.Value) error {
		return func(from, into reflect.Value) error {
			if from.IsNil() {
				return nil
			}
			into.Set(reflect.MakeSlice(made, from.Len(), from.Len()))
			for i := range from.Len() {
				if err := way(from.Index(i), into.Index(i)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return &form{kept: kept, put: each(kept, of.putInto), take: each(t, of.takeInto)}, nil
}

// A field is one of a struct's.
type field struct {
	reflect.StructField
	number int
	option string
	since  int // the first format that has the field
	of     *form
}

// known are the forms of the structs that have come so far: a *form by its inFormat.
var known sync.Map

type inFormat struct {
	reflect.Type
	format int
}

func formOfStruct(t reflect.Type, format int) (*form, error) {
	if f, ok := known.Load(inFormat{t, format}); ok {
		return f.(*form), nil
	}
	fields, err := fieldsOf(t, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t, err)
	}
	var later []field // that the format doesn't have
	fields, later = partition(fields, format)
	var kept []reflect.StructField
	for i := range fields {
		f := &fields[i]
		if f.of, err = formOf(f.Type, f.option, format); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t, f.Name, err)
		}
		number := strconv.Itoa(f.number)
		kept = append(kept, reflect.StructField{
			Name: "F" + number, Type: f.of.kept, Tag: reflect.StructTag(`cbor:"` + number + `,keyasint,omitzero"`),
		})
	}
	made := &form{
		kept: reflect.StructOf(kept),
		put: func(from, into reflect.Value) error {
			for _, f := range later {
				if !from.FieldByIndex(f.Index).IsZero() {
					return fmt.Errorf("%s: there is no such field before format %d, and this is format %d", f.Name, f.since, format)
				}
			}
			for i, f := range fields {
				if err := f.of.putInto(from.FieldByIndex(f.Index), into.Field(i)); err != nil {
					return fmt.Errorf("%s: %w", f.Name, err)
				}
			}
			return nil
		},
		take: func(from, into reflect.Value) error {
			for _, f := range later {
				into.FieldByIndex(f.Index).SetZero()
			}
			for i, f := range fields {
				at := into.FieldByIndex(f.Index)
				at.SetZero() // what was left out
				if err := f.of.takeInto(from.Field(i), at); err != nil {
					return fmt.Errorf("%s: %w", f.Name, err)
				}
			}
			return nil
		},
	}
	known.Store(inFormat{t, format}, made)
	return made, nil
}

// fieldsOf are the fields that a struct keeps, with those of the structs that it embeds without giving them a number.
func fieldsOf(t reflect.Type, index []int) (fields []field, err error) {
	taken := map[int]string{}
	for i := range t.NumField() {
		f := t.Field(i)
		f.Index = append(append([]int(nil), index...), i)
		tag, tagged := f.Tag.Lookup("record")
		var found []field
		switch {
		case tag == "-" || !tagged && !f.IsExported() && !f.Anonymous:
			continue
		case !tagged && f.Anonymous && f.Type.Kind() == reflect.Struct:
			if found, err = fieldsOf(f.Type, f.Index); err != nil {
				return nil, err
			}
		default:
			one, err := newField(f, tag)
			if err != nil {
				return nil, err
			}
			found = []field{one}
		}
		for _, one := range found {
			if other, twice := taken[one.number]; twice {
				return nil, fmt.Errorf("the fields %s and %s have one number", other, one.Name)
			}
			taken[one.number] = one.Name
		}
		fields = append(fields, found...)
	}
	return fields, nil
}

// newField reads the tag of a field: its number, and after that in any order its form and the first format that has it.
func newField(f reflect.StructField, tag string) (field, error) {
	words := strings.Split(tag, ",")
	number, err := strconv.Atoi(words[0])
	if err != nil || number < 0 || !f.IsExported() {
		return field{}, fmt.Errorf("the field %s has no number to be kept under", f.Name)
	}
	made := field{StructField: f, number: number}
	for _, word := range words[1:] {
		since, dated := strings.CutPrefix(word, "since=")
		if !dated {
			made.option = word
		} else if made.since, err = strconv.Atoi(since); err != nil {
			return field{}, fmt.Errorf("the field %s is there since format %q, which is not a number", f.Name, since)
		}
	}
	return made, nil
}

// partition returns the fields that a format has, and those that it doesn't have yet.
func partition(fields []field, format int) (here, later []field) {
	for _, f := range fields {
		if f.since <= format {
			here = append(here, f)
		} else {
			later = append(later, f)
		}
	}
	return here, later
}
