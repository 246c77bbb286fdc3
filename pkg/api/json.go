package api

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// decode reads a body into a value that may hold something already: objects are merged, and everything else is replaced. It
// refuses a null in every field that isn't in nullable, and an empty text in the fields in words.
func decode(body []byte, into any, nullable, words []string) error {
	if jsontext.NewDecoder(bytes.NewReader(body)).PeekKind() != '{' {
		return invalid(wholeBody, "The body must be a JSON object.")
	}
	forms := json.WithUnmarshalers(json.UnmarshalFromFunc(readAction))
	if err := json.Unmarshal(body, into, json.RejectUnknownMembers(true), forms); err != nil {
		return misread(err)
	}
	return misplaced(body, nullable, words)
}

var errNoName = errors.New("an object without a name")

// readAction reads an action: a text, which is its name, or an object, which must have one.
func readAction(d *jsontext.Decoder, a *mfa.Action) error {
	*a = mfa.Action{}
	if d.PeekKind() == '"' {
		return json.UnmarshalDecode(d, &a.Name)
	}
	type object mfa.Action // so that the decoder doesn't call this function again
	err := json.UnmarshalDecode(d, (*object)(a))
	if err == nil && a.Name == "" {
		err = errNoName
	}
	return err
}

// misread says which field of a body is wrong, and what is wrong about it. It never repeats the value.
func misread(err error) *mfa.Error {
	var syntax *jsontext.SyntacticError
	var meaning *json.SemanticError
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntax):
		return invalid(dotted(syntax.JSONPointer), "This field is given twice in one object.")
	case errors.As(err, &meaning) && errors.Is(meaning.Err, json.ErrUnknownName):
		return invalid(dotted(meaning.JSONPointer), "This call has no such field.")
	case errors.Is(err, errNoName) && errors.As(err, &meaning):
		return invalid(dotted(meaning.JSONPointer)+".name", "An action that is an object must have a name.")
	case errors.As(err, &meaning):
		return invalid(dotted(meaning.JSONPointer), "The value has the wrong type, or is out of its range.")
	}
	return invalid(wholeBody, "The body must be one JSON object in UTF-8 (RFC 8259), with nothing after it.")
}

// misplaced refuses the first null in a field that isn't in nullable, and the first empty text in a field that is in words:
// package mfa would take that for a field which was left out. The body must be well-formed JSON.
func misplaced(body []byte, nullable, words []string) error {
	for d := jsontext.NewDecoder(bytes.NewReader(body)); ; {
		token, err := d.ReadToken()
		if err != nil {
			return nil
		}
		null, empty := token.Kind() == 'n', token.Kind() == '"' && token.String() == ""
		if !null && !empty {
			continue
		}
		switch param := dotted(d.StackPointer()); {
		case null && !slices.ContainsFunc(nullable, func(field string) bool { return covers(field, param) }):
			return invalid(param, "This field can't be null.")
		case empty && slices.Contains(words, param):
			return invalid(param, "This field can't be an empty text.")
		}
	}
}

// covers reports whether a name in a list of fields means the field param. A name that ends with ".*" means everything inside a
// field.
func covers(name, param string) bool {
	inside, all := strings.CutSuffix(name, "*")
	return name == param || all && strings.HasPrefix(param, inside)
}

// longestParam is the greatest length of a param in bytes. It needs a limit because its names come from the caller.
const longestParam = 128

// dotted writes a JSON pointer with dots, such as "user.id". If that is too long, it names the object around the field, by
// leaving out the last names.
func dotted(p jsontext.Pointer) string {
	path := ""
	for name := range p.Tokens() {
		name = strings.ToValidUTF8(name, "\uFFFD")
		if path != "" {
			name = "." + name
		}
		if len(path)+len(name) > longestParam {
			break
		}
		path += name
	}
	return path
}

// encode writes an answer. It is the only place where a secret is written in the clear.
func encode(answer any) ([]byte, error) {
	return json.Marshal(answer,
		jsonv1.OmitEmptyWithLegacySemantics(true), // omitempty leaves out zero values, as it does in encoding/json
		json.WithMarshalers(json.MarshalToFunc(func(e *jsontext.Encoder, s seal.Secret) error {
			return e.WriteToken(jsontext.String(s.Reveal()))
		})))
}
