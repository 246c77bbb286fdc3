package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"countersign/pkg/api"
	"countersign/pkg/api/openapi"
	"countersign/pkg/mfa"
)

// A requestSchema has the parts of a schema of the document that show which fields take only certain words.
type requestSchema struct {
	Ref        string `json:"$ref"`
	Enum       []any
	Const      any
	Properties map[string]requestSchema
	Items      *requestSchema
	OneOf      []requestSchema
	AnyOf      []requestSchema
}

// wordsOf returns the dotted paths of a request's fields that take only certain words.
func wordsOf(schemas map[string]requestSchema, s requestSchema, path string) (found []string) {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		s = schemas[name]
	}
	if word, ok := s.Const.(string); ok {
		s.Enum = append(s.Enum, word)
	}
	if slices.ContainsFunc(s.Enum, func(v any) bool { _, word := v.(string); return word }) {
		found = append(found, path)
	}
	for _, below := range slices.Concat(s.OneOf, s.AnyOf) {
		found = append(found, wordsOf(schemas, below, path)...)
	}
	for name, below := range s.Properties {
		found = append(found, wordsOf(schemas, below, strings.TrimPrefix(path+"."+name, "."))...)
	}
	if s.Items != nil {
		found = append(found, wordsOf(schemas, *s.Items, path+".0")...)
	}
	return found
}

// withValue returns a body in which the field at a dotted path has another value.
func withValue(t *testing.T, body, path string, value any) string {
	t.Helper()
	var whole map[string]any
	if err := json.Unmarshal([]byte(body), &whole); err != nil {
		t.Fatal(err)
	}
	here := whole
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		below, ok := here[name].(map[string]any)
		if !ok {
			below = map[string]any{}
			here[name] = below
		}
		here = below
	}
	here[names[len(names)-1]] = value
	text, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAnEmptyTextIsNoneOfTheWordsThatAFieldTakes(t *testing.T) {
	strict, err := openapi.Strict()
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct {
			Schemas       map[string]requestSchema
			RequestBodies map[string]json.RawMessage
		}
	}
	if err := json.Unmarshal(strict, &document); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	var tried []string
	for _, step := range api.Steps {
		for _, route := range step.Routes {
			var operation struct {
				RequestBody struct {
					Ref     string `json:"$ref"`
					Content map[string]struct{ Schema requestSchema }
				}
			}
			if err := json.Unmarshal(document.Paths[route.Pattern][strings.ToLower(route.Method)], &operation); err != nil {
				t.Fatal(err)
			}
			body := operation.RequestBody
			if name, ok := strings.CutPrefix(body.Ref, "#/components/requestBodies/"); ok {
				if err := json.Unmarshal(document.Components.RequestBodies[name], &body); err != nil {
					t.Fatal(err)
				}
			}
			good := goodBodies()[route.Operation]
			if good == "" {
				good = "{}"
			}
			for _, path := range slices.Sorted(maps.Keys(body.Content)) {
				for _, field := range wordsOf(document.Components.Schemas, body.Content[path].Schema, "") {
					tried = append(tried, route.Operation+" "+field)
					for _, none := range []any{"", " ", "\u0000"} {
						got := w.do(route.Method, places.Replace(route.Pattern), withValue(t, good, field, none), at("0"), w.reauthenticated())
						w.refused(fmt.Sprintf("%s with %q for %s", route.Operation, none, field), got, 400, mfa.InvalidRequest, field)
					}
				}
			}
		}
	}
	for _, want := range []string{
		"decide purpose", "decide first_factor.kind", "decide context.risk", "decide method", "startChallenge purpose", "startChallenge first_factor.kind", "startChallenge context.risk", "startChallenge method",
		"beginEnrolment kind", "reportEvent kind", "putPolicy methods.email", "putPolicy recovery.effect", "putPolicy profile", "previewPolicy require",
	} {
		if !slices.Contains(tried, want) {
			t.Errorf("%s wasn't tried: the test is not about all words", want)
		}
	}
}
