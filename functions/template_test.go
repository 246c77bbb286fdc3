package functions

import (
	"testing"

	"countersign/infra/emulator/template"
)

type object = template.Object

// readTemplate reads template.yaml, and returns it with its functions, by step.
func readTemplate(t testing.TB) (*template.Template, map[string]*template.Function) {
	t.Helper()
	read, err := template.Read("..")
	if err != nil {
		t.Fatal(err)
	}
	functions, err := read.Functions()
	if err != nil {
		t.Fatal(err)
	}
	return read, functions
}
