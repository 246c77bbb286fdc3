package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/go/packages"
)

// load type-checks the packages of the module, without their tests. It does so once for all tests. The packages of other modules
// are read from the export data of the compiler.
var load = sync.OnceValues(func() ([]*packages.Package, error) {
	return packages.Load(&packages.Config{
		Dir: root,
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
			packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo,
	}, "./...")
})

func loaded(t *testing.T) []*packages.Package {
	t.Helper()
	found, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range found {
		for _, err := range p.Errors {
			t.Fatal(err)
		}
	}
	return found
}

// pathOf returns the path of a package in the module.
func pathOf(p *packages.Package) string { return strings.TrimPrefix(p.PkgPath, module+"/") }

// A source is a package for a test. It has one file, with a path in the module.
type source struct{ path, text string }

// compile type-checks the packages of a test. A package can import those before it.
func compile(t *testing.T, sources ...source) (found []*packages.Package) {
	t.Helper()
	for _, s := range sources {
		p := &packages.Package{PkgPath: module + "/" + path.Dir(s.path), Fset: token.NewFileSet(), TypesInfo: &types.Info{
			Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
			Selections: map[*ast.SelectorExpr]*types.Selection{},
		}}
		file, err := parser.ParseFile(p.Fset, s.path, s.text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		p.Syntax = []*ast.File{file}
		settings := types.Config{Importer: before(found)}
		if p.Types, err = settings.Check(p.PkgPath, p.Fset, p.Syntax, p.TypesInfo); err != nil {
			t.Fatalf("%s: %v", s.text, err)
		}
		found = append(found, p)
	}
	return found
}

// A before imports packages that were type-checked already.
type before []*packages.Package

func (b before) Import(path string) (*types.Package, error) {
	for _, p := range b {
		if p.PkgPath == path {
			return p.Types, nil
		}
	}
	return nil, fmt.Errorf("no package %s", path)
}
