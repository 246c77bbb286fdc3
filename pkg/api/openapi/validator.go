// Package openapi holds the reference of the HTTP API, which is an OpenAPI 3.1 document, and checks requests and answers
// against it.
//
// An answer with a status, content type, header or field that isn't in the document is an error, so that tests notice when
// the document falls behind the code. The package is for tests and tools: the functions don't link it.
package openapi

import (
	"bytes"
	_ "embed"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Document is the OpenAPI document, in YAML.
//
//go:embed openapi.yaml
var Document []byte

// An Operation is one method of one path in the document.
type Operation struct {
	Method  string
	Pattern string // the path, with names in braces
	ID      string // its operationId
	Open    bool   // whether it can be called without a bearer token
}

// A Validator checks requests and answers against the document. It may be used from many goroutines.
type Validator struct {
	operations []operation
	elsewhere  map[string]answer // the answers for paths that the document doesn't have
	otherwise  map[string]answer // the answers for methods that a path doesn't have
	schemas    map[string]*jsonschema.Schema
}

type operation struct {
	Operation
	request  *jsonschema.Schema // nil if the request has no body
	optional bool               // the body may be missing
	lines    bool               // the body has a value on each line, and its schema is that of a text
	answers  map[string]answer  // by status
}

// An answer is what the document says about one status.
type answer struct {
	types   map[string]*jsonschema.Schema // by content type; empty if there is no body
	headers map[string]header             // by name
}

type header struct {
	required bool
	schema   *jsonschema.Schema
}

// New makes a Validator from the strict copy of the document (see [Strict]). It fails if the document or one of its schemas
// isn't well-formed.
func New() (*Validator, error) {
	r, err := readStrict()
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	v := &Validator{
		operations: r.operations(),
		elsewhere:  map[string]answer{"404": r.answer("#/components/responses/NotFound")},
		otherwise:  map[string]answer{"405": r.answer("#/components/responses/MethodNotAllowed")},
		schemas:    map[string]*jsonschema.Schema{},
	}
	schemas, where := r.at("#/components/schemas")
	for name := range schemas {
		v.schemas[name] = r.schema(below(where, name))
	}
	if r.err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", r.err)
	}
	return v, nil
}

// Operations returns all operations of the document.
func (v *Validator) Operations() (all []Operation) {
	for _, o := range v.operations {
		all = append(all, o.Operation)
	}
	return all
}

// Response checks the answer to a request with that method and path. For a path that the document doesn't have, the answer
// must be a 404, and for a method that a path doesn't have, a 405. A HEAD must have the answer of a GET without its body.
func (v *Validator) Response(method, path string, status int, h http.Header, body []byte) error {
	a, err := v.answerFor(method, path, strconv.Itoa(status))
	if err == nil {
		err = a.check(h, body, method == http.MethodHead)
	}
	if err != nil {
		return fmt.Errorf("%s %s answered %d: %w", method, path, status, err)
	}
	return nil
}

// Request checks the body of a request. The API refuses more than this method does: names that are twice in one object, and
// values that only package mfa can check. A schema can't express that.
func (v *Validator) Request(method, path string, body []byte) error {
	o, _ := v.find(method, path)
	if o == nil {
		return fmt.Errorf("%s %s: the document has no such operation", method, path)
	}
	if o.request == nil {
		if len(body) > 0 {
			return fmt.Errorf("%s %s: the request has no body", method, path)
		}
		return nil
	}
	if o.optional && len(body) == 0 {
		return nil
	}
	check := validate
	if o.lines {
		check = func(schema *jsonschema.Schema, body []byte) error { return schema.Validate(string(body)) }
	}
	if err := check(o.request, body); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// Value checks a value against the schema that has that name in the document.
func (v *Validator) Value(schema string, value any) error {
	s, ok := v.schemas[schema]
	if !ok {
		return fmt.Errorf("the document has no schema %s", schema)
	}
	return s.Validate(value)
}

// find returns the operation of a request. If there is none, samePath is another operation of the same path, or nil.
func (v *Validator) find(method, path string) (found, samePath *operation) {
	for i := range v.operations {
		o := &v.operations[i]
		if !fits(o.Pattern, path) {
			continue
		}
		samePath = o
		if o.Method == method || method == http.MethodHead && o.Method == http.MethodGet {
			return o, o
		}
	}
	return nil, samePath
}

func (v *Validator) answerFor(method, path, status string) (answer, error) {
	answers := v.elsewhere
	found, samePath := v.find(method, path)
	switch {
	case found != nil:
		answers = found.answers
	case samePath != nil:
		answers = v.otherwise
	}
	a, ok := answers[status]
	if !ok {
		return a, fmt.Errorf("the document doesn't have this status here")
	}
	return a, nil
}

func fits(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		named := strings.HasPrefix(want[i], "{") && got[i] != ""
		if !named && want[i] != got[i] {
			return false
		}
	}
	return true
}

func (a *answer) check(h http.Header, body []byte, headersOnly bool) error {
	for name, said := range a.headers {
		values := h.Values(name)
		switch {
		case len(values) == 0 && said.required:
			return fmt.Errorf("the header %s is missing", name)
		case len(values) > 1:
			return fmt.Errorf("the header %s stands more than once", name)
		case len(values) == 1:
			if err := said.schema.Validate(values[0]); err != nil {
				return fmt.Errorf("the header %s: %w", name, err)
			}
		}
	}
	for _, name := range []string{"ETag", "Retry-After", "Allow", "WWW-Authenticate", "Location", "Set-Cookie"} {
		if _, said := a.headers[name]; !said && h.Get(name) != "" {
			return fmt.Errorf("the document doesn't have the header %s here", name)
		}
	}
	if (len(a.types) == 0 || headersOnly) && len(body) > 0 {
		return fmt.Errorf("there is a body, and the document has none")
	}
	if len(a.types) == 0 {
		return nil
	}
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("the Content-Type: %w", err)
	}
	schema, ok := a.types[kind]
	switch {
	case !ok:
		return fmt.Errorf("the document doesn't have the Content-Type %s here", kind)
	case headersOnly:
		return nil
	case !strings.HasSuffix(kind, "json"), strings.HasSuffix(kind, "ndjson"):
		return schema.Validate(string(body))
	}
	return validate(schema, body)
}

func validate(schema *jsonschema.Schema, body []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the body is no JSON: %w", err)
	}
	return schema.Validate(value)
}
