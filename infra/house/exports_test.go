package house

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// harnesses are packages in pkg that are there for tests, so no other code has to use them. A package whose name ends in "test"
// is a harness too.
var harnesses = []string{"pkg/store/fault", "pkg/api/openapi"}

// kept are exported names that no other package uses, with the reason why they are exported. The name of a type stands for its
// fields and methods too. The first name of a list of constants stands for the whole list.
var kept = map[string]string{
	"pkg/seal: Ring.Forget":            "gives a key up: the operators' commands will call it",
	"pkg/seal: Ring.KeyIDs":            "says which keys there are to give up",
	"pkg/seal: Ring.SealedUnder":       "says what has to be sealed anew before a key is given up",
	"pkg/mfa: Service.CheckActivity":   "the operators' commands will call it",
	"pkg/activity: Log.PerShard":       "an option, for tests that can't wait for four million events",
	"pkg/mfa: Service.Pause":           "an option, for tests that must not wait",
	"pkg/mfa: PortalToken":             "words of JSON: of what a handle stands for",
	"pkg/pages: Routes":                "a test compares it with the template",
	"pkg/mfa: Optional":                "JSON makes one, and a caller clears a field with one",
	"pkg/mfa: EffectSignIn":            "words of JSON: of a policy, and of an answer",
	"pkg/mfa: NotRequired":             "words of JSON: of a decision",
	"pkg/mfa: NextSignIn":              "words of JSON: of a policy",
	"pkg/mfa: SelfServiceOff":          "words of JSON: of a policy",
	"pkg/mfa: CancelToken":             "a word of JSON: of an answer",
	"pkg/mfa: ResetAnswer":             "its fields are written as JSON",
	"pkg/mfa: DeliveryUnknown":         "a word of JSON: of a repeated answer",
	"pkg/api: Step.Routes":             "the tests of functions/ compare the template with it",
	"pkg/api: Route":                   "one of Step.Routes",
	"pkg/cloud: Open":                  "tests of the packages below it open a deployment",
	"pkg/cloud: Process":               "of Open",
	"pkg/cloud/keyring: Keeper.Rotate": "tests rotate keys",
	"pkg/passkey: Reason":              "a word of logs, which tests compare",
	"pkg/passkey: TooLarge":            "a word of logs: of a Reason",
}

// A usage says what the packages of the module use of each other, without tests.
type usage struct {
	objects    map[types.Object]bool
	types      map[types.Type]bool
	interfaces map[string][]*types.Interface // all interfaces, by the name of each of their methods
}

// usageOf looks through all packages. A package uses a name of another package if it writes the name. It also uses an embedded
// field through which it reaches another field or a method, and the fields that it sets in a literal without keys.
func usageOf(all []*packages.Package) usage {
	u := usage{objects: map[types.Object]bool{}, types: map[types.Type]bool{}, interfaces: map[string][]*types.Interface{}}
	for _, p := range all {
		foreign := func(o types.Object) {
			if o.Pkg() != nil && o.Pkg() != p.Types {
				u.use(o)
			}
		}
		for _, o := range p.TypesInfo.Uses {
			foreign(o)
		}
		for _, s := range p.TypesInfo.Selections {
			t := s.Recv()
			for _, i := range s.Index()[:len(s.Index())-1] {
				f := structOf(t).Field(i)
				foreign(f)
				t = f.Type()
			}
		}
		for e, tv := range p.TypesInfo.Types {
			if i, ok := tv.Type.(*types.Interface); ok && tv.IsType() {
				u.demand(i)
			}
			if l, ok := e.(*ast.CompositeLit); ok && len(l.Elts) > 0 {
				if _, keyed := l.Elts[0].(*ast.KeyValueExpr); !keyed && structOf(tv.Type) != nil {
					for f := range structOf(tv.Type).Fields() {
						foreign(f)
					}
				}
			}
		}
	}
	u.demand(types.Universe.Lookup("error").Type().Underlying().(*types.Interface))
	seen := map[*types.Package]bool{}
	for _, p := range all {
		u.demandOf(p.Types, seen)
	}
	return u
}

// structOf returns the underlying struct of a type, or of the type that it points to. It is nil if there is none.
func structOf(t types.Type) *types.Struct {
	if p, ok := t.Underlying().(*types.Pointer); ok {
		t = p.Elem()
	}
	s, _ := t.Underlying().(*types.Struct)
	return s
}

// use notes that a name is used, and with it everything that its type reaches.
func (u usage) use(o types.Object) {
	switch of := o.(type) {
	case *types.Func:
		o = of.Origin()
	case *types.Var:
		o = of.Origin()
	}
	if !u.objects[o] {
		u.objects[o] = true
		u.reach(o.Type())
	}
}

// reach notes that another package gets values of a type. If it gets a struct, it uses the fields that JSON shows. If it gets
// an interface, it uses the methods of the interface.
func (u usage) reach(t types.Type) {
	if u.types[t] {
		return
	}
	u.types[t] = true
	switch t := t.(type) {
	case *types.Alias:
		u.use(t.Obj())
		u.reach(t.Rhs())
	case *types.Named:
		u.use(t.Obj())
		for a := range t.TypeArgs().Types() {
			u.reach(a)
		}
		u.reach(t.Origin().Underlying())
	case *types.Struct:
		for i := range t.NumFields() {
			if f := t.Field(i); f.Embedded() || f.Exported() && t.Tag(i) != "" {
				u.use(f)
			}
		}
	case *types.Interface:
		for m := range t.Methods() {
			u.use(m)
		}
	case *types.Map:
		u.reach(t.Key())
		u.reach(t.Elem())
	case *types.Signature:
		u.reach(t.Params())
		u.reach(t.Results())
	case *types.Tuple:
		for v := range t.Variables() {
			u.reach(v.Type())
		}
	case interface{ Elem() types.Type }: // a pointer, slice, array or channel
		u.reach(t.Elem())
	}
}

// demand notes the methods that an interface requires.
func (u usage) demand(i *types.Interface) {
	for m := range i.Methods() {
		u.interfaces[m.Name()] = append(u.interfaces[m.Name()], i)
	}
}

// demandOf does that for the interfaces of a package and of all packages that it imports.
func (u usage) demandOf(p *types.Package, seen map[*types.Package]bool) {
	if seen[p] {
		return
	}
	seen[p] = true
	for _, name := range p.Scope().Names() {
		if o, ok := p.Scope().Lookup(name).(*types.TypeName); ok {
			if i, ok := o.Type().Underlying().(*types.Interface); ok {
				u.demand(i)
			}
		}
	}
	for _, imported := range p.Imports() {
		u.demandOf(imported, seen)
	}
}

// satisfies reports whether a method of a type is there because of an interface that the type satisfies. Package errors finds
// three methods by their names only.
func (u usage) satisfies(t types.Type, method string) bool {
	return slices.Contains([]string{"Is", "As", "Unwrap"}, method) ||
		slices.ContainsFunc(u.interfaces[method], func(i *types.Interface) bool {
			return types.Implements(t, i) || types.Implements(types.NewPointer(t), i)
		})
}

// needless returns the exported names in pkg that no other package uses, without those of harnesses. Constants that are declared
// together are one list. The list is used if one of the constants is, and is named by the first.
func needless(all []*packages.Package) (found []string) {
	u := usageOf(all)
	for _, p := range all {
		path := pathOf(p)
		if !strings.HasPrefix(path, "pkg/") || strings.HasSuffix(path, "test") || slices.Contains(harnesses, path) {
			continue
		}
		say := func(o types.Object, name string) {
			if o.Exported() && !u.objects[o] {
				found = append(found, path+": "+name)
			}
		}
		for _, list := range wordLists(p) {
			if !slices.ContainsFunc(list, func(o types.Object) bool { return u.objects[o] }) {
				say(list[0], list[0].Name())
			}
		}
		for _, name := range p.Types.Scope().Names() {
			o := p.Types.Scope().Lookup(name)
			if _, constant := o.(*types.Const); constant || !o.Exported() {
				continue
			}
			say(o, name)
			of, ok := o.Type().(*types.Named)
			if _, isType := o.(*types.TypeName); !isType || !ok {
				continue
			}
			for m := range of.Methods() {
				if !u.satisfies(of, m.Name()) {
					say(m, name+"."+m.Name())
				}
			}
			switch of := of.Underlying().(type) {
			case *types.Struct:
				for i := range of.NumFields() {
					if of.Tag(i) == "" && !of.Field(i).Embedded() {
						say(of.Field(i), name+"."+of.Field(i).Name())
					}
				}
			case *types.Interface:
				for m := range of.ExplicitMethods() {
					say(m, name+"."+m.Name())
				}
			}
		}
	}
	return found
}

// wordLists returns the exported constants of a package, with one list for each group that is declared together.
func wordLists(p *packages.Package) (lists [][]types.Object) {
	for _, file := range p.Syntax {
		for _, d := range file.Decls {
			d, ok := d.(*ast.GenDecl)
			if !ok || d.Tok != token.CONST {
				continue
			}
			var list []types.Object
			for _, spec := range d.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if name.IsExported() {
						list = append(list, p.TypesInfo.Defs[name])
					}
				}
			}
			if len(list) > 0 {
				lists = append(lists, list)
			}
		}
	}
	return lists
}

func TestAnExportedNameIsUsedByAnotherPackage(t *testing.T) {
	stale := map[string]bool{}
	for name := range kept {
		stale[name] = true
	}
	for _, name := range needless(loaded(t)) {
		known := ""
		for k := range kept {
			if name == k || strings.HasPrefix(name, k+".") {
				known = k
			}
		}
		if delete(stale, known); known == "" {
			t.Errorf("%s: no other package uses it: unexport it, remove it, or say in kept why it is exported", name)
		}
	}
	for name := range stale {
		t.Errorf("%s: another package uses it, or it is gone: take it out of kept", name)
	}
}

func TestANameThatIsExportedForNobodyIsFound(t *testing.T) {
	for _, c := range []struct{ of, by, want string }{
		{"func F() {}", "", "pkg/a: F"},
		{"func F() {}", "var _ = a.F", ""},
		{"func f() {}", "", ""},
		{"var V int", "", "pkg/a: V"},
		{"type T struct{}", "", "pkg/a: T"},
		{"type T struct{}; func F() (t []T) { return }", "var _ = a.F", ""},
		{"type T struct{}; func F(map[string]*T) {}", "var _ = a.F", ""},
		{"type T struct{}; type u = T; func F(u) {}", "var _ = a.F", ""},
		{"type T struct{}; func (T) M() {}", "var _ a.T", "pkg/a: T.M"},
		{"type T struct{}; func (T) m() {}", "var _ a.T", ""},
		{"type T struct{}; func (*T) M() {}", "var _ = (*a.T).M", ""},
		{"type T struct{}; func (T) M() {}", "var _ a.T; type i interface { M() }", ""},
		{"type T struct{}; func (T) M() {}", "var _ a.T; var _ interface { M() }", ""},
		{"type T struct{}; func (T) M() {}", "var _ a.T; type i interface { M() int }", "pkg/a: T.M"},
		{"type T struct{}; func (T) M() {}", "var _ a.T; type i interface { M(); N() }", "pkg/a: T.M"},
		{"type T struct{}; func (*T) Error() string { return `` }", "var _ a.T", ""},
		{"type T struct{}; func (*T) Unwrap() error { return nil }", "var _ a.T", ""},
		{"type T[E any] struct{ e E }; func (T[E]) M() {}", "var _ = a.T[int].M", ""},
		{"type T[E any] struct{ e E }; func (T[E]) M() {}", "var _ a.T[int]", "pkg/a: T.M"},
		{"type T struct{ A int }", "var _ a.T", "pkg/a: T.A"},
		{"type T struct{ A int }", "var _ = a.T{A: 1}", ""},
		{"type T struct{ A int }", "var _ = a.T{1}", ""},
		{"type T struct{ A int }", "var _ = a.T{}", "pkg/a: T.A"},
		{"type T struct{ A int }", "func f(t *a.T) int { return t.A }", ""},
		{"type T[E any] struct{ A E }", "func f(t a.T[int]) int { return t.A }", ""},
		{"type T struct{ A int `json:\"a\"` }", "var _ a.T", ""},
		{"type U struct{}; type T struct{ A []U `json:\"a\"` }", "var _ a.T", ""},
		{"type U struct{}; type T struct{ a []U `json:\"a\"` }", "var _ a.T", "pkg/a: U"},
		{"type U struct{ A int }; type T struct{ U }", "func f(t a.T) int { return t.A }", ""},
		{"type I interface { M() }", "var _ a.I", ""},
		{"type I interface { M() }", "", "pkg/a: I"},
		{"const C = 1", "", "pkg/a: C"},
		{"const C = 1", "var _ = a.C", ""},
		{"const (A = 1; B = 2)", "", "pkg/a: A"},
		{"const (A = 1; B = 2)", "var _ = a.B", ""},
		{"const (A = 1; B = 2); const C = 3", "var _ = a.B", "pkg/a: C"},
	} {
		expect(t, c.of+" / "+c.by, needless(compile(t,
			source{"pkg/a/a.go", "package a; const Anything = 0; " + c.of},
			source{"infra/b/b.go", "package b; import `countersign/pkg/a`; var _ = a.Anything; " + c.by})), c.want)
	}
}
