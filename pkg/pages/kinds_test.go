package pages

import (
	"bytes"
	"slices"
	"testing"

	"go.yaml.in/yaml/v4"

	"countersign/pkg/api/openapi"
)

// The pages learn the kinds of factor from the API, and make the names of texts from them. So no template says which texts a
// new kind needs.
func TestEveryKindOfFactorHasItsTextsAndIsCountedInTheConsole(t *testing.T) {
	var document struct {
		Components struct {
			Schemas map[string]struct{ Enum []string }
		}
	}
	if err := yaml.NewDecoder(bytes.NewReader(openapi.Document)).Decode(&document); err != nil {
		t.Fatal(err)
	}
	kinds := document.Components.Schemas["Kind"].Enum
	if len(kinds) == 0 {
		t.Fatal("the API's document names no kind of factor")
	}
	all, err := readCatalogues()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		for code, language := range all {
			for _, key := range []string{"way." + kind, "kind." + kind, "kind." + kind + ".text", "enrol.begin_" + kind} {
				if !language.has(key) {
					t.Errorf("catalogue/pages.%s.json lacks %q, which a page shows for factors of the kind %s", code, key, kind)
				}
			}
		}
		if !slices.Contains(factorKinds, kind) {
			t.Errorf("factorKinds in console_adoption.go lacks %q, so the console doesn't show how many users have such a factor", kind)
		}
	}
	if len(factorKinds) != len(kinds) {
		t.Errorf("factorKinds in console_adoption.go has %q, want the kinds of the API's document: %q", factorKinds, kinds)
	}
}
