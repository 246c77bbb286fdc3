package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// Strict returns the strict copy of the document, in JSON. In it, an answer can have only the fields that are listed, an
// operation can have only its own statuses and codes, and every header that is listed is required.
//
// The document itself allows more fields in answers, because callers ignore what they don't know. It has one default answer for
// the problems of all operations. Extensions, which other tools ignore, have what makes the copy strict. x-problems lists the
// codes of an operation, and x-status has the status of each code. x-strict has further rules. For a schema, that is written in
// the keywords of JSON Schema. For a header, it is the one status that has the header, and whether that status always has it.
func Strict() ([]byte, error) {
	root, err := strict()
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(root, "", " ")
}

// parse reads the document as it is published.
func parse() (map[string]any, error) {
	var parsed any
	if err := yaml.Unmarshal(Document, &parsed); err != nil {
		return nil, err
	}
	// By way of JSON, the values are those that the schema compiler knows.
	text, err := json.Marshal(parsed)
	if err != nil {
		return nil, err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	root, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the document is no object")
	}
	return root, nil
}

func strict() (map[string]any, error) {
	root, err := parse()
	if err != nil {
		return nil, err
	}
	c := &closer{root: root, schemas: within(root, "components", "schemas"), closed: map[string]any{}}
	for name, item := range within(root, "paths") {
		for method := range within(root, "paths", name) {
			if operation := within(item, method); operation["responses"] != nil {
				c.operation(name+" "+method, operation)
			}
		}
	}
	if len(c.problem) == 0 {
		c.fail("no operation has a default answer")
	} else {
		within(root, "components")["responses"] = map[string]any{
			"NotFound":         c.refusal("404", []any{"not_found"}),
			"MethodNotAllowed": c.refusal("405", []any{"method_not_allowed"}),
		}
	}
	maps.Copy(c.schemas, c.closed)
	return root, c.err
}

// A closer turns the document into its strict copy. It keeps its first error.
type closer struct {
	root    map[string]any
	schemas map[string]any
	closed  map[string]any // strict schemas of answers, by their new names
	problem map[string]any // the default answer
	err     error
}

func (c *closer) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("make the strict copy: "+format, args...)
	}
}

// within returns the object that is reached by following names through objects. If there is none, the result is empty.
func within(here any, names ...string) map[string]any {
	for _, name := range names {
		object, _ := here.(map[string]any)
		here = object[name]
	}
	object, _ := here.(map[string]any)
	return object
}

// find returns the object that a reference leads to. An object that isn't a reference is returned as it is.
func (c *closer) find(object map[string]any) map[string]any {
	to, ok := object["$ref"].(string)
	if !ok {
		return object
	}
	found := within(c.root, strings.Split(strings.TrimPrefix(to, "#/"), "/")...)
	if len(found) == 0 {
		c.fail("%s leads to nothing", to)
	}
	return found
}

// operation replaces the default answer of an operation by one answer for each status that the operation can have.
func (c *closer) operation(name string, operation map[string]any) {
	said := within(operation, "responses")
	if said["default"] == nil {
		c.fail("%s has no default answer", name)
		return
	}
	if c.problem == nil {
		c.problem = c.find(within(said, "default"))
	}
	answers := map[string]any{}
	for status := range said {
		if status != "default" {
			answers[status] = c.answer(c.find(within(said, status)), status)
		}
	}
	codes := map[string][]any{}
	listed, _ := operation["x-problems"].([]any)
	for _, code := range listed {
		status := c.status(code)
		codes[status] = append(codes[status], code)
	}
	for status, codes := range codes {
		answers[status] = c.refusal(status, codes)
	}
	operation["responses"] = answers
}

// status returns the HTTP status of a code.
func (c *closer) status(code any) string {
	name, _ := code.(string)
	status := within(c.schemas, "Code", "x-status")[name]
	if status == nil {
		c.fail("the code %v has no status", code)
	}
	return fmt.Sprint(status)
}

// refusal returns the answer for one status with some codes. It is a problem document; a refusal of the gateway isn't allowed.
func (c *closer) refusal(status string, codes []any) map[string]any {
	const problem = "application/problem+json"
	answer := maps.Clone(c.problem)
	media := maps.Clone(within(c.problem, "content", problem))
	delete(media, "examples")
	media["schema"] = map[string]any{
		"$ref": within(media, "schema")["$ref"],
		"properties": map[string]any{
			"status": map[string]any{"const": json.Number(status)},
			"code":   map[string]any{"enum": codes},
		},
	}
	answer["content"] = map[string]any{problem: media}
	return c.answer(answer, status)
}

// answer returns the strict copy of one answer.
func (c *closer) answer(answer map[string]any, status string) map[string]any {
	answer = maps.Clone(answer)
	content := map[string]any{}
	for kind, media := range within(answer, "content") {
		media := maps.Clone(media.(map[string]any))
		media["schema"] = c.schema(media["schema"])
		content[kind] = media
	}
	if len(content) > 0 {
		answer["content"] = content
	}
	headers := map[string]any{}
	for name := range within(answer, "headers") {
		header := maps.Clone(c.find(within(answer, "headers", name)))
		header["required"] = true
		if said := within(header, "x-strict"); said != nil {
			if fmt.Sprint(said["status"]) != status {
				continue
			}
			header["required"] = said["required"]
		}
		headers[name] = header
	}
	answer["headers"] = headers
	return answer
}

// schema returns the strict copy of a schema, with all schemas inside it. It adds what x-strict says.
func (c *closer) schema(said any) any {
	switch said := said.(type) {
	case map[string]any:
		return c.object(said)
	case []any:
		var all []any
		for _, one := range said {
			all = append(all, c.schema(one))
		}
		return all
	}
	return said
}

func (c *closer) object(said map[string]any) map[string]any {
	closed := map[string]any{}
	for word, value := range said {
		switch word {
		case "x-strict":
			continue
		case "$ref":
			value = c.reference(value.(string))
		case "properties", "dependentSchemas", "patternProperties":
			below := map[string]any{}
			for name, one := range value.(map[string]any) {
				below[name] = c.schema(one)
			}
			value = below
		case "items", "prefixItems", "oneOf", "anyOf", "allOf", "not", "if", "then", "else", "contentSchema":
			value = c.schema(value)
		case "discriminator":
			continue // it names schemas, and decides nothing
		}
		closed[word] = value
	}
	if said["properties"] != nil && isObject(said["type"]) {
		closed["additionalProperties"] = false
		if said["allOf"] != nil {
			c.fail("an answer's object is put together by allOf, and can't be closed")
		}
	}
	more, _ := c.schema(said["x-strict"]).(map[string]any)
	for word, value := range more {
		if closed[word] != nil {
			c.fail("x-strict says %s, which is said already", word)
		}
		closed[word] = value
	}
	return closed
}

func isObject(kind any) bool {
	several, _ := kind.([]any)
	return kind == "object" || slices.Contains(several, any("object"))
}

// reference returns a reference to the strict copy of the schema to which ref leads.
func (c *closer) reference(ref string) string {
	const schemas = "#/components/schemas/"
	name, ok := strings.CutPrefix(ref, schemas)
	if !ok || c.schemas[name] == nil {
		c.fail("%s is no schema", ref)
		return ref
	}
	closed := name + "-closed"
	if c.closed[closed] == nil {
		c.closed[closed] = true // in case the schema contains itself
		c.closed[closed] = c.schema(c.schemas[name])
	}
	return schemas + closed
}
