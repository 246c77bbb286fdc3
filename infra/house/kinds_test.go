package house

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// kindFiles are the files that may name a kind of factor: the table of kinds, the file of each kind, and the policy, which has
// settings for each kind. All other files ask the table, so a new kind doesn't change them.
var kindFiles = []string{"pkg/mfa/kind.go", "pkg/mfa/totp.go", "pkg/mfa/email.go", "pkg/mfa/sms.go", "pkg/mfa/webauthn.go", "pkg/mfa/policy.go"}

// namedKinds reports where packages in pkg name a kind: by its constant, by its word as a value of type Kind, or by its word in a
// comparison with the text of a Kind.
func namedKinds(all []*packages.Package) (found []string) {
	kind, words := kindsOf(all)
	for _, p := range all {
		if path := pathOf(p); !strings.HasPrefix(path, "pkg/") || strings.HasSuffix(path, "test") {
			continue
		}
		for _, file := range p.Syntax {
			name := pathOf(p) + "/" + filepath.Base(p.Fset.Position(file.FileStart).Filename)
			if slices.Contains(kindFiles, name) {
				continue
			}
			isWord := func(e ast.Expr) bool {
				v := p.TypesInfo.Types[e].Value
				return v != nil && v.Kind() == constant.String && words[constant.StringVal(v)]
			}
			at := map[int]bool{}
			note := func(e ast.Expr) {
				if line := p.Fset.Position(e.Pos()).Line; isWord(e) && !at[line] {
					at[line] = true
					found = append(found, fmt.Sprintf("%s:%d: names the kind %s", name, line, p.TypesInfo.Types[e].Value))
				}
			}
			isKind := func(e ast.Expr) bool {
				t := p.TypesInfo.TypeOf(e)
				return t != nil && types.Identical(t, kind)
			}
			isText := func(e ast.Expr) bool {
				call, ok := e.(*ast.CallExpr)
				return ok && len(call.Args) == 1 && p.TypesInfo.Types[call.Fun].IsType() && isKind(call.Args[0])
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.SwitchStmt); ok && s.Tag != nil && isText(s.Tag) {
					for _, c := range s.Body.List {
						for _, e := range c.(*ast.CaseClause).List {
							note(e)
						}
					}
				}
				if b, ok := n.(*ast.BinaryExpr); ok && (isText(b.X) || isText(b.Y)) {
					note(b.X)
					note(b.Y)
				}
				if e, ok := n.(ast.Expr); ok && isKind(e) {
					note(e)
				}
				return true
			})
		}
	}
	return found
}

// kindsOf returns the type of the kinds, and the words that its constants stand for.
func kindsOf(all []*packages.Package) (kind types.Type, words map[string]bool) {
	words = map[string]bool{}
	for _, p := range all {
		if pathOf(p) != "pkg/mfa" {
			continue
		}
		scope := p.Types.Scope()
		kind = scope.Lookup("Kind").Type()
		for _, name := range scope.Names() {
			if c, ok := scope.Lookup(name).(*types.Const); ok && types.Identical(c.Type(), kind) {
				words[constant.StringVal(c.Val())] = true
			}
		}
	}
	return kind, words
}

func TestOnlyTheTableOfKindsAndTheirOwnFilesNameThem(t *testing.T) {
	if _, words := kindsOf(loaded(t)); len(words) < 4 {
		t.Errorf("got %d kinds, want webauthn, totp, sms and email", len(words))
	}
	for _, f := range namedKinds(loaded(t)) {
		t.Error(f)
	}
	for _, name := range kindFiles {
		if read(t, name) == nil {
			t.Errorf("there is no %s", name)
		}
	}
}

func TestAKindThatIsNamedElsewhereIsFound(t *testing.T) {
	const kinds = "package mfa\ntype Kind string\nconst TOTP Kind = `totp`\nvar k Kind\nvar s string\n"
	for _, c := range []struct{ path, text, want string }{
		{"kind.go", "var _ = k == TOTP", ""},
		{"send.go", "var _ = k == TOTP", "pkg/mfa/send.go:6: names the kind \"totp\""},
		{"send.go", "var _ = TOTP != k", "send.go:6"},
		{"send.go", "var _ = k == `totp`", "send.go:6"},
		{"send.go", "var _ = Kind(`totp`)", "send.go:6"},
		{"send.go", "var _ = []Kind{TOTP}", "send.go:6"},
		{"send.go", "var _ = map[Kind]int{`totp`: 1}", "send.go:6"},
		{"send.go", "func f() { switch k {\ncase `totp`:\n} }", "send.go:7"},
		{"send.go", "func f() { switch string(k) {\ncase `totp`:\n} }", "send.go:7"},
		{"send.go", "var _ = string(k) == `totp`", "send.go:6"},
		{"send.go", "var _ = `totp` != string(k)", "send.go:6"},
		{"send.go", "const app = `totp`; var _ = k == app", "send.go:6"},
		{"send.go", "var _ = k == ``", ""},
		{"send.go", "var _ = s == `totp`", ""},
		{"send.go", "var _ = string(k) == s", ""},
		{"send.go", "var _ = map[string]string{`channel`: `totp`}", ""},
	} {
		// The file of the constant is not searched.
		expect(t, c.path+" "+c.text, slices.DeleteFunc(namedKinds(compile(t, source{"pkg/mfa/" + c.path, kinds + c.text})),
			func(f string) bool { return strings.Contains(f, ":3:") }), c.want)
	}
	const other = "package api; import `countersign/pkg/mfa`; var _ = mfa.TOTP"
	expect(t, other, namedKinds(compile(t, source{"pkg/mfa/kind.go", kinds}, source{"pkg/api/a.go", other})), "pkg/api/a.go:1")
}
