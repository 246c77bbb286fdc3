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
	timeType  = reflect.TypeFor[time.Time]()
	bytesType = reflect.TypeFor[[]byte]()
)

// A form says how values of a Go type are stored. kept is the type that the CBOR library reads and writes in their place. put and
// take are nil if the value is stored as it is.
type form struct {
	kept reflect.Type
	put  func(from, into reflect.Value) error // makes what is kept from the program's value
	take func(from, into reflect.Value) error // makes the program's value from what is kept
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

// marshal returns the bytes in which a struct is kept in a format. v points to the struct.
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

// unmarshal sets the struct to which v points, from the bytes that marshal returned in the same format.
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

// formOf returns the form of a type in a format. option is what the tag of its field says of the form, or empty.
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

// formOfString keeps text as it is. It refuses text that is not UTF-8, because that could be written, and never be read again.
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

// formOfText stores base64url text that comes after a prefix as the bytes that the text encodes. For all bytes there is exactly
// one such text.
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

// formOfTime keeps a time as whole microseconds since 1970, and the zero time as 0.
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

// formOfSlice keeps each element in the form that option says.
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

// A field is a field of a struct, with what its tag says.
type field struct {
	reflect.StructField
	number int
	option string
	since  int // the first format that has the field
	of     *form
}

// known has the forms of structs that were needed so far: a *form for each inFormat.
var known sync.Map

// inFormat is a struct in one format.
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
	var later []field // the fields that the format doesn't have yet
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
				at.SetZero() // because a field with its zero value was left out
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

// fieldsOf returns the fields of a struct that are kept, also those of structs that it embeds without a number.
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

// newField reads the tag of a field. First comes its number, then in any order its form and the first format that has it.
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
