package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const module = "countersign"

// A listed is what go list says about a package.
type listed struct {
	Dir          string
	ImportPath   string
	Export       string
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
}

func (p *listed) path() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

func (p *listed) tested() bool { return len(p.TestGoFiles)+len(p.XTestGoFiles) > 0 }

// list asks go list about packages.
func list(args ...string) ([]listed, error) {
	cmd := exec.Command("go", append([]string{"list", "-json=Dir,ImportPath,Export,GoFiles,TestGoFiles,XTestGoFiles"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var found []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		found = append(found, p)
	}
}

// find returns all mutants of packages, in the order in which they are in the files.
func find(packages []listed) ([]*mutant, error) {
	paths := []string{"-export", "-deps"}
	for _, p := range packages {
		paths = append(paths, p.ImportPath)
	}
	all, err := list(paths...)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	for _, p := range all {
		exports[p.ImportPath] = p.Export
	}
	files := token.NewFileSet()
	from := importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	var found []*mutant
	for _, p := range packages {
		more, err := findIn(&p, files, from)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.ImportPath, err)
		}
		found = append(found, more...)
	}
	return found, nil
}

func findIn(p *listed, files *token.FileSet, from types.Importer) (found []*mutant, err error) {
	var parsed []*ast.File
	sources := map[*ast.File][]byte{}
	for _, name := range p.GoFiles {
		source, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(files, filepath.Join(p.Dir, name), source, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		parsed, sources[file] = append(parsed, file), source
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	check := types.Config{Importer: from}
	if _, err := check.Check(p.ImportPath, files, parsed, info); err != nil {
		return nil, err
	}
	for _, file := range parsed {
		name := filepath.Base(files.Position(file.Pos()).Filename)
		f := &finder{files: files, info: info, source: sources[file], file: p.path() + "/" + name, pkg: p.path()}
		for _, d := range file.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && d.Body != nil {
				f.within = d.Name.Name
				f.look(d.Body)
			}
		}
		slices.SortStableFunc(f.found, func(a, b *mutant) int { return a.edits[0].at - b.edits[0].at })
		found = append(found, f.found...)
	}
	return found, nil
}

// switchFile is added to each package that has mutants. It has the switches that the changed code asks.
const switchFile = `package %s

import (
	"os"
	"strconv"
	"sync"
)

var (
	mutantNow, _   = strconv.Atoi(os.Getenv("MUTANT"))
	mutantReached  sync.Map
	mutantReachTo  = os.Getenv("MUTANT_REACH")
)

func mutantOn(n int) bool {
	if mutantReachTo != "" {
		if _, before := mutantReached.LoadOrStore(n, true); !before {
			if f, err := os.OpenFile(mutantReachTo, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
				f.WriteString(strconv.Itoa(n) + "\n")
				f.Close()
			}
		}
	}
	return mutantNow == n
}

func mutantElse[T any](n int, other func() T, as T) T {
	if mutantOn(n) {
		return other()
	}
	return as
}
`

// overlay writes the changed files, and the file that makes the go command use them. It returns the path of the latter.
func overlay(work string, packages []listed, mutants []*mutant) (string, error) {
	replace := map[string]string{}
	for _, p := range packages {
		changed := false
		name := ""
		for _, file := range p.GoFiles {
			var here []*mutant
			for _, m := range mutants {
				if m.File == p.path()+"/"+file {
					here = append(here, m)
				}
			}
			if len(here) == 0 {
				continue
			}
			path := filepath.Join(p.Dir, file)
			source, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), path, source, parser.PackageClauseOnly)
			if err != nil {
				return "", err
			}
			name = parsed.Name.Name
			to := filepath.Join(work, strings.ReplaceAll(p.path()+"/"+file, "/", "_"))
			if err := os.WriteFile(to, apply(source, here), 0o600); err != nil {
				return "", err
			}
			replace[path], changed = to, true
		}
		if !changed {
			continue
		}
		to := filepath.Join(work, strings.ReplaceAll(p.path(), "/", "_")+"_switch.go")
		if err := os.WriteFile(to, fmt.Appendf(nil, switchFile, name), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(p.Dir, "zz_mutant_switch.go")] = to
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	to := filepath.Join(work, "overlay.json")
	return to, os.WriteFile(to, text, 0o600)
}
