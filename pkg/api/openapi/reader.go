package openapi

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// base is the address that the schema compiler uses for the document. Nothing is loaded from it.
const base = "openapi:document"

// A reader compiles the schemas of the document. It keeps its first error.
type reader struct {
	root     map[string]any
	compiler *jsonschema.Compiler
	err      error
}

// readStrict reads the strict copy of the document. Its reader checks the claims of a token, too.
func readStrict() (*reader, error) {
	root, err := strict()
	if err != nil {
		return nil, err
	}
	r, err := read(root)
	if err != nil {
		return nil, err
	}
	r.compiler.RegisterContentMediaType(&jsonschema.MediaType{Name: "application/jwt", Validate: isToken, UnmarshalJSON: openToken})
	r.compiler.AssertContent()
	return r, nil
}

func read(root map[string]any) (*reader, error) {
	r := &reader{root: root, compiler: jsonschema.NewCompiler()}
	r.compiler.DefaultDraft(jsonschema.Draft2020)
	r.compiler.AssertFormat()
	return r, r.compiler.AddResource(base, root)
}

func isToken(text []byte) error {
	_, err := openToken(text)
	return err
}

// openToken reads the header and the claims of a token. It doesn't check the signature, because it doesn't have the key.
func openToken(text []byte) (any, error) {
	parts := strings.Split(string(text), ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("a token has three parts")
	}
	var said []any
	for _, part := range parts[:2] {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			return nil, err
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			return nil, err
		}
		said = append(said, value)
	}
	return said, nil
}

func (r *reader) fail(pointer, what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %s", pointer, what)
	}
}

// at returns the object that a pointer leads to, and the pointer to it. It follows references.
func (r *reader) at(pointer string) (map[string]any, string) {
	var here any = r.root
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "#/"), "/") {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		within, _ := here.(map[string]any)
		here = within[token]
	}
	object, ok := here.(map[string]any)
	if !ok {
		r.fail(pointer, "there is no such object")
		return nil, pointer
	}
	if to, ok := object["$ref"].(string); ok {
		return r.at(to)
	}
	return object, pointer
}

// refer returns the object that a reference leads to. An object that isn't a reference is returned as it is.
func (r *reader) refer(object map[string]any) map[string]any {
	if to, ok := object["$ref"].(string); ok {
		object, _ = r.at(to)
	}
	return object
}

func below(pointer, name string) string {
	return pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func (r *reader) schema(pointer string) *jsonschema.Schema {
	s, err := r.compiler.Compile(base + pointer)
	if err != nil {
		r.fail(pointer, err.Error())
	}
	return s
}

func (r *reader) operations() (all []operation) {
	paths, _ := r.at("#/paths")
	for _, pattern := range slices.Sorted(maps.Keys(paths)) {
		item, where := r.at(below("#/paths", pattern))
		for _, method := range []string{"get", "put", "post", "delete", "patch", "head", "options", "trace"} {
			if _, ok := item[method]; ok {
				all = append(all, r.operation(pattern, method, below(where, method)))
			}
		}
	}
	return all
}

func (r *reader) operation(pattern, method, pointer string) operation {
	said, _ := r.at(pointer)
	o := operation{Operation: Operation{Method: strings.ToUpper(method), Pattern: pattern}, answers: map[string]answer{}}
	o.ID, _ = said["operationId"].(string)
	security, overrides := said["security"].([]any)
	o.Open = overrides && len(security) == 0
	if _, ok := said["requestBody"]; ok {
		body, where := r.at(below(pointer, "requestBody"))
		required, _ := body["required"].(bool)
		o.optional = !required
		kind := "application~1json"
		if _, o.lines = within(body, "content")["application/x-ndjson"]; o.lines {
			kind = "application~1x-ndjson"
		}
		o.request = r.schema(where + "/content/" + kind + "/schema")
	}
	responses, where := r.at(below(pointer, "responses"))
	for status := range responses {
		o.answers[status] = r.answer(below(where, status))
	}
	return o
}

func (r *reader) answer(pointer string) answer {
	a := answer{types: map[string]*jsonschema.Schema{}, headers: map[string]header{}}
	said, where := r.at(pointer)
	content, _ := said["content"].(map[string]any)
	for _, kind := range slices.Sorted(maps.Keys(content)) {
		a.types[kind] = r.schema(below(where+"/content", kind) + "/schema")
	}
	headers, _ := said["headers"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		about, at := r.at(below(where+"/headers", name))
		required, _ := about["required"].(bool)
		a.headers[name] = header{required: required, schema: r.schema(at + "/schema")}
	}
	return a
}
