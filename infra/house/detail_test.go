package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// sentence is a whole sentence, or several: it begins with a capital letter or with what is filled in, and ends with a
// full stop, and nothing in it is written as Go writes a value.
var sentence = regexp.MustCompile(`^([A-Z]|%s)[^\[\]]* [^\[\]]* [^\[\]]*\.$`)

// The details of refusals are read by people who know neither Go nor this code.
func TestTheDetailOfARefusalIsAWholeSentence(t *testing.T) {
	found := 0
	for _, dir := range []string{"../../pkg/mfa", "../../pkg/api", "../../pkg/apikey"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				call, is := n.(*ast.CallExpr)
				if !is || len(call.Args) < 2 {
					return true
				}
				f, is := call.Fun.(*ast.Ident)
				if !is || f.Name != "refuse" && f.Name != "invalid" {
					return true
				}
				literal, is := call.Args[1].(*ast.BasicLit)
				if !is { // it is put together; the tests of those calls look at it
					return true
				}
				detail, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				found++
				if detail != "%s" && (!sentence.MatchString(detail) || strings.Contains(detail, "%v")) {
					t.Errorf("%s: %q is not a whole sentence", set.Position(literal.Pos()), detail)
				}
				return true
			})
		}
	}
	if found < 60 {
		t.Errorf("found %d details, want the 60 and more that there are", found)
	}
}
