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

// sentence matches one whole sentence or several. It begins with a capital letter or with a value that is filled in, and ends
// with a full stop. It contains no brackets, as Go prints them around a list.
var sentence = regexp.MustCompile(`^([A-Z]|%s)[^\[\]]* [^\[\]]* [^\[\]]*\.$`)

// People who know neither Go nor this code read the details of refusals.
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
				if !is { // the text is put together, and the tests of those calls check it
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
