package mfa

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Operators see every text of a factor's record whose tag doesn't say "secret" (see ShowItem). A new kind keeps what it compares
// answers with in a field of its own there.
func TestATextInTheRecordOfAFactorIsMarkedAsSecretOrListedAsShown(t *testing.T) {
	shown := []string{"id", "kind", "label", "contact", "country"}
	record := reflect.TypeFor[factorRecord]()
	for i := range record.NumField() {
		f := record.Field(i)
		options := strings.Split(f.Tag.Get("record"), ",")
		marked := slices.Contains(options, "secret") || slices.Contains(options, "word")
		if name := f.Tag.Get("json"); f.Type.Kind() == reflect.String && !marked && !slices.Contains(shown, name) {
			t.Errorf("the field %s of factorRecord is a text that operators see: add the mark secret to its record tag, or the name to this list if everybody who reads the table may know it", name)
		}
	}
}
