// Package house checks the rules of this project that a machine can check: which package may import which, where the time comes
// from, what a file may contain, and which words don't belong in the project. It refuses to judge what needs a reader.
package house

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	module   = "countersign"
	maxLines = 500 // how many lines a Go file may have
)

// A law says what the packages under a path may import besides the standard library and each other.
type law struct {
	under   string   // a path in the module; if several laws fit a package, the one with the longest path holds
	inside  []string // packages of this module, by their paths in it
	outside []string // prefixes of import paths in other modules
	free    bool     // the packages may import anything, because they are programs and tools that no other package imports
}

var laws = []law{
	{under: "pkg/store"},
	{under: "pkg/store/storetest", inside: []string{"pkg/store"}},
	{under: "pkg/store/fault", inside: []string{"pkg/store"}},
	{under: "pkg/store/bolt", inside: []string{"pkg/store"}, outside: []string{"go.etcd.io/bbolt"}},
	{under: "pkg/store/dynamo", inside: []string{"pkg/store"}, outside: []string{"github.com/aws/"}},
	{under: "pkg/store/record", inside: []string{"pkg/store"}, outside: []string{"github.com/fxamacker/cbor"}},
	{under: "pkg/seal"},
	{under: "pkg/text"},
	{under: "pkg/activity", inside: []string{"pkg/seal", "pkg/store", "pkg/store/record"}, outside: []string{"github.com/fxamacker/cbor"}},
	{under: "pkg/apikey", inside: []string{"pkg/seal", "pkg/store", "pkg/store/record", "pkg/text"}},
	{under: "pkg/message", inside: []string{"pkg/seal", "pkg/text"}},
	{under: "pkg/mfa", inside: []string{"pkg/activity", "pkg/apikey", "pkg/message", "pkg/passkey/provider", "pkg/seal", "pkg/store", "pkg/store/record", "pkg/text"}, outside: []string{"github.com/pquerna/otp", "github.com/boombuler/barcode"}},
	{under: "pkg/mfa/mfatest", inside: []string{"pkg/activity", "pkg/apikey", "pkg/message", "pkg/mfa", "pkg/passkey", "pkg/passkey/passkeytest", "pkg/phone", "pkg/seal", "pkg/store", "pkg/store/bolt", "pkg/store/fault", "pkg/store/storetest"}},
	{under: "pkg/mfa/walk"}, // it has only tests
	{under: "pkg/passkey", inside: []string{"pkg/mfa"}, outside: []string{"github.com/go-webauthn/webauthn", "github.com/google/go-tpm/tpm2"}},
	{under: "pkg/passkey/passkeytest"},
	{under: "pkg/passkey/provider"},
	{under: "pkg/phone", inside: []string{"pkg/mfa"}, outside: []string{"github.com/nyaruka/phonenumbers"}},
	{under: "pkg/api", inside: []string{"pkg/mfa", "pkg/seal"}, outside: []string{"github.com/go-json-experiment/json"}},
	{under: "pkg/api/openapi", outside: []string{"github.com/santhosh-tekuri/jsonschema", "go.yaml.in/yaml"}},
	{under: "pkg/pages"},
	{under: "pkg/cloud", inside: []string{"pkg/activity", "pkg/api", "pkg/apikey", "pkg/message", "pkg/mfa", "pkg/seal", "pkg/store", "pkg/store/record", "pkg/store/dynamo"}, outside: []string{"github.com/aws/", "golang.org/x/net/publicsuffix"}},
	{under: "functions", inside: []string{"pkg/api", "pkg/cloud", "pkg/cloud/email", "pkg/cloud/eventbus", "pkg/cloud/keyring", "pkg/cloud/textmessage", "pkg/pages", "pkg/passkey", "pkg/phone"}},
	{under: "infra/local", inside: []string{"pkg/activity", "pkg/api", "pkg/apikey", "pkg/message", "pkg/mfa", "pkg/pages", "pkg/passkey", "pkg/phone", "pkg/seal", "pkg/store", "pkg/store/bolt"}, outside: []string{"github.com/golang-jwt/jwt", "github.com/pquerna/otp"}},
	{under: "infra", free: true},
}

// lawOf returns the law of a package, by its path in the module.
func lawOf(path string) (found law, ok bool) {
	for _, l := range laws {
		if (path == l.under || strings.HasPrefix(path, l.under+"/")) && len(l.under) > len(found.under) {
			found, ok = l, true
		}
	}
	return found, ok
}

// outward reports which imports of a package its law doesn't allow, or that there is no law for it.
func outward(path string, imports []string) (found []string) {
	l, ok := lawOf(path)
	if !ok {
		return []string{path + ": no law says what it may import: add one here"}
	}
	for _, imported := range imports {
		inside, ours := strings.CutPrefix(imported, module+"/")
		first, _, _ := strings.Cut(imported, "/")
		allowed := l.free
		switch {
		case ours:
			own, _ := lawOf(inside)
			allowed = allowed || own.under == l.under || slices.Contains(l.inside, inside)
		case !strings.Contains(first, "."):
			allowed = true // the standard library
		case strings.HasPrefix(imported, "golang.org/x/sync/"):
			allowed = true // for reads that are made at the same time
		default:
			allowed = allowed || slices.ContainsFunc(l.outside, func(p string) bool { return strings.HasPrefix(imported, p) })
		}
		if !allowed {
			found = append(found, fmt.Sprintf("%s: may not import %s", path, imported))
		}
	}
	return found
}

// goFile reports which rules a Go file breaks.
func goFile(path string, source []byte) (found []string) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	say := func(at token.Pos, format string, a ...any) {
		found = append(found, fmt.Sprintf("%s:%d: %s", path, files.Position(at).Line, fmt.Sprintf(format, a...)))
	}
	if n := bytes.Count(source, []byte("\n")); n > maxLines {
		say(file.End(), "%d lines, and %d are the most: a file holds one mechanism", n, maxLines)
	}
	test := strings.HasSuffix(path, "_test.go")
	if test && regexp.MustCompile(`(?m)^//go:build `).Match(source) {
		say(file.Pos(), "a test has no build tag")
	}
	forbidden := map[string]bool{}
	if test || strings.HasPrefix(path, "pkg/") {
		forbidden["Sleep"] = true
	}
	harness := strings.HasSuffix(file.Name.Name, "test")
	if !test && !harness && strings.HasPrefix(path, "pkg/") {
		forbidden["Now"], forbidden["Since"], forbidden["Until"] = true, true, true
	}
	clock := nameOf(file, "time")
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if s, ok := call.Fun.(*ast.SelectorExpr); ok && forbidden[s.Sel.Name] {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == clock {
				say(call.Pos(), "calls time.%s: time comes from Now, and nothing sleeps", s.Sel.Name)
			}
		}
		return true
	})
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name == "init" {
				say(d.Pos(), "has an init function")
			}
			if !test && d.Name.IsExported() && exportedReceiver(d) && d.Doc.Text() == "" {
				say(d.Pos(), "%s is exported without a comment", d.Name.Name)
			}
		case *ast.GenDecl:
			if test || d.Doc.Text() != "" {
				continue
			}
			for _, spec := range d.Specs {
				for _, name := range bare(spec) {
					say(name.Pos(), "%s is exported without a comment", name.Name)
				}
			}
		}
	}
	return found
}

// nameOf returns the name that an imported package has in a file. It is empty if the file doesn't import it.
func nameOf(file *ast.File, path string) string {
	for _, i := range file.Imports {
		if i.Path.Value != `"`+path+`"` {
			continue
		}
		if i.Name != nil {
			return i.Name.Name
		}
		return path
	}
	return ""
}

// exportedReceiver reports whether a function is a plain function, or a method of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

// bare returns the exported names in a part of a declaration that have no comment.
func bare(spec ast.Spec) (names []*ast.Ident) {
	said := func(groups ...*ast.CommentGroup) bool {
		return slices.ContainsFunc(groups, func(g *ast.CommentGroup) bool { return g.Text() != "" })
	}
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && !said(s.Doc, s.Comment) {
			names = append(names, s.Name)
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() && !said(s.Doc, s.Comment) {
				names = append(names, name)
			}
		}
	}
	return names
}

// unwanted are words that no file of the project may contain. They are written so that this file doesn't contain them.
var unwanted = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`(^|[^A-Za-z0-9._*)-])/([r]oot|[w]ork|[f]arm|[h]ome/[a-z0-9]+|[U]sers/[A-Za-z0-9]+)/`), "names a path of somebody's machine"},
	{regexp.MustCompile(`/tmp/[b]ash_jobs`), "names a path of somebody's machine"},
	{regexp.MustCompile(`https?://([p]roxy|[r]egistry|[r]epo1?|[d]eb)\.`), "names a host of a package registry"},
	{regexp.MustCompile(`"[r]esolved": "http`), "records a download address"},
	{regexp.MustCompile(`(?i)\b[e]nroll(s|ments?)?\b`), "British spelling: enrol, enrolment"},
}

var (
	looseEnd = regexp.MustCompile(`\b([T]ODO|[F]IXME|[X]XX)\b`)
	reason   = regexp.MustCompile(`\b([T]ODO|[F]IXME|[X]XX)(\([^)]+\))?: \S+( \S+){3,}`)
)

// textFile reports what a file contains that has no place in the project. It doesn't read binary files.
func textFile(path string, content []byte) (found []string) {
	if bytes.IndexByte(content, 0) >= 0 {
		return nil
	}
	for i, line := range strings.Split(string(content), "\n") {
		for _, u := range unwanted {
			if word := u.pattern.FindString(line); word != "" {
				found = append(found, fmt.Sprintf("%s:%d: %s: %q", path, i+1, u.why, word))
			}
		}
		if looseEnd.MatchString(line) && !reason.MatchString(line) {
			found = append(found, fmt.Sprintf("%s:%d: a loose end without a reason", path, i+1))
		}
	}
	return found
}

func TestImportsPointInward(t *testing.T) {
	for _, p := range loaded(t) {
		for _, f := range outward(pathOf(p), slices.Sorted(maps.Keys(p.Imports))) {
			t.Error(f)
		}
	}
}

func TestAPackageSaysWhatItIsAndHidesSomething(t *testing.T) {
	vague := []string{"util", "utils", "common", "types", "helper", "helpers", "models"}
	for _, p := range loaded(t) {
		if len(p.Syntax) > 0 && !slices.ContainsFunc(p.Syntax, func(f *ast.File) bool { return f.Doc.Text() != "" }) {
			t.Errorf("%s: has no package comment", pathOf(p))
		}
		if slices.Contains(vague, p.Name) {
			t.Errorf("%s: a package is a noun that hides something", pathOf(p))
		}
	}
}

func TestGoFilesKeepTheHouseRules(t *testing.T) {
	for _, path := range files(t) {
		if strings.HasSuffix(path, ".go") {
			for _, f := range goFile(path, read(t, path)) {
				t.Error(f)
			}
		}
	}
}

func TestFilesNameNoMachineAndLeaveNoLooseEnds(t *testing.T) {
	for _, path := range files(t) {
		for _, f := range textFile(path, read(t, path)) {
			t.Error(f)
		}
	}
}

const root = "../.."

// files returns the paths of all files that are committed or could be, with slashes, from the root.
func files(t *testing.T) (found []string) {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		if os.Getenv("CI") != "true" {
			t.Skip("the tree is checked in a git clone only:", err)
		}
		t.Fatal("git ls-files:", err)
	}
	looked := map[string]bool{}
	for path := range strings.SplitSeq(string(out), "\x00") {
		// Go runs a test again if a file or folder that the test has opened changes. So the test opens each folder, to notice new files.
		if dir := filepath.Join(root, filepath.Dir(path)); !looked[dir] {
			os.ReadDir(dir)
			looked[dir] = true
		}
		if info, err := os.Lstat(filepath.Join(root, path)); err == nil && info.Mode().IsRegular() {
			found = append(found, path)
		}
	}
	return found
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return content
}
