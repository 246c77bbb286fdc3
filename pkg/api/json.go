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

// decode reads a body into what into already holds: objects merge, everything else is replaced. A null is refused but
// for the fields in nullable, and an empty text for those in words.
func decode(body []byte, into any, nullable, words []string) error {
	if jsontext.NewDecoder(bytes.NewReader(body)).PeekKind() != '{' {
		return invalid("", "The body must be a JSON object.")
	}
	if err := json.Unmarshal(body, into, json.RejectUnknownMembers(true)); err != nil {
		return misread(err)
	}
	return misplaced(body, nullable, words)
}

// misread says where a body is wrong and in which way. It never repeats what was there.
func misread(err error) *mfa.Error {
	var syntax *jsontext.SyntacticError
	var meaning *json.SemanticError
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntax):
		return invalid(dotted(syntax.JSONPointer), "This field is given twice in one object.")
	case errors.As(err, &meaning) && errors.Is(meaning.Err, json.ErrUnknownName):
		return invalid(dotted(meaning.JSONPointer), "This call has no such field.")
	case errors.As(err, &meaning):
		return invalid(dotted(meaning.JSONPointer), "The value has the wrong type, or is out of its range.")
	}
	return invalid("", "The body must be one JSON object in UTF-8 (RFC 8259), with nothing after it.")
}

// misplaced refuses the first null that isn't in the place of a nullable field, and the first empty text in the place of
// one of the words, which the domain would take for absent. The body is known to be well formed.
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
		case null && !slices.Contains(nullable, param):
			return invalid(param, "This field can't be null.")
		case empty && slices.Contains(words, param):
			return invalid(param, "This field can't be an empty text.")
		}
	}
}

// longestParam bounds a param, in bytes: the names in it are the caller's.
const longestParam = 128

// dotted writes a pointer as "user.id". What would make it too long is left out, and names the part that holds it.
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
		jsonv1.OmitEmptyWithLegacySemantics(true), // the domain's omitempty is that of encoding/json: a zero is left out
		json.WithMarshalers(json.MarshalToFunc(func(e *jsontext.Encoder, s seal.Secret) error {
			return e.WriteToken(jsontext.String(s.Reveal()))
		})))
}
