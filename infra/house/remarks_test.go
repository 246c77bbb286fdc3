package house

import (
	"fmt"
	"go/parser"
	"go/token"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Comments and documents also name files and pages in running text, where they are not links.

// A remark is a line of a comment or of a document.
type remark struct {
	line int
	text string
}

var (
	namedURL  = regexp.MustCompile(`https?://[^\s"'<>()\[\]{}|$` + "`" + `…]+`)
	namedPath = regexp.MustCompile(`(?:^|[^\w/.~-])(?:\./)?((?:\.?\w+)/[\w./-]*\w)`)
	afterSign = regexp.MustCompile(`^\s*(?:#|//) ?(.*)$`)
	stand     = regexp.MustCompile(`^[A-Z]+$`) // stands for a value that the reader puts in
)

// remarks returns the comments of a file, or the lines of a document. Files of other types have none.
func remarks(file string, content []byte) (found []remark) {
	lines := strings.Split(string(content), "\n")
	switch ext := path.Ext(file); {
	case ext == ".go":
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, content, parser.ParseComments)
		if err != nil {
			return nil // the compiler reports the error
		}
		for _, group := range parsed.Comments {
			for _, c := range group.List {
				for i, line := range strings.Split(c.Text, "\n") {
					found = append(found, remark{set.Position(c.Pos()).Line + i, line})
				}
			}
		}
	case ext == ".md":
		for i, line := range lines {
			found = append(found, remark{i + 1, line})
		}
	case slices.Contains([]string{".yaml", ".toml", ".ts", ".js", ".py"}, ext), strings.HasPrefix(lines[0], "#!"):
		for i, line := range lines {
			if m := afterSign.FindStringSubmatch(line); m != nil {
				found = append(found, remark{i + 1, m[1]})
			}
		}
	}
	return found
}

// brokenRemarks reports which URLs in the remarks of a file are wrong, and which files there don't exist.
func brokenRemarks(file string, tree map[string][]byte) (found []string) {
	for _, r := range remarks(file, tree[file]) {
		for _, named := range namedURL.FindAllString(r.text, -1) {
			named = strings.TrimSuffix(strings.TrimRight(named, ".,;:!?*_"), ":port")
			to, err := url.Parse(named)
			why := "is malformed"
			if err == nil {
				why = brokenOutside(to)
			}
			if why != "" {
				found = append(found, fmt.Sprintf("%s:%d: the URL %s %s", file, r.line, named, why))
			}
		}
		for _, m := range namedPath.FindAllStringSubmatch(namedURL.ReplaceAllString(r.text, ""), -1) {
			first, _, _ := strings.Cut(m[1], "/")
			_, isFile := tree[m[1]]
			if holdsFiles(first, tree) && !isFile && !holdsFiles(m[1], tree) && !stand.MatchString(path.Base(m[1])) {
				found = append(found, fmt.Sprintf("%s:%d: there is no %s", file, r.line, m[1]))
			}
		}
	}
	return found
}

func TestCommentsAndDocumentsNameFilesThatAreThere(t *testing.T) {
	tree := map[string][]byte{}
	for _, name := range files(t) {
		tree[name] = read(t, name)
	}
	seen := 0
	for name, content := range tree {
		if name == "infra/mutate/RESULTS.md" {
			continue // it is about the files as they were on the day of its run
		}
		seen += len(remarks(name, content))
		for _, f := range brokenRemarks(name, tree) {
			t.Error(f)
		}
	}
	if seen < 5000 {
		t.Errorf("got %d lines of comments and documents, want those of the tree", seen)
	}
}

func TestARemarkThatNamesNothingIsFound(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"a.go", "// Package a is like pkg/mfa/doc.go, in pkg/mfa.\npackage a", ""},
		{"a.go", "package a\n\nvar x = 1 // see pkg/gone.go", "a.go:3: there is no pkg/gone.go"},
		{"a.go", "package a\n\nvar x = \"pkg/gone.go\"", ""},
		{"a.go", "/*\nPackage a: see ./pkg/gone\n*/\npackage a", "a.go:2: there is no pkg/gone"},
		{"a.go", "// Package a is countersign/pkg/gone, and other/gone.\npackage a", ""},
		{"a.go", "// Package a is in pkg/NAME.\npackage a", ""},
		{"a.go", "// Package a keeps to https://docs.example.org/b#c.\npackage a", ""},
		{"a.go", "// Package a keeps to http://docs.example.org/b.\npackage a", "is not https"},
		{"a.go", "// Package a is at http://localhost:8080/pkg/gone.\npackage a", ""},
		{"a.go", "// Package a is at https://docs,example/b.\npackage a", "names no host"},
		{"a.md", "Run `go run ./pkg/gone`.", "there is no pkg/gone"},
		{"a.md", "```sh\ngo run ./pkg/mfa\n./pkg/gone\n```", "a.md:3: there is no pkg/gone"},
		{"a.md", "It is in .github/gone.md", "there is no .github/gone.md"},
		{"a.yaml", "key: pkg/gone # as in pkg/gone\n# pkg/gone.go says why\n", "a.yaml:2: there is no pkg/gone.go"},
		{"test", "#!/bin/sh\n# pkg/gone\n", "test:2: there is no pkg/gone"},
		{"a.svg", "# pkg/gone", ""},
	} {
		tree := map[string][]byte{c.file: []byte(c.text), "pkg/mfa/doc.go": nil, ".github/a.md": nil}
		expect(t, c.text, brokenRemarks(c.file, tree), c.want)
	}
}
