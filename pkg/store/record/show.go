package record

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"countersign/pkg/store"
)

// Show returns what an item has as a JSON object, for operators to look at. The names of the fields are those of their json tags.
// Fields with their zero value are left out. r is an empty record of the item's kind, and Show sets its fields. Show fails with
// ErrUnreadable if the item doesn't have such a record.
//
// For bytes, and for text whose tag says "secret", Show shows only the number of bytes. Bytes whose tag says "word" are stored
// text, which Show shows as text.
func Show(item store.Item, r Record) ([]byte, error) {
	if err := Decode(item, r); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := show(&out, reflect.ValueOf(r).Elem(), ""); err != nil {
		return nil, fmt.Errorf("show %s: %w", item.Key.Sort, err)
	}
	return out.Bytes(), nil
}

func show(out *bytes.Buffer, v reflect.Value, option string) error {
	t := v.Type()
	isBytes := t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
	switch {
	case t == reflect.TypeFor[json.RawMessage](): // it is already JSON, and meant to be read
	case option == "secret" && t.Kind() == reflect.String:
		return show(out, reflect.ValueOf(hidden(base64.RawURLEncoding.DecodedLen(v.Len()))), "")
	case isBytes && option == "word":
		return show(out, reflect.ValueOf(base64.RawURLEncoding.EncodeToString(v.Bytes())), "")
	case isBytes:
		return show(out, reflect.ValueOf(hidden(v.Len())), "")
	case t.Kind() == reflect.Pointer && !v.IsNil():
		return show(out, v.Elem(), "")
	case t.Kind() == reflect.Slice:
		return showAll(out, v, option)
	case t.Kind() == reflect.Struct && t != timeType:
		return showFields(out, v)
	}
	text, err := json.Marshal(v.Interface())
	out.Write(text)
	return err
}

// hidden returns what is shown in the place of n bytes that nobody may see.
func hidden(n int) string { return fmt.Sprintf("(%d bytes)", n) }

func showAll(out *bytes.Buffer, v reflect.Value, option string) error {
	out.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := show(out, v.Index(i), option); err != nil {
			return err
		}
	}
	out.WriteByte(']')
	return nil
}

func showFields(out *bytes.Buffer, v reflect.Value) error {
	fields, err := fieldsOf(v.Type(), nil)
	if err != nil {
		return err
	}
	out.WriteByte('{')
	first := true
	for _, f := range fields {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			return fmt.Errorf("the field %s has no name to be shown by", f.Name)
		}
		value := v.FieldByIndex(f.Index)
		if value.IsZero() {
			continue
		}
		if !first {
			out.WriteByte(',')
		}
		first = false
		fmt.Fprintf(out, "%q:", name)
		if err := show(out, value, f.option); err != nil {
			return err
		}
	}
	out.WriteByte('}')
	return nil
}
